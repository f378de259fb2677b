-- Import of other programs' conversations, and export of ours in their form. Users import and
-- export them through the function, which reads and writes the files.

-- Whether a user may start a conversation with a character, or play it.
create function private.may_use(p_user_id uuid, p_character shared.characters) returns boolean
language sql stable set search_path = '' as $$
  select private.may_answer(p_user_id, (p_character).id, (p_character).user_id, clock_timestamp())
    and ((p_character).user_id = p_user_id
         or (p_character).is_public and ((p_character).content_rating = 'sfw' or exists (
           select from shared.profiles p where p.id = p_user_id and p.age_verified)))
$$;

-- The user's characters with the names in p_names, at most eight, in the order of the names. A name
-- does not say whose character it is, so only the user's own count.
create function private.own_named(p_user_id uuid, p_names text[], p_except uuid)
returns table (name text, character_id uuid, place bigint)
language sql stable set search_path = '' as $$
  select n.name, ch.id, row_number() over (order by n.place)
  from unnest(p_names) with ordinality n (name, place)
  cross join lateral (
    select c.id from shared.characters c
    where c.user_id = p_user_id and c.id <> p_except and lower(c.name) = lower(n.name)
    order by c.created_at, c.id limit 1) ch
  order by n.place limit 8
$$;

-- Writes the messages of an import into a new conversation. p_speakers has the ids of further characters by
-- the names that messages have, and p_personas those of whom the user played, null for themselves.
--
-- One statement for each table: with one for each message, private.note_change would update the same row each time, and
-- read all its earlier versions.
create function private.write_chat(
  p_conversation_id uuid, p_user_character_id uuid, p_messages jsonb, p_speakers jsonb, p_personas jsonb) returns void
language plpgsql set search_path = '' as $$
declare
  v_positions constant bigint[] := array(
    select shared.next_position() from generate_series(1, jsonb_array_length(p_messages)) order by 1);
  v_rows shared.messages[];
begin
  with said as materialized (
    select e.place, m.*,
           -- The versions of a reply are read in the order of their times, or of their ids where they have one time.
           array(select gen_random_uuid() from generate_series(1, jsonb_array_length(m.versions)) order by 1) as ids,
           count(*) filter (where m.sender = 'user') over (order by e.place) as asked
    from jsonb_array_elements(p_messages) with ordinality e (message, place)
    cross join lateral jsonb_to_record(e.message) as m (
      sender text, name text, said_at timestamptz, versions jsonb, active integer)),
  -- With the user's message before each. Not by a join, which is planned for few messages.
  answers as materialized (
    select s.*, case when s.asked > 0 then first_value(s.ids[1]) over (partition by s.asked order by s.place) end
             as parent_id
    from said s)
  select array_agg(row(m.ids[x.place], p_conversation_id, v_positions[m.place], m.sender,
         case m.sender when 'character' then (p_speakers ->> m.name)::uuid end,
         -- Messages of unknown speakers keep their names, so that nobody takes them for somebody else's.
         left(case when case m.sender when 'user' then p_personas else p_speakers end ? m.name then ''
                   else coalesce(m.name || ': ', '') end || x.content, 65536),
         'text', case m.sender when 'character' then m.parent_id end, case when x.place > 1 then m.ids[1] end,
         x.place - 1 = m.active, m.said_at + (x.place - 1) * interval '1 microsecond', null, true)::shared.messages
         order by m.place, x.place)
  into v_rows
  from answers m
  cross join lateral jsonb_array_elements_text(m.versions) with ordinality x (content, place);
  perform shared.import_messages(v_rows);

  -- Whom the user played, where that changed.
  insert into private.conversation_personas (conversation_id, position, persona_id)
  select p_conversation_id, at.position, at.persona_id
  from (
    select v_positions[u.place] as position, u.persona_id,
           lag(u.persona_id, 1, p_user_character_id) over (order by u.place) as played_id
    from (
      select e.place, case when p_personas ? (e.message ->> 'name') then (p_personas ->> (e.message ->> 'name'))::uuid
                           else p_user_character_id end as persona_id
      from jsonb_array_elements(p_messages) with ordinality e (message, place)
      where e.message ->> 'sender' = 'user') u) at
  where at.persona_id is distinct from at.played_id;
  if found then
    insert into private.conversation_personas (conversation_id, position, persona_id)
    values (p_conversation_id, 0, p_user_character_id);
  end if;

  insert into public.hidden_messages (conversation_id, position)
  select p_conversation_id, v_positions[e.place]
  from jsonb_array_elements(p_messages) with ordinality e (message, place)
  where (e.message ->> 'is_hidden')::boolean;
end $$;

