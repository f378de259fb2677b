-- The position of the last message of a conversation that said a fact: the fact's own source, or the copy of that
-- message in a branch. Null if another conversation said it later, or if positions cannot tell which was later.
create function private.place_in(p_conversation_id uuid, p_fact public.memory_facts) returns bigint
language sql stable set search_path = '' as $$
  select case
    when p_fact.source_conversation_id = p_conversation_id then greatest(p_fact.source_to, p_fact.repeated_to)
    else (
      select max(r.position) filter (where r.conversation_id = p_conversation_id)
      from private.fact_repeats r where r.fact_id = p_fact.id
      having max(r.position) filter (where r.conversation_id = p_conversation_id and r.is_copied)
             >= greatest(p_fact.source_to, p_fact.repeated_to)
         and bool_and(r.is_copied or r.conversation_id = p_conversation_id
                      or coalesce(r.conversation_id = p_fact.source_conversation_id, false))) end
$$;

-- Whether a fact was said later than another: by position within a conversation (also a branch, if it is given),
-- by time between two, or if a user wrote one of them.
create function private.is_later(
  p_fact public.memory_facts, p_other public.memory_facts, p_conversation_id uuid default null) returns boolean
language sql stable set search_path = '' as $$
  select coalesce(
    case
      when p_fact.written_by <> 'model' or p_other.written_by <> 'model' then null
      when p_fact.source_conversation_id = p_other.source_conversation_id
      then greatest(p_fact.source_to, p_fact.repeated_to) > greatest(p_other.source_to, p_other.repeated_to)
      when p_conversation_id is not null
      then private.place_in(p_conversation_id, p_fact) > private.place_in(p_conversation_id, p_other) end,
    p_fact.said_at > p_other.said_at, false)
$$;

-- A fact that a model noted, as private.note_fact takes it, and where it was said.
create type private.fact_note as (
  tier text, content text, gist text, importance integer, subject text, topic text, "from" bigint, "to" bigint,
  in_full boolean, replaces uuid[], extends uuid, same_as uuid, is_change boolean, is_withdrawal boolean,
  -- As in memory_facts, and of the plain text: private.plain_gist.
  plain_digest text, plain_gist text,
  -- The time of the newest message that it was drawn from. A product's message may have any time, or none.
  said_at timestamptz,
  -- That message, if there is only one, and whether a user wrote it.
  message_id uuid, is_users boolean,
  -- As a user shaped this fact: they turned it off or deleted it, chose its tier, or how much it matters.
  is_off boolean, is_moved boolean, is_rated boolean);

create function private.read_note(p_conversation_id uuid, p_note jsonb) returns private.fact_note
language plpgsql stable set search_path = '' as $$
declare
  v_note private.fact_note := jsonb_populate_record(null::private.fact_note, p_note);
begin
  v_note.is_withdrawal := coalesce(v_note.is_withdrawal, false);
  v_note.plain_digest := md5(private.plain_words(v_note.content));
  v_note.plain_gist := private.plain_gist(v_note.content);
  select max(m.created_at) filter (where m.created_at between '1970-01-01' and '2500-01-01'),
         case when count(*) = 1 then min(m.id::text)::uuid end,
         count(*) = 1 and bool_and(m.sender = 'user')
  into v_note.said_at, v_note.message_id, v_note.is_users
  from shared.messages m
  where m.conversation_id = p_conversation_id and m.is_active and m.is_speech
    and m.position between v_note."from" and v_note."to";
  return v_note;
end $$;

-- The rank of a tier, from the narrowest.
create function private.reach(p_tier text) returns integer
language sql immutable set search_path = '' as $$
  select array_position(array['conversation', 'character', 'profile'], p_tier)
$$;

-- The note with the tier and the importance that a user chose for this fact, and whether the user rejected it.
create function private.as_shaped(
  p_conversation shared.conversations, p_character_id uuid, p_note private.fact_note) returns private.fact_note
language plpgsql stable set search_path = '' as $$
declare
  v_note private.fact_note := p_note;
  v_widest integer;
  v_least integer;
  v_importance integer;
begin
  select bool_or(s.is_off), min(private.reach(s.tier)), min(s.importance),
         min(private.reach(s.tier)) filter (where s.comes_back)
  into v_note.is_off, v_widest, v_importance, v_least
  from (
    select not f.is_active as is_off, case when f.is_moved then m.tier end as tier,
           case when f.is_rated then f.importance end as importance, false as comes_back
    from public.memory_facts f join public.memories m on m.id = f.memory_id
    where m.user_id = p_conversation.user_id and not f.is_withdrawal
      and (f.is_moved or f.is_rated or not f.is_active)
      and (f.plain_digest = p_note.plain_digest or f.gist in (p_note.gist, p_note.plain_gist) or f.id = p_note.extends)
    union all
    select g.unwanted_until is not null and coalesce(g.conversation_id = p_conversation.id, true),
           case when g.conversation_id is null then g.tier else 'conversation' end,
           g.importance, g.tier = 'profile' or g.character_id = p_character_id
    from private.forgotten_facts g
    where g.user_id = p_conversation.user_id and g.plain_digest in (p_note.plain_digest, p_note.gist, p_note.plain_gist)
      and (g.unwanted_until is null or not p_note.is_users or (p_note.said_at > g.unwanted_until) is not true)) s;
  v_note.tier := (array['conversation', 'character', 'profile'])[
    least(greatest(private.reach(p_note.tier), v_least), v_widest)];
  v_note.importance := coalesce(v_importance, p_note.importance);
  v_note.is_moved := v_widest is not null;
  v_note.is_rated := v_importance is not null;
  return v_note;
