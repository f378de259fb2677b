-- Selects the next speaker in a conversation with several characters.

-- The characters of a conversation that its user may see, in order.
create function private.members(p_conversation shared.conversations)
returns table (character_id uuid, place bigint)
language plpgsql stable set search_path = '' as $$
begin
  return query
    select m.character_id, row_number() over (order by m.position)
    from (
      select (p_conversation).character_id, -1 as position
      union all
      select c.character_id, c.position from public.conversation_characters c
      where c.conversation_id = (p_conversation).id
        and c.character_id is distinct from (p_conversation).character_id) m
    join shared.characters ch on ch.id = m.character_id
    where (ch.is_public or ch.user_id = (p_conversation).user_id)
      and not exists (select from private.take_downs d where d.character_id = ch.id and d.restored_at is null);
end $$;

-- The position, from 1, of the first occurrence of a name in a text, or null. The name must be a
-- word of its own ("Ann" does not match "Annual"), except in scripts without spaces between words. In
-- its own case, it is written as it is, with capitals at the beginning of its words, or all in capitals.
create function private.named_at(p_text text, p_name text, p_in_any_case boolean) returns integer
language sql immutable set search_path = '' as $$
  select nullif(case
    when btrim(p_name) = '' then 0
    -- Most names are not there, and this takes less time than the search for a word.
    when strpos(lower(p_text), lower(btrim(p_name))) = 0 then 0
    -- Thai, Lao, Burmese, Khmer, Kana, Han, and Hangul, as syllables or as jamo (Korean has spaces,
    -- but attaches particles to names)
    when p_name ~ '[\u0E00-\u0EFF\u1000-\u109F\u1100-\u11FF\u1780-\u17FF\u3040-\u30FF\u3400-\u9FFF\uAC00-\uD7AF]'
      then strpos(lower(p_text), lower(btrim(p_name)))
    -- Letters are given by code point, because some locales only know Latin letters.
    else regexp_instr(case when p_in_any_case then lower(p_text) else p_text end,
      '(?<![A-Za-z0-9_\u00C0-\u024F\u0370-\u0DFF\u10A0-\u16FF\u1E00-\u1FFF])(?:'
      || (select string_agg(distinct regexp_replace(btrim(form), '([][\\^$.|?*+(){}])', '\\\1', 'g'), '|')
          from unnest(case when p_in_any_case then array[lower(p_name)]
                           else array[p_name, initcap(p_name), upper(p_name)] end) form)
      || ')(?![A-Za-z0-9_\u00C0-\u024F\u0370-\u0DFF\u10A0-\u16FF\u1E00-\u1FFF])')
  end, 0)
$$;

-- The member whom a text mentions first, or null. A member can be mentioned by name, by nickname,
-- or by the first word of the name if it is unique and not a title, an article or the like. Names in
-- another case count only where nobody is named in theirs: "I hope so, Mara" does not mean Hope.
-- Only the first 8,000 characters are searched, because every name is searched for.
create function private.named_member(p_members uuid[], p_text text) returns uuid
language plpgsql stable set search_path = '' as $$
declare
  v_in_any_case boolean;
  v_member uuid;
begin
  foreach v_in_any_case in array array[false, true] loop
    with known as (
      select m.id, m.place, ch.name, ch.nickname, split_part(btrim(ch.name), ' ', 1) as first_word
      from unnest(p_members) with ordinality m (id, place) join shared.characters ch on ch.id = m.id),
    names as (
      select k.id, k.place, k.name as called from known k
      union all
      select k.id, k.place, k.nickname from known k
      union all
      select max(k.id::text)::uuid, max(k.place), max(k.first_word) from known k
      where char_length(k.first_word) > 1 and lower(k.first_word) <> all (
        '{the,a,an,mr,mr.,mrs,mrs.,ms,ms.,dr,dr.,sir,lady,lord,old,little,der,die,das,herr,frau,le,la,les,el,los,las,il,lo}')
      group by lower(k.first_word) having count(*) = 1),
    named as materialized (
      select n.*, private.named_at(left(p_text, 8000), n.called, v_in_any_case) as at from names n)
    select n.id into v_member from named n
    where n.at is not null
    order by n.at, char_length(n.called) desc, n.place
    limit 1;
    exit when found;
  end loop;
  return v_member;
end $$;

-- The message to regenerate or continue: the active version of the one that the request names; without an id, the
-- newest that is not hidden.
create function private.reply_at(p_conversation_id uuid, p_message_id uuid) returns shared.messages
language plpgsql stable set search_path = '' as $$
declare
  v_hidden constant int8multirange := private.hidden_ranges(p_conversation_id);
  v_message shared.messages;