-- Creates a conversation with a character from the messages of a file.
--   p_messages   [{"sender", "name", "is_hidden", "said_at", "versions": [texts], "active": an index}];
--                "name" of characters, where the file has several, and of whom the user played, where
--                that changed
--   p_settings   columns of conversation_settings, or null
-- Names of characters are looked for among the chosen one's names, then among the user's characters, who join. Of the
-- user's names, the one that equals p_user_character_id's name, else the newest, means that persona; the others are
-- looked for among the user's characters.
--
-- Returns {"outcome": "done", "conversation_id"} with "joined" and "unknown", lists of names, or
-- unknown_user, banned_user, character_not_found, persona_not_found, no_profile, too_many_messages (with limit),
-- rate_limited (with limit, retry_after_seconds). A request repeated with its client's id makes one conversation.
create function public.import_chat(
  p_user_id uuid, p_character_id uuid, p_user_character_id uuid, p_title text, p_client_message_id text,
  p_messages jsonb, p_settings jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  v_blocked jsonb;
  v_character shared.characters;
  v_settings public.conversation_settings;
  v_names text[];
  v_joined text[];
  v_speakers jsonb;
  v_played text[];
  v_me text;
  v_personas jsonb;
  v_conversation_id uuid;
begin
  perform private.hold_person(p_user_id);
  v_blocked := private.why_account_blocked(p_user_id);
  if v_blocked is not null then
    return v_blocked;
  end if;
  select c.id into v_conversation_id from shared.conversations c
  where c.user_id = p_user_id and c.client_message_id = p_client_message_id;
  if found then
    return jsonb_build_object('outcome', 'done', 'conversation_id', v_conversation_id, 'joined', '[]'::jsonb,
                              'unknown', '[]'::jsonb);
  end if;
  select * into v_character from shared.characters ch where ch.id = p_character_id and private.may_use(p_user_id, ch);
  if not found then
    return jsonb_build_object('outcome', 'character_not_found');
  elsif p_user_character_id is not null and not exists (
      select from shared.characters ch where ch.id = p_user_character_id and private.may_use(p_user_id, ch)) then
    return jsonb_build_object('outcome', 'persona_not_found');
  end if;
  if jsonb_array_length(p_messages) > shared.most_imported() then
    return jsonb_build_object('outcome', 'too_many_messages', 'limit', shared.most_imported());
  end if;
  v_blocked := private.count_use(p_user_id, 'imported bytes', private.limits_for(p_user_id), 'branched_bytes',
                                 octet_length(p_messages::text));
  if v_blocked is not null then
    return v_blocked;
  end if;

  v_names := array(
    select n.name from (
      select e.message ->> 'name' as name, min(e.place) as place
      from jsonb_array_elements(p_messages) with ordinality e (message, place)
      where e.message ->> 'sender' = 'character' group by 1) n
    where n.name is not null order by n.place);
  v_played := array(
    select n.name from (
      select e.message ->> 'name' as name, max(e.place) as place
      from jsonb_array_elements(p_messages) with ordinality e (message, place)
      where e.message ->> 'sender' = 'user' group by 1) n
    where n.name is not null order by n.place desc);
  v_me := lower(coalesce(
    (select ch.name from shared.characters ch where ch.id = p_user_character_id),
    (select p.display_name from shared.profiles p where p.id = p_user_id and p_user_character_id is null)));
  if v_me is null or not exists (select from unnest(v_played) n where lower(n) = v_me) then
    v_me := lower(v_played[1]);
  end if;
  select coalesce(jsonb_object_agg(s.name, s.character_id), '{}') into v_personas
  from (
    select o.name, o.character_id from private.own_named(
      p_user_id, array(select n from unnest(v_played) n where lower(n) <> v_me), p_character_id) o
    union all
    select n, p_user_character_id from unnest(v_played) n where lower(n) = v_me) s;
  insert into shared.conversations (user_id, character_id, user_character_id, title, client_message_id)
  values (p_user_id, p_character_id, p_user_character_id, left(coalesce(p_title, ''), 200), p_client_message_id)
  returning id into v_conversation_id;
  with others as materialized (
    select o.* from private.own_named(p_user_id, array(
      select n from unnest(v_names) n
      where lower(n) not in (lower(v_character.name), lower(coalesce(v_character.nickname, v_character.name)))),
      p_character_id) o),
  members as (
    insert into public.conversation_characters (conversation_id, character_id, position)
    -- Names that differ in case are one character's.
    select v_conversation_id, o.character_id, min(o.place) - 1 from others o group by o.character_id)
  select coalesce(jsonb_object_agg(s.name, s.character_id), '{}'),
         array_agg(s.name order by s.place) filter (where s.place > 0)
  into v_speakers, v_joined
  from (
    select o.name, o.character_id, o.place from others o
    union all
    select n, p_character_id, 0 from unnest(v_names) n
    where lower(n) in (lower(v_character.name), lower(coalesce(v_character.nickname, v_character.name)))) s;
  perform private.write_chat(v_conversation_id, p_user_character_id, p_messages, v_speakers, v_personas);

  if p_settings is not null then
    v_settings := jsonb_populate_record(null::public.conversation_settings, p_settings);
    insert into public.conversation_settings (conversation_id, note, note_depth, note_role)
    values (v_conversation_id, v_settings.note, v_settings.note_depth, v_settings.note_role);
  end if;
  return jsonb_build_object(
    'outcome', 'done', 'conversation_id', v_conversation_id, 'joined', to_jsonb(coalesce(v_joined, '{}')),
    'unknown', to_jsonb(array(
      select n from unnest(v_names) n where not v_speakers ? n
      union
      select n from unnest(v_played) n where not v_personas ? n)));
exception when foreign_key_violation then
  return jsonb_build_object('outcome', 'no_profile');
end $$;

-- A conversation of the user's with all its messages, for a file: {"outcome": "found", "character" and
-- "user" (names), "created_at", "settings", "messages": [{"position", "sender", "name", "content",
-- "is_active", "is_hidden", "said_at"}] in order}, the versions of a reply oldest first. Messages that
-- the content policy refused are left out. Else unknown_user, banned_user, conversation_not_found,
-- too_large.
create function public.export_chat(p_user_id uuid, p_conversation_id uuid) returns json
language plpgsql stable security definer set search_path = '' as $$
declare
  c_most_bytes constant bigint := 16777216;
  c_most_messages constant bigint := 20000;
  v_blocked jsonb := private.why_account_blocked(p_user_id);
  v_conversation shared.conversations;
  v_hidden constant int8multirange := private.hidden_ranges(p_conversation_id);
  v_own_name constant text := (select p.display_name from shared.profiles p where p.id = p_user_id);