end $$;

-- Records that a fact was said again, and returns it; null if it is new. Only its wording, and the time since when it
-- holds, may change.
create function private.repeat_fact(
  p_conversation_id uuid, p_user_id uuid, p_memory_id uuid, p_tier text, p_note private.fact_note)
returns public.memory_facts
language plpgsql set search_path = '' as $$
declare
  v_known public.memory_facts;
  v_fact public.memory_facts;
  v_is_repeated boolean;
  v_is_earlier boolean;
  v_gets_topic boolean;
begin
  select f.* into v_known from public.memory_facts f join public.memories m on m.id = f.memory_id
  where m.user_id = p_user_id and f.replaced_by is null and not f.is_withdrawal
    and (f.id = p_note.same_as
         or f.memory_id = p_memory_id and (f.plain_digest = p_note.plain_digest or f.gist = p_note.gist))
    -- It is another one if something else was said between the two.
    and not exists (
      select from public.memory_facts o
      where o.replaced_by = f.id and not o.is_withdrawal and o.source_conversation_id = p_conversation_id
        and f.written_by = 'model' and not f.pinned and f.source_conversation_id = p_conversation_id
        and o.source_from > p_note."to" and o.source_to < f.source_from)
  order by f.id = p_note.same_as desc nulls last, f.plain_digest = p_note.plain_digest desc, f.id limit 1;
  if not found then
    return null;
  end if;
  v_is_repeated := v_known.written_by = 'model' and p_note.message_id is not null;
  -- Its source is the first message that says it here: without a later one it still holds.
  v_is_earlier := v_is_repeated and p_note.in_full and v_known.source_message_id is not null
    and v_known.source_conversation_id = p_conversation_id and p_note."to" < v_known.source_from;
  v_gets_topic := v_known.written_by = 'model' and v_known.topic is null
    and btrim(p_note.topic) <> '' and btrim(p_note.subject) <> '';
  update public.memory_facts f
  set last_used_at = now(),
      importance = case when f.is_rated then f.importance else greatest(f.importance, p_note.importance) end,
      said_at = case when v_is_repeated then greatest(f.said_at, p_note.said_at) else f.said_at end,
      repeated_to = case
        when v_is_earlier then greatest(f.repeated_to, f.source_to)
        when v_is_repeated and f.source_conversation_id = p_conversation_id and p_note."to" > f.source_to
        then greatest(f.repeated_to, p_note."to") else f.repeated_to end,
      source_message_id = case when v_is_earlier then p_note.message_id else f.source_message_id end,
      source_from = case when v_is_earlier then p_note."from" else f.source_from end,
      source_to = case when v_is_earlier then p_note."to" else f.source_to end,
      since = case
        when v_is_repeated and p_note.is_change and p_note.said_at > f.said_at then p_note.said_at else f.since end,
      -- A model may leave out the topic at first.
      subject = case when v_gets_topic then left(btrim(p_note.subject), 80) else f.subject end,
      topic = case when v_gets_topic then left(btrim(p_note.topic), 80) else f.topic end,
      -- What an adult turn says again stays for everybody, in the words that it had.
      content = case when f.written_by = 'person' or f.pinned or f.content_tier = 'sfw' and p_tier = 'nsfw' or exists (
          select from public.memory_facts o
          where o.memory_id = f.memory_id and o.id <> f.id and o.replaced_by is null and not o.is_withdrawal
            and o.plain_digest = p_note.plain_digest)
        then f.content else p_note.content end
  where f.id = v_known.id
  returning f.* into v_fact;
  if v_is_repeated and p_note.message_id is distinct from v_known.source_message_id then
    insert into private.fact_repeats (fact_id, conversation_id, position)
    values (v_fact.id, p_conversation_id, case when v_is_earlier then v_known.source_to else p_note."to" end)
    on conflict do nothing;
    delete from private.fact_repeats r using (
      select o.conversation_id, o.position from private.fact_repeats o
      where o.fact_id = v_fact.id order by o.position desc offset 20) o
    where r.fact_id = v_fact.id and r.conversation_id = o.conversation_id and r.position = o.position;
  end if;
  if not v_is_repeated and p_note.in_full then
    -- A user's own text keeps its time, but what contradicts it may be older than this message.
    v_fact.said_at := greatest(v_fact.said_at, p_note.said_at);
  end if;
  return v_fact;
