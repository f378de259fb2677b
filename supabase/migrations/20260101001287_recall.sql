-- Messages of a conversation that relate to a person's message, by words and by meaning.

-- They are what private.recall_by_words finds and, with p_embedding, what private.nearest finds, by the sum of their
-- reciprocal ranks. A message without words of its own, such as "Go on", recalls nothing. Some of the messages found may
-- be in the history as well.
--
-- p_own is the position of the message that asks, p_hidden is private.hidden_ranges, and p_character_id is the
-- conversation's character. Messages in p_kept are returned without their content, because the caller has them.
--
-- Returns `messages`, a list for each column, as in private.history, the best message first: {"content", "position",
-- "sender", "character_id", "score", "said_at": seconds since 1970}; null if nothing is found. `speakers` are the
-- characters who wrote them.
create function private.recall(
  p_conversation_id uuid, p_character_id uuid, p_before bigint, p_own bigint, p_query text, p_hidden int8multirange,
  p_embedding jsonb default null, p_kept int8range default null,
  out messages json, out speakers uuid[])
language plpgsql stable set search_path = '' as $$
declare
  -- The larger, the less the first ranks count more than the next ones.
  c_rank constant double precision := 20;
  -- Of a long message, the beginning and the end: the question is often there.
  v_query constant text := case when char_length(p_query) <= 1000 then p_query
                                else left(p_query, 500) || ' ' || right(p_query, 500) end;
  -- The most bytes of all short messages, and again of all long ones (above c_long): a prompt shows little of a long
  -- message, and a few of them would leave no room for others. A single message above this limit is left out.
  v_most_bytes integer := 24576;
  c_long constant integer := 2048;
  v_language regconfig;
  v_spoken regconfig;
  v_terms bigint[];
  v_found record;
  v_positions bigint[];
  v_scores double precision[];
begin
  v_language := private.text_language(lower(left(v_query, 400)));
  v_terms := private.terms_in(p_conversation_id, v_query, v_language);
  if coalesce(cardinality(v_terms), 0) = 0 then
    return;
  end if;
  v_spoken := private.spoken_language(p_conversation_id, p_before);
  v_found := private.recall_by_words(
    p_conversation_id, p_before, p_own, v_terms,
    case when v_spoken = v_language then v_terms else private.terms_in(p_conversation_id, v_query, v_spoken) end,
    private.more_terms(p_conversation_id, v_query, array[v_language, v_spoken]), p_hidden);
  v_positions := v_found.positions;
  v_scores := v_found.scores;

  if p_embedding is not null then
    begin
      select array_agg(coalesce(w.position, m.found_at)),
             array_agg(coalesce(1 / (c_rank + w.place), 0) + coalesce(1 / (c_rank + m.place), 0))
      into v_positions, v_scores
      from unnest(v_positions) with ordinality w (position, place)
      full join private.nearest(p_conversation_id, p_before, p_own, p_hidden, p_embedding) m on m.found_at = w.position;
      v_most_bytes := 65536;
    -- If anything is wrong with an embedding, the messages found by words remain.
    exception when others then
      raise warning 'nothing is found by meaning in %: % %', p_conversation_id, sqlstate, sqlerrm;
    end;
  end if;
  if v_positions is null then
    return;
  end if;

  with read as (
    select m.sender, m.position, m.created_at, f.score, m.content,
           case when m.sender = 'character' then coalesce(m.character_id, p_character_id) end as character_id,
           row_number() over best as place,
           sum(octet_length(m.content)) over (
             partition by octet_length(m.content) > c_long
             order by f.score desc, m.position desc rows unbounded preceding) as bytes
    from unnest(v_positions, v_scores) f (position, score)
    -- One by one: the planner would rather read all messages of the conversation.
    cross join lateral (
      select * from shared.messages m
      where m.conversation_id = p_conversation_id and m.position = f.position and m.is_active and m.is_speech
        and octet_length(m.content) <= v_most_bytes
      limit 1) m
    window best as (order by f.score desc, m.position desc))
  select case when count(*) > 0 then json_build_object(
      'content', json_agg(case when p_kept @> r.position then null else r.content end order by r.place),
      'position', json_agg(r.position order by r.place),
      'sender', string_agg(left(r.sender, 1), '' order by r.place),
      'character_id', json_agg(nullif(r.character_id, p_character_id) order by r.place),
      'score', json_agg(r.score::real order by r.place),
      -- A product's message may have any time, or none.
      'said_at', json_agg(case when r.created_at between '1970-01-01' and '2500-01-01' then
        extract(epoch from r.created_at)::bigint end order by r.place)) end,
    array_agg(r.character_id order by r.place)
  into messages, speakers
  from read r where r.bytes <= v_most_bytes;
  speakers := array(select ch.id from shared.characters ch where ch.id = any (speakers));
end $$;
revoke execute on function private.recall(uuid, uuid, bigint, bigint, text, int8multirange, jsonb, int8range)
  from public, anon, authenticated;