begin
  if v_blocked is not null then
    return v_blocked::json;
  end if;
  select * into v_conversation from shared.conversations c where c.id = p_conversation_id and c.user_id = p_user_id;
  if not found then
    return json_build_object('outcome', 'conversation_not_found');
  elsif (select sum(octet_length(m.content)) > c_most_bytes or count(*) > c_most_messages
         from shared.messages m where m.conversation_id = p_conversation_id) then
    return json_build_object('outcome', 'too_large');
  end if;
  return json_build_object(
    'outcome', 'found',
    'character', (select ch.name from shared.characters ch where ch.id = v_conversation.character_id),
    'user', coalesce((select ch.name from shared.characters ch where ch.id = v_conversation.user_character_id), v_own_name),
    'created_at', v_conversation.created_at,
    'settings', private.settings_of(p_conversation_id),
    'messages', (
      select coalesce(json_agg(json_build_object(
        'position', m.position, 'sender', m.sender, 'name', case
          when m.character_id is not null then coalesce(ch.name, 'Somebody')
          when m.sender = 'character' then null
          when played.persona_id is not null then coalesce(who.name, 'Somebody')
          when played.position is not null then coalesce(v_own_name, 'User') end, 'content', m.content, 'is_active', m.is_active,
        'is_hidden', m.position <@ v_hidden,
        -- A product's message may have any time, or none.
        'said_at', case when m.created_at between '1970-01-01' and '2500-01-01' then m.created_at end)
        order by m.position, coalesce(m.variant_of, m.id) <> m.id, m.created_at, m.id), '[]')
      from shared.messages m
      left join shared.characters ch on ch.id = m.character_id
      -- Whom the user played then.
      left join lateral (
        select c.position, c.persona_id from private.conversation_personas c
        where c.conversation_id = p_conversation_id and c.position <= m.position
        order by c.position desc limit 1) played on m.sender = 'user'
      left join shared.characters who on who.id = played.persona_id
      where m.conversation_id = p_conversation_id and m.is_speech and (m.is_active or m.sender = 'character')));
end $$;

revoke execute on function private.may_use(uuid, shared.characters), private.own_named(uuid, text[], uuid),
  private.write_chat(uuid, uuid, jsonb, jsonb, jsonb), public.import_chat(uuid, uuid, uuid, text, text, jsonb, jsonb),
  public.export_chat(uuid, uuid) from public, anon, authenticated;
grant execute on function public.import_chat(uuid, uuid, uuid, text, text, jsonb, jsonb),
  public.export_chat(uuid, uuid) to service_role;