end $$;

-- Whether a fact was noted from the same messages before (or from the messages that a branch copied), and has been
-- replaced since.
create function private.was_replaced(p_conversation_id uuid, p_user_id uuid, p_note private.fact_note) returns boolean
language plpgsql stable set search_path = '' as $$
begin
  return exists (
    select from public.memory_facts f join public.memories m on m.id = f.memory_id
    where m.user_id = p_user_id and (f.plain_digest = p_note.plain_digest or f.gist = p_note.gist)
      and f.replaced_by is not null and f.is_withdrawal = p_note.is_withdrawal
      and (f.source_conversation_id = p_conversation_id
           and f.source_from <= p_note."to" and f.source_to >= p_note."from"
           or exists (
             select from private.fact_repeats r
             where r.fact_id = f.id and r.conversation_id = p_conversation_id
               and r.position between p_note."from" and p_note."to")));
end $$;

-- The place of a noted fact among the facts that it contradicts: the ids of those that it replaces, of those of wider
-- tiers, which it hides, of the next later one, which replaces it, and of later ones of narrower tiers, which hide it.
create function private.place_among(
  p_conversation_id uuid, p_user_id uuid, p_character_id uuid, p_note private.fact_note, p_fact public.memory_facts,
  p_is_same boolean,
  out replaced uuid[], out hidden uuid[], out newer uuid, out hiding uuid[])
language plpgsql stable set search_path = '' as $$
declare
  v_reach constant integer := private.reach((select m.tier from public.memories m where m.id = p_fact.memory_id));
begin
  select array_agg(f.id) filter (where not o.is_later and o.reach <= v_reach),
         coalesce(array_agg(f.id) filter (where not o.is_later and o.reach > v_reach), '{}'),
         min(f.id::text) filter (where o.is_later and o.reach >= v_reach)::uuid,
         array_agg(f.id) filter (where o.is_later and o.reach < v_reach)
  into replaced, hidden, newer, hiding
  from public.memory_facts f join public.memories m on m.id = f.memory_id
  cross join lateral (
    select private.is_later(f, p_fact, p_conversation_id) as is_later, private.reach(m.tier) as reach) o
  where m.user_id = p_user_id
    and (m.tier = 'profile' or m.conversation_id = p_conversation_id or m.character_id = p_character_id)
    -- What is off stays off, and as it is.
    and f.id <> p_fact.id and f.replaced_by is null and f.is_active and f.written_by = 'model' and not f.pinned
    and case
      -- It was withdrawn later. An older withdrawal says nothing of what is said now.
      when f.is_withdrawal then
        not p_is_same and o.is_later and (f.plain_digest = p_note.plain_digest or f.gist = p_note.gist)
      else f.id = any (p_note.replaces) or not p_is_same and (
        f.id = p_note.extends or f.slot = p_fact.slot
        -- It was said once more, after something else.
        or f.id = p_note.same_as
        or f.memory_id = p_fact.memory_id and (f.plain_digest = p_fact.plain_digest or f.gist = p_fact.gist)) end;
  if newer is null or p_is_same or p_note.is_withdrawal then
    return;
  end if;
  -- It stands in the history where it was said: after those that it replaces, before the next one.
  with recursive known as (
    select f.id, f.replaced_by, private.is_later(f, p_fact, p_conversation_id) as is_later,
           private.reach(m.tier) > v_reach as is_wider, private.reach(m.tier) < v_reach as is_narrower
    from public.memory_facts f join public.memories m on m.id = f.memory_id
    where m.user_id = p_user_id
      and (m.tier = 'profile' or m.conversation_id = p_conversation_id or m.character_id = p_character_id)
      and f.id <> p_fact.id and f.replaced_by is not null and not f.is_withdrawal
      and f.written_by = 'model' and not f.pinned
      and (f.id = any (p_note.replaces) or f.id = p_note.extends or f.slot = p_fact.slot
           -- What the same text replaced.
           or f.replaced_by = newer and exists (
             select from public.memory_facts s
             where s.id = newer and (s.plain_digest = p_fact.plain_digest or s.gist = p_fact.gist)))),
  later as (
    select newer as id, 0 as place
    union
    select k.id, l.place + 1 from later l join known k on k.replaced_by = l.id
    where k.is_later and not k.is_narrower),
  older as (
    select k.id, k.is_wider from known k join later l on l.id = k.replaced_by where not k.is_later)
  select (select l.id from later l order by l.place desc, l.id limit 1),
         replaced || coalesce(array_agg(o.id) filter (where not o.is_wider), '{}'),
         hidden || coalesce(array_agg(o.id) filter (where o.is_wider), '{}')
  into newer, replaced, hidden
  from older o;
end $$;

-- Gives a noted fact its place among those that it contradicts.
create function private.take_place(
  p_conversation_id uuid, p_user_id uuid, p_character_id uuid, p_note private.fact_note, p_fact public.memory_facts,
  p_is_same boolean) returns void