begin
  if p_message_id is null then
    select * into v_message from shared.messages m
    where m.conversation_id = p_conversation_id and m.is_active and m.is_speech
      and not m.position <@ v_hidden
    order by m.position desc limit 1;
  else
    select m.* into v_message
    from shared.messages named
    join shared.messages m on m.conversation_id = named.conversation_id and m.position = named.position
    where named.id = p_message_id and named.conversation_id = p_conversation_id and m.is_active and m.is_speech;
  end if;
  return v_message;
end $$;

-- Selects the character who speaks in a turn; null if the request names one who is not a member, or
-- if the one whose reply is to be continued no longer is.
--
-- A reply that is regenerated or continued keeps its speaker. Otherwise it is the character named in the
-- request, else the one mentioned in the message. Otherwise the members take turns: more talkative
-- members wait for fewer replies, so that equally talkative ones speak in order and one that is twice as
-- talkative about twice as often. A member whose talkativeness is 0 speaks only when named, or if it is
-- 0 for all.
create function private.speaker(
  -- p_members: private.members in order.
  p_conversation shared.conversations, p_members uuid[], p_character_id uuid, p_action text, p_message text,
  -- The reply to regenerate or continue; null: the newest reply.
  p_message_id uuid
) returns uuid
language plpgsql stable set search_path = '' as $$
declare
  v_newest shared.messages;
  v_speaker uuid;
begin
  if cardinality(p_members) = 0 and (p_conversation).character_id is null then
    return p_character_id;  -- becomes the first member
  elsif p_character_id <> all (p_members) or cardinality(p_members) = 0 then
    return null;
  elsif cardinality(p_members) = 1 and p_action <> 'continue' then
    return p_members[1];
  end if;

  if p_action in ('regenerate', 'continue') then
    v_newest := private.reply_at((p_conversation).id, p_message_id);
    v_speaker := coalesce(v_newest.character_id, (p_conversation).character_id);
    if v_newest.sender = 'character' and v_speaker = any (p_members) then
      return v_speaker;
    elsif v_newest.sender = 'character' and p_action = 'continue' then
      return null;  -- nobody goes on with another character's words
    end if;
  end if;

  return coalesce(
    p_character_id,
    private.named_member(p_members, case when p_action = 'send' then p_message else v_newest.content end),
    (with replies as (
       select coalesce(said.character_id, (p_conversation).character_id) as id,
              row_number() over (order by said.position desc) - 1 as ago
       from (
         select * from shared.messages n
         where n.conversation_id = (p_conversation).id and n.is_active and n.is_speech
         order by n.position desc limit 200) said
       where said.sender = 'character'),
     silent as (
       select m.id, m.place, min(r.ago) as spoke, coalesce(min(r.ago), (select count(*) from replies)) as replies,
              coalesce(ch.talkativeness, 0.5) as talkativeness
       from unnest(p_members) with ordinality m (id, place)
       join shared.characters ch on ch.id = m.id
       left join replies r on r.id = m.id
       group by m.id, m.place, ch.talkativeness),
     newest as (
       select coalesce(max(s.place), 0) as place from silent s
       where s.spoke = (select min(x.spoke) from silent x))
     select s.id from silent s, newest n
     order by s.talkativeness > 0 desc,
       case when n.place > 0 then (s.replies + 1) * s.talkativeness end desc, s.replies desc,
       (s.place - n.place - 1 + cardinality(p_members)) % cardinality(p_members)
     limit 1));
end $$;

-- The members other than the speaker, with the columns that prompt, screening and content policy need.
create function private.others(p_members uuid[], p_speaker uuid) returns jsonb
language plpgsql stable set search_path = '' as $$
begin
  if p_members <@ array[p_speaker] then
    return '[]';  -- Most often nobody.
  end if;
  return (
    select coalesce(jsonb_agg(
      private.character_facts(ch) - '{character_book,greetings,group_only_greetings,system_prompt}'::text[]
        - '{post_history_instructions,depth_prompt,depth_prompt_depth,depth_prompt_role}'::text[]
      order by m.place), '[]')
    from unnest(p_members) with ordinality m (id, place) join shared.characters ch on ch.id = m.id
    where m.id <> p_speaker);
end $$;

revoke execute on function private.members(shared.conversations), private.named_at(text, text, boolean),
  private.named_member(uuid[], text), private.reply_at(uuid, uuid),
  private.speaker(shared.conversations, uuid[], uuid, text, text, uuid),
  private.others(uuid[], uuid) from public, anon, authenticated;
