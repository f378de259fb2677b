-- Messages of a conversation that bear on what a person says, wherever they are in it.

-- `messages` are those found and their neighbours, the best first: [{"sender", "content", "position",
-- "score", "said_at"}], with "character_id" and "speaker" as private.history has them. Some may be in
-- the history as well. Only messages before p_before are found, and not p_except, which asks.
--
-- A message scores the sum of its terms' weights, the rarer the more. An answer often repeats no word
-- of its question, so the messages beside one that was found get a share of its score. Nothing is found
-- if the best has hardly any of the terms: what was said then bears on nothing in particular.
-- `speakers` are the characters who wrote any of them.
create function private.recall(
  p_conversation_id uuid, p_before bigint, p_except uuid, p_query text,
  out messages jsonb, out speakers uuid[])
language plpgsql stable set search_path = ''
-- begin_turn plans without bitmaps, and an index of terms has no other scan. A plan that was made while
-- there were few messages, and is kept, must not take all of them apart later.
set enable_bitmapscan = on set enable_seqscan = off as $$
declare
  c_most_terms constant integer := 24;
  -- Of one term: a word that is in more messages tells nothing.
  c_most_hits constant integer := 300;
  c_most_found constant integer := 64;
  -- Of the weight of all terms, and of the best score.
  c_least_share constant double precision := 0.1;
  c_most_bytes constant integer := 65536;
  v_terms bigint[];
  v_others bigint[];
begin
  messages := '[]';
  speakers := '{}';
  v_terms := private.search_terms(p_conversation_id, left(p_query, 1000));
  if coalesce(cardinality(v_terms), 0) = 0 then
    return;
  end if;
  -- A short question may not tell its language; what was said before it does.
  v_others := private.terms_in(p_conversation_id, left(p_query, 1000), (
    select private.text_language(lower(left(string_agg(m.content, ' '), 400)))
    from (
      select left(m.content, 200) as content from shared.messages m
      where m.conversation_id = p_conversation_id and m.is_active and m.is_speech and m.position < p_before
      order by m.position desc limit 2) m));

  with hits as materialized (
    select t.term, m.position
    from (select a.term from unnest(v_terms || v_others) a (term) group by a.term limit c_most_terms) t
    cross join lateral (
      -- The terms are those of this conversation. Asked for nothing else, no other index fits.
      select m.id, m.position, m.is_speech from shared.messages m
      where private.search_terms(m.conversation_id, m.content) @> array[t.term] and m.is_active
      limit c_most_hits) m
    where m.is_speech and m.position < p_before and m.id is distinct from p_except),
  weights as (
    select t.term, ln(1 + 1000.0 / greatest(count(h.position), 1))::double precision as weight
    from unnest(v_terms || v_others) t (term) left join hits h on h.term = t.term group by t.term),
  found as materialized (
    select h.position, sum(w.weight) as score from hits h join weights w on w.term = h.term
    group by h.position
    having sum(w.weight) >= c_least_share * least(
      (select sum(a.weight) from weights a where a.term = any (v_terms)),
      (select sum(a.weight) from weights a where a.term = any (v_others)))
    order by 2 desc, 1 desc limit c_most_found),
  near as (
    select f.position, f.position as found_at, 0 as distance, f.score from found f
    union all
    select n.position, f.position, n.distance, f.score
    from found f cross join lateral (
      (select m.position, row_number() over (order by m.position desc) as distance from shared.messages m
       where m.conversation_id = p_conversation_id and m.is_active and m.is_speech and m.position < f.position
       order by m.position desc limit 2)
      union all
      (select m.position, row_number() over (order by m.position) from shared.messages m
       where m.conversation_id = p_conversation_id and m.is_active and m.is_speech and m.position > f.position
         and m.position < p_before and m.id is distinct from p_except
       order by m.position limit 2)) n),
  scored as (
    select n.position,
           coalesce(max(n.score) filter (where n.distance = 0), 0)
           + 0.7 * coalesce(max(n.score) filter (where n.distance = 1), 0)
           + 0.2 * coalesce(max(n.score) filter (where n.distance = 2), 0) as score
    from near n group by n.position),
  best as (
    select s.*, max(s.score) over () as best_score from scored s),
  read as (
    select m.sender, m.content, m.position, m.created_at, b.score, ch.id as character_id, ch.name as speaker,
           sum(octet_length(m.content)) over (order by b.score desc, m.position desc) as bytes
    from best b
    join shared.messages m on m.conversation_id = p_conversation_id and m.position = b.position
      and m.is_active and m.is_speech
    left join shared.conversations c on c.id = p_conversation_id and m.sender = 'character'
    left join shared.characters ch on ch.id = coalesce(m.character_id, c.character_id)
    where b.score >= c_least_share * b.best_score)
  select coalesce(jsonb_agg(
      jsonb_build_object('sender', r.sender, 'content', r.content, 'position', r.position,
                         'score', r.score, 'said_at', r.created_at)
      || case when r.character_id is null then '{}'
         else jsonb_build_object('character_id', r.character_id, 'speaker', r.speaker) end
      order by r.score desc, r.position desc), '[]'),
    coalesce(array_agg(distinct r.character_id) filter (where r.character_id is not null), '{}')
  into messages, speakers
  from read r where r.bytes <= c_most_bytes;
end $$;
revoke execute on function private.recall(uuid, bigint, uuid, text) from public, anon, authenticated;