language plpgsql set search_path = '' as $$
declare
  v_place record;
  v_changed uuid[];
  v_hidden uuid[];
  v_later uuid[];
  v_earlier uuid[];
begin
  select * into v_place
  from private.place_among(p_conversation_id, p_user_id, p_character_id, p_note, p_fact, p_is_same);
  -- A wider one may have the same words, if it was not among those that the model knew.
  select array_agg(f.id) into v_changed from public.memory_facts f
  where f.id = any (v_place.replaced || v_place.hidden) and f.plain_digest <> p_note.plain_digest
    and (f.gist = p_note.gist) is not true;
  -- What a replaced fact hid stays hidden.
  select v_place.hidden || coalesce(array_agg(h.id), '{}') into v_hidden
  from public.memory_facts f cross join unnest(f.hides) h (id)
  where f.id = any (v_place.replaced) and h.id <> p_fact.id;
  -- The user may have made one their own meanwhile.
  update public.memory_facts f set replaced_by = p_fact.id
  where f.id = any (v_place.replaced) and f.written_by = 'model' and not f.pinned;
  perform private.hide_too(v_place.replaced, p_fact.id, false);
  update public.memory_facts f set hides = array_append(array_remove(f.hides, p_fact.id), p_fact.id)
  where f.id = any (v_place.hiding);
  update public.memory_facts f
  set hides = array(select unnest(f.hides) union select unnest(v_hidden) order by 1),
      replaced_by = case when p_is_same then f.replaced_by else v_place.newer end,
      since = case
        when p_is_same then f.since
        when p_note.is_change or exists (select from unnest(v_changed) r (id) where r.id is distinct from p_note.extends)
        then f.said_at
        else (select e.since from public.memory_facts e where e.id = p_note.extends) end
  where f.id = p_fact.id and (not p_is_same or v_hidden <> '{}');
  -- Of two that hide each other, the later one is shown.
  select coalesce(array_agg(h.id) filter (where o.is_later), '{}'), coalesce(array_agg(h.id) filter (where not o.is_later), '{}')
  into v_later, v_earlier
  from public.memory_facts own
  join public.memory_facts h on h.id = any (own.hides) and own.id = any (h.hides)
  cross join lateral (select private.is_later(h, own, p_conversation_id) as is_later) o
  where own.id = p_fact.id;
  if v_later <> '{}' or v_earlier <> '{}' then
    update public.memory_facts f
    set hides = case f.id when p_fact.id then array(select unnest(f.hides) except select unnest(v_later) order by 1)
                          else array_remove(f.hides, p_fact.id) end
    where f.id = any (v_earlier || p_fact.id);
  end if;
  -- What takes the place of a fact that the user rated matters as much to them.
  update public.memory_facts f set importance = o.importance, is_rated = true
  from (
    select o.importance from public.memory_facts o
    where o.id = any (v_place.replaced || v_hidden) and o.is_rated order by o.said_at desc nulls last, o.id limit 1) o
  where f.id = p_fact.id and not p_is_same and not p_note.is_withdrawal and not f.is_rated;
end $$;

-- Saves one fact that a model noted, and replaces those that it contradicts.
-- p_note has
--   tier, content, gist, importance, subject, topic    of memory_facts
--   from, to        the positions of the messages that it was drawn from
--   in_full         it is one message, which has all of its words
--   is_for_all      what somebody does not want: see private.note_for_listeners
--   replaces        ids of the facts that no longer hold; also those of its subject and topic
--   extends         the id of a fact that says less of the same
--   same_as         the id of the fact that it repeats: nothing is added
--   is_change       it does not agree with a fact that stays, because a user wrote or pinned that
--   is_withdrawal   nothing holds in their place
-- The fact that was said later wins. A fact of a narrower tier does not replace one of a wider tier, which still holds
-- elsewhere, but hides it where both are known. Pinned facts and those that a user wrote are not changed.
-- A fact that a user turned off or deleted is not noted in any memory, unless they say it in a message after deleting
-- it. One that they moved is not noted in a wider tier, and one that they rated keeps its importance, also in what
-- replaces it. If such a fact was lost with its message, it comes back as the user had it.
create function private.note_fact(p_conversation shared.conversations, p_character_id uuid, p_tier text, p_note jsonb)
returns void
language plpgsql set search_path = '' as $$
declare
  v_note private.fact_note := private.read_note(p_conversation.id, p_note);
  v_memory_id uuid;
  v_fact public.memory_facts;
  v_is_same boolean;
begin
  if not v_note.is_withdrawal then
    v_note := private.as_shaped(p_conversation, p_character_id, v_note);
  end if;
  if v_note.tier = 'character' and p_character_id is null
     -- What a user wrote themselves since, they want.
     or v_note.is_off and not exists (
       select from public.memory_facts f where f.id = v_note.same_as and f.written_by = 'person' and f.is_active) then
    return;
  end if;
  insert into public.memories as m (user_id, tier, conversation_id, character_id)
  values (p_conversation.user_id, v_note.tier, case v_note.tier when 'conversation' then p_conversation.id end,
          case v_note.tier when 'character' then p_character_id end)
  on conflict (user_id, tier, conversation_id, character_id) do update set tier = excluded.tier
  returning m.id into v_memory_id;

  if not v_note.is_withdrawal then
    v_fact := private.repeat_fact(p_conversation.id, p_conversation.user_id, v_memory_id, p_tier, v_note);
  end if;
  v_is_same := v_fact.id is not null;
  if not v_is_same then
    if private.was_replaced(p_conversation.id, p_conversation.user_id, v_note) then
      return;
    end if;
    insert into public.memory_facts (
      memory_id, content, gist, written_by, content_tier, importance, is_rated, is_moved, subject, topic,
      source_conversation_id, source_message_id, source_from, source_to, said_at, is_withdrawal,
      -- It has a replacement until all others are replaced: there is one current fact with a text.
      replaced_by)
    values (v_memory_id, v_note.content, v_note.gist, 'model', p_tier, coalesce(v_note.importance, 3),
            coalesce(v_note.is_rated, false), coalesce(v_note.is_moved, false),
            nullif(btrim(left(v_note.subject, 80)), ''), nullif(btrim(left(v_note.topic, 80)), ''),
            p_conversation.id, v_note.message_id, v_note."from", v_note."to", v_note.said_at, v_note.is_withdrawal,
            gen_random_uuid())
    returning * into v_fact;
  end if;
  perform private.take_place(p_conversation.id, p_conversation.user_id, p_character_id, v_note, v_fact, v_is_same);
end $$;

-- Saves a fact for the other characters of the conversation, who heard what p_character_id heard; p_note is as in
-- private.note_fact. A character whose own fact it contradicts gets it in place of that fact. The turn has not read the
-- other characters' facts, so their texts are not compared: a fact is contradicted if it has the same subject and topic
-- and neither text begins with the other, or if it is the one that the new fact replaces for p_character_id. A limit
-- (is_for_all) goes to all characters, because one who does not know it would break it.
create function private.note_for_listeners(
  p_conversation shared.conversations, p_character_id uuid, p_tier text, p_note jsonb) returns void
language plpgsql set search_path = '' as $$
declare
  v_note record;
  v_plain constant text := private.plain_words(p_note ->> 'content');
  v_listener record;
begin
  select n.*, md5(private.plain_words(nullif(btrim(left(n.subject, 80)), '')))
           || md5(private.plain_words(nullif(btrim(left(n.topic, 80)), ''))) as slot,
         same.written_by as same_by, same.tier as same_tier,
         n.tier = 'character' and n.is_for_all and coalesce(same.tier = 'character', true) as is_told_to_all
  into v_note
  from jsonb_to_record(p_note) as n (
    tier text, gist text, subject text, topic text, replaces uuid[], same_as uuid, is_withdrawal boolean,
    is_for_all boolean)
  left join (
    select f.id, f.written_by, m.tier from public.memory_facts f join public.memories m on m.id = f.memory_id) same
    on same.id = n.same_as;
  if v_note.same_tier = 'character' and v_note.same_by = 'person' then
    -- The user wrote it for one character.
    return;
  end if;
  for v_listener in
    select c.character_id, own.contradicted
    from private.members(p_conversation) c
    cross join lateral (
      select coalesce(array_agg(f.id), '{}') as contradicted
      from public.memories m
      join public.memory_facts f on f.memory_id = m.id
      cross join lateral (
        select f.plain_digest = md5(v_plain) or coalesce(f.gist = v_note.gist, false) as is_same,
               exists (
                 select from public.memory_facts o
                 where o.id = any (v_note.replaces)
                   and (o.plain_digest = f.plain_digest or o.gist = f.gist)) as is_replaced) o
      where m.character_id = c.character_id and m.user_id = p_conversation.user_id and m.tier = 'character'
        and f.replaced_by is null and not f.is_withdrawal and f.is_active and f.written_by = 'model' and not f.pinned
        and case
          when v_note.is_withdrawal then o.is_same or o.is_replaced
          when o.is_same then false
          else o.is_replaced or f.slot = v_note.slot
            and not starts_with(private.plain_words(f.content) || ' ', v_plain || ' ')
            and not starts_with(v_plain || ' ', private.plain_words(f.content) || ' ') end) own
    where c.character_id is distinct from p_character_id and (v_note.is_told_to_all or own.contradicted <> '{}')
  loop
    perform private.note_fact(
      p_conversation, v_listener.character_id, p_tier,
      -- The fact that it extends or repeats may be one that only the speaker has.
      p_note - 'extends'::text - case when v_note.same_tier = 'character' then 'same_as' else '' end
      || jsonb_build_object('replaces', v_note.replaces || v_listener.contradicted));
  end loop;
end $$;

-- The character that a noted fact belongs to: the one who said it, or who answered the message that says it, if they are
-- still there. If no single message says it, and for withdrawals, it is p_speaker: the one in whose turn the notes fell
-- due.
create function private.keeper(p_conversation shared.conversations, p_note jsonb, p_speaker uuid) returns uuid
language plpgsql stable set search_path = '' as $$
declare
  v_keeper uuid;
begin
  if p_note ->> 'tier' = 'character' and p_note -> 'from' = p_note -> 'to'
     and (p_note ->> 'is_withdrawal')::boolean is not true then
    select coalesce(m.character_id, p_conversation.character_id) into v_keeper from shared.messages m
    where m.conversation_id = p_conversation.id and m.is_active and m.is_speech and m.sender = 'character'
      and m.position >= (p_note ->> 'from')::bigint
    order by m.position limit 1;
  end if;
  return coalesce(
    (select c.character_id from private.members(p_conversation) c where c.character_id = v_keeper), p_speaker);
end $$;

-- Saves one fact that a model noted in a turn of p_speaker, for every character whom it concerns; p_note is as in
-- private.note_fact. The model was shown the facts of p_speaker, so a note that changes or repeats one of them also does
-- so for p_speaker.
create function private.note_for_all(
  p_conversation shared.conversations, p_speaker uuid, p_tier text, p_note jsonb) returns void
language plpgsql set search_path = '' as $$
declare
  v_keeper constant uuid := private.keeper(p_conversation, p_note, p_speaker);
  v_named uuid[];
  v_is_persons boolean;
begin
  if v_keeper is distinct from p_speaker then
    select array_agg(f.id), bool_or(f.written_by = 'person' and f.id::text = p_note ->> 'same_as')
    into v_named, v_is_persons
    from public.memories m join public.memory_facts f on f.memory_id = m.id
    where m.user_id = p_conversation.user_id and m.character_id = p_speaker
      and (f.id::text in (p_note ->> 'same_as', p_note ->> 'extends') or p_note -> 'replaces' ? f.id::text);
    if v_named is null then
      perform private.note_fact(p_conversation, v_keeper, p_tier, p_note);
      perform private.note_for_listeners(p_conversation, v_keeper, p_tier, p_note);
      return;
    elsif v_is_persons is not true then
      perform private.note_fact(
        p_conversation, v_keeper, p_tier,
        p_note - 'extends'::text - case when p_note ->> 'same_as' = any (v_named::text[]) then 'same_as' else '' end);
    end if;
  end if;
  perform private.note_fact(p_conversation, p_speaker, p_tier, p_note);
  perform private.note_for_listeners(p_conversation, p_speaker, p_tier, p_note);
end $$;

-- p_note with the ids of facts that it refers to by gist, because the same answer noted them before it: replaces_noted
-- becomes part of `replaces`, and extends_noted `extends`.
--
-- A fact that a user has reworded since the model saw it (p_seen: texts by ids) says something else now, so the note
-- does not repeat, extend or replace it.
create function private.with_noted(p_user_id uuid, p_note jsonb, p_seen jsonb) returns jsonb
language sql stable set search_path = '' as $$
  with noted as materialized (
    select f.id, f.gist, f.replaced_by is null as is_current, f.created_at
    from public.memory_facts f join public.memories m on m.id = f.memory_id
    where p_note ?| array['replaces_noted', 'extends_noted'] and m.user_id = p_user_id and f.written_by = 'model'
      and not f.is_withdrawal and (p_note -> 'replaces_noted' ? f.gist or f.gist = p_note ->> 'extends_noted')),
  reworded as materialized (
    select array_agg(f.id::text) as ids
    from public.memory_facts f join public.memories m on m.id = f.memory_id
    where m.user_id = p_user_id and f.written_by = 'person' and f.content <> p_seen ->> f.id::text
      and f.id in (
        select s.id::uuid from jsonb_array_elements_text(coalesce(p_note -> 'replaces', '[]')) s (id)
        union all values ((p_note ->> 'same_as')::uuid), ((p_note ->> 'extends')::uuid))),
  known as (
    select p_note - case when p_note ->> 'same_as' = any (r.ids) then 'same_as' else '' end
                  - case when p_note ->> 'extends' = any (r.ids) then 'extends' else '' end
           || jsonb_build_object('replaces', coalesce(p_note -> 'replaces', '[]') - coalesce(r.ids, '{}')) as note
    from reworded r)
  select k.note || jsonb_strip_nulls(jsonb_build_object(
    'replaces', k.note -> 'replaces' || coalesce((
      select jsonb_agg(n.id) from noted n where p_note -> 'replaces_noted' ? n.gist), '[]'),
    'extends', coalesce(k.note -> 'extends', (
      select to_jsonb(n.id) from noted n where n.gist = p_note ->> 'extends_noted'
      order by n.is_current desc, n.created_at desc, n.id limit 1))))
  from known k
$$;

-- Marks users' own facts as compared with the facts that the notes knew. They get the importance that their words tell,
-- and hide only what the notes say. p_read is [{"id", "content", "importance": null if the user rated it}].
create function private.read_own_facts(p_user_id uuid, p_read jsonb) returns void
language sql set search_path = '' as $$
  update public.memory_facts f
  set is_unread = false, hides = '{}',
      importance = case when f.is_rated then f.importance else coalesce(r.importance, f.importance) end
  from jsonb_to_recordset(p_read) r (id uuid, content text, importance integer)
  join public.memories m on m.user_id = p_user_id
  where f.id = r.id and f.memory_id = m.id and f.is_unread and f.content = r.content
$$;

-- The summary without the sentences that repeat a fact which has been replaced or withdrawn since. When older messages
-- are read again, the model cannot know that, because it is not shown facts that are history.
create function private.without_replaced(p_conversation shared.conversations, p_character_id uuid, p_summary text)
returns text
language sql stable set search_path = '' as $$
  with sentences as materialized (
    select s.sentence, s.place, md5(private.plain_words(s.sentence)) as plain_digest
    from regexp_split_to_table(p_summary, '(?<=[.!?])\s+') with ordinality s (sentence, place)),
  replaced as materialized (
    select f.plain_digest
    from public.memories m join public.memory_facts f on f.memory_id = m.id
    where m.user_id = p_conversation.user_id and not f.is_withdrawal
      and (m.tier = 'profile' or m.conversation_id = p_conversation.id or m.character_id = p_character_id)
      and f.plain_digest in (select s.plain_digest from sentences s)
    group by f.plain_digest having bool_and(f.replaced_by is not null))
  select string_agg(s.sentence, ' ' order by s.place)
  from sentences s where s.plain_digest not in (select r.plain_digest from replaced r)
$$;

-- After an older version of a summary has become current: removes what has been replaced since.
create function private.drop_replaced(p_conversation_id uuid) returns void
language plpgsql set search_path = '' as $$
begin
  update public.conversation_summaries s
  set content = private.without_replaced(c, c.character_id, s.content)
  from shared.conversations c
  where s.conversation_id = p_conversation_id and s.content <> '' and c.id = s.conversation_id
    -- Most often nothing is left out, and then nothing is written. A summary is not emptied, either.
    and private.without_replaced(c, c.character_id, s.content) <> s.content;
end $$;

-- Saves what a model noted: a summary of the messages up to a position, and facts. p_memory is null
-- or has
--   wait_seconds   until another summary of this conversation may start; absent: 0
--   summary        absent: nothing was written. Blank: no model may read the messages
--   most_messages, failures, tried_to    of conversation_summaries
--   from, to       the positions between which the messages lie that the summary adds, or that were tried; absent: only
--                  the wait counts
--   digest         SHA-256 of their texts, joined by newlines, in hex
--   person_digest  the same of the user's part of the summary, which the model was told
--   facts          what private.with_noted and private.note_fact take
--   seen           the texts of the facts that these and `used` name, by their ids
--   read           users' own facts, as private.read_own_facts takes them
--   used           ids of facts that these messages speak of
-- A summary is saved only if it continues the current one and its messages are unchanged. A fact
-- that cannot be saved does not affect the others. Returns whether anything changed.
create function private.remember(p_turn public.turns, p_memory jsonb) returns boolean
language plpgsql set search_path = '' as $$
declare
  v_conversation shared.conversations;
  -- The speaker of the turn.
  v_character_id uuid;
  v_kept public.conversation_summaries;
  v_tier text;
  v_note jsonb;
begin
  if p_memory is null then
    return false;
  end if;
  select * into v_conversation from shared.conversations c where c.id = p_turn.conversation_id;
  if not found then
    return false;
  end if;
  v_character_id := coalesce(p_turn.character_id, v_conversation.character_id);

  -- No message is changed or deleted between here and the end: see private.note_change.
  perform from private.conversation_versions v where v.conversation_id = v_conversation.id for update;
  insert into public.conversation_summaries as s (conversation_id, not_before, updated_at)
  values (v_conversation.id, now() + make_interval(secs => (p_memory ->> 'wait_seconds')::double precision), null)
  on conflict (conversation_id) do update set not_before = excluded.not_before
  returning s.* into v_kept;
  if not v_conversation.remembers or v_kept.covers_position is distinct from (p_memory ->> 'from')::bigint
     or (p_memory ->> 'person_digest') <> encode(sha256(convert_to(v_kept.person_content, 'UTF8')), 'hex')
     or (p_memory ->> 'digest') is distinct from (
       select encode(sha256(convert_to(string_agg(m.content, E'\n' order by m.position), 'UTF8')), 'hex')
       from shared.messages m
       where m.conversation_id = v_conversation.id and m.is_active and m.is_speech
         and m.position > v_kept.covers_position and m.position <= (p_memory ->> 'to')::bigint
         and not exists (
           select from public.hidden_messages h
           where h.conversation_id = m.conversation_id and h.position = m.position)) then
    return false;
  end if;
  update public.conversation_summaries s
  set most_messages = (p_memory ->> 'most_messages')::integer,
      failures = coalesce((p_memory ->> 'failures')::integer, 0),
      tried_to = coalesce((p_memory ->> 'tried_to')::bigint, 0)
  where s.conversation_id = v_conversation.id;
  if p_memory ->> 'summary' is null then
    return false;
  end if;

  v_tier := case when p_turn.content_tier = 'nsfw' then 'nsfw' else private.tier_of(v_conversation.id) end;
  perform private.lock_memory(v_conversation.user_id);
  update public.memory_facts f set last_used_at = now()
  from public.memories m
  where m.id = f.memory_id and m.user_id = v_conversation.user_id
    and f.id in (select u.id::uuid from jsonb_array_elements_text(p_memory -> 'used') u (id))
    and (f.written_by = 'model' or f.content = coalesce(p_memory -> 'seen' ->> f.id::text, f.content));
  perform private.read_own_facts(v_conversation.user_id, p_memory -> 'read');
  for v_note in select n.note from jsonb_array_elements(p_memory -> 'facts') n (note) loop
    begin
      v_note := private.with_noted(v_conversation.user_id, v_note, p_memory -> 'seen');
      perform private.note_for_all(v_conversation, v_character_id, v_tier, v_note);
    exception
      -- Nothing is wrong with the fact.
      when transaction_rollback or lock_not_available then
        raise;
      when others then
        raise warning 'fact of turn % not saved: %', p_turn.id, sqlstate;
    end;
  end loop;
  update public.conversation_summaries s
  set content = coalesce(private.without_replaced(v_conversation, v_character_id, p_memory ->> 'summary'),
                         p_memory ->> 'summary'),
      covers_position = (p_memory ->> 'to')::bigint, content_tier = v_tier
  where s.conversation_id = v_conversation.id;
  perform private.keep_version(v_conversation.id);
  perform private.drop_facts(m.id) from public.memories m
  where m.user_id = v_conversation.user_id
    and (m.tier = 'profile' or m.conversation_id = v_conversation.id or m.character_id = v_character_id
         or m.character_id in (select c.character_id from private.members(v_conversation) c));
  return true;
end $$;

-- The same, but an error in the memory never prevents saving the reply. After a deadlock, or a lock that takes too
-- long, the whole call fails, and is repeated.
create function private.remember_safely(p_turn public.turns, p_memory jsonb) returns boolean
language plpgsql set search_path = '' as $$
begin
  return private.remember(p_turn, p_memory);
exception
  when transaction_rollback or lock_not_available then
    raise;
  when others then
    raise warning 'memory of turn % not saved: %', p_turn.id, sqlstate;
    return false;
end $$;

revoke execute on function private.place_in(uuid, public.memory_facts),
  private.is_later(public.memory_facts, public.memory_facts, uuid),
  private.read_note(uuid, jsonb), private.reach(text),
  private.as_shaped(shared.conversations, uuid, private.fact_note),
  private.repeat_fact(uuid, uuid, uuid, text, private.fact_note),
  private.was_replaced(uuid, uuid, private.fact_note),
  private.place_among(uuid, uuid, uuid, private.fact_note, public.memory_facts, boolean),
  private.take_place(uuid, uuid, uuid, private.fact_note, public.memory_facts, boolean),
  private.note_fact(shared.conversations, uuid, text, jsonb),
  private.note_for_listeners(shared.conversations, uuid, text, jsonb),
  private.keeper(shared.conversations, jsonb, uuid), private.note_for_all(shared.conversations, uuid, text, jsonb),
  private.with_noted(uuid, jsonb, jsonb), private.read_own_facts(uuid, jsonb),
  private.without_replaced(shared.conversations, uuid, text), private.drop_replaced(uuid),
  private.remember(public.turns, jsonb),
  private.remember_safely(public.turns, jsonb) from public, anon, authenticated;

-- Saves what a model noted, after the reply was saved: p_memory as private.remember takes it,
-- p_usage rows of usage_events. Called again it changes nothing. Returns whether anything changed.
create function public.remember(p_turn_id uuid, p_memory jsonb, p_usage jsonb default '[]') returns boolean
language plpgsql security definer set search_path = '' as $$
declare
  v_turn public.turns;
begin
  -- As in begin_turn: one call at a time per user.
  perform private.hold_person(t.user_id) from public.turns t where t.id = p_turn_id;
  select * into v_turn from public.turns t where t.id = p_turn_id;
  perform private.record_usage(p_turn_id, v_turn, p_usage);
  if v_turn.id is null then
    return false;
  end if;
  perform private.remember_repairs(p_usage);
  return private.remember_safely(v_turn, p_memory);
end $$;
revoke execute on function public.remember(uuid, jsonb, jsonb) from public, anon, authenticated;
grant execute on function public.remember(uuid, jsonb, jsonb) to service_role;
