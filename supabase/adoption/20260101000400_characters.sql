-- Characters of a product that runs already, as functions see them.

-- Values for which the product has no column. An age is declared by somebody, never inferred from a
-- text.
create table private.character_details (
  character_id uuid primary key references public.characters (id) on delete cascade,
  age integer check (age between 0 and 1000000),
  nickname text check (char_length(nickname) between 1 and 120),
  scenario text check (char_length(scenario) <= 20000),
  first_message text check (char_length(first_message) <= 20000),
  alternate_greetings text[]
    check (cardinality(alternate_greetings) <= 64 and octet_length(alternate_greetings::text) <= 262144
           and array_position(alternate_greetings, null) is null),
  group_only_greetings text[]
    check (cardinality(group_only_greetings) <= 64 and octet_length(group_only_greetings::text) <= 262144
           and array_position(group_only_greetings, null) is null),
  example_messages text check (char_length(example_messages) <= 20000),
  post_history_instructions text check (char_length(post_history_instructions) <= 8000),
  depth_prompt text check (char_length(depth_prompt) <= 8000),
  depth_prompt_depth integer check (depth_prompt_depth between 0 and 1000),
  depth_prompt_role varchar check (depth_prompt_role in ('system', 'user', 'assistant')),
  talkativeness double precision check (talkativeness between 0 and 1),
  character_book jsonb
    check (jsonb_typeof(character_book) = 'object' and octet_length(character_book::text) <= 1048576
           and not jsonb_path_exists(character_book, '$.**{64}')
           -- Each value becomes an object in every turn; cards have the same limit.
           and char_length(character_book::text) - char_length(replace(character_book::text, ',', '')) <= 120000),
  pronouns text check (char_length(pronouns) <= 40)
);
alter table private.character_details enable row level security;
revoke all on private.character_details from public, anon, authenticated;

-- The texts of a JSON array, cut to our bounds; anything else has none. Strict: it is not even called
-- where the product has no such column.
create function private.texts_of(p_value jsonb) returns text[]
language plpgsql immutable strict set search_path = '' as $$
begin
  return (
    select coalesce(array_agg(left(t.value #>> '{}', 20000)), '{}')
    from (
      select e.value from jsonb_array_elements(case jsonb_typeof(p_value) when 'array' then p_value else '[]' end) e
      where jsonb_typeof(e.value) = 'string' limit 64) t);
end $$;

-- The values of a JSON object as "key: value" lines, or a JSON text unchanged.
create function private.described(p_value jsonb) returns text
language plpgsql immutable strict set search_path = '' as $$
begin
  return (
    select case jsonb_typeof(p_value)
      when 'string' then p_value #>> '{}'
      when 'array' then array_to_string(private.texts_of(p_value), ', ')
      when 'object' then (
        select string_agg(replace(e.key, '_', ' ') || ': ' || private.described(e.value), E'\n' order by e.key)
        from jsonb_each(p_value) e where jsonb_typeof(e.value) in ('string', 'array', 'number'))
      when 'number' then p_value #>> '{}'
    end);
end $$;
revoke execute on function private.texts_of(jsonb), private.described(jsonb) from public, anon, authenticated;

-- Columns that only some states have are read as JSON. Texts are cut to the lengths of our own
-- columns; a newer column is preferred to an older one where both say the same.
create view shared.characters as
select ch.id, ch.user_id, left(coalesce(ch.name, ''), 120) as name, d.nickname,
       left(concat_ws(E'\n\n', nullif(ch.description, ''), nullif(ch.persona, ''), nullif(j.columns ->> 'backstory', ''),
                      nullif(j.columns ->> 'bio', '')), 20000) as description,
       left(concat_ws(E'\n', coalesce(nullif(ch.traits, ''), private.described(j.columns -> 'personality_traits')),
                      'Goals: ' || nullif(ch.base_prompt, ''),
                      'Voice: ' || nullif(ch.voice_tone, ''),
                      'Mood: ' || nullif(ch.mood, ''),
                      'Never says: ' || nullif(private.described(j.columns -> 'forbidden_phrases'), ''),
                      'In scenes: ' || nullif(private.described(j.columns -> 'scene_behavior_rules'), '')),
            20000) as personality,
       coalesce(d.scenario, '') as scenario,
       left(coalesce(d.first_message, j.columns ->> 'first_message', ''), 20000) as first_message,
       coalesce(d.alternate_greetings, private.texts_of(j.columns -> 'alternate_greetings'), '{}') as alternate_greetings,
       coalesce(d.group_only_greetings, '{}') as group_only_greetings,
       left(coalesce(d.example_messages, (
         select string_agg('{{char}}: ' || e.line, E'\n')
         from unnest(private.texts_of(j.columns -> 'voice_examples')) e (line)), ''), 20000) as example_messages,
       left(coalesce(ch.system_prompt, ''), 20000) as system_prompt,
       coalesce(d.post_history_instructions, '') as post_history_instructions,
       coalesce(d.depth_prompt, '') as depth_prompt,
       coalesce(d.depth_prompt_depth, 4) as depth_prompt_depth,
       coalesce(d.depth_prompt_role, 'system') as depth_prompt_role,
       d.talkativeness,
       d.character_book,
       coalesce(d.pronouns, case lower(ch.gender) when 'female' then 'she/her' when 'male' then 'he/him'
                                           when 'non-binary' then 'they/them' end) as pronouns,
       d.age, case when lower(coalesce(ch.content_rating, 'sfw')) = 'sfw' then 'sfw' else 'nsfw' end as content_rating, coalesce(ch.is_public, false) as is_public,
       ch.created_at, ch.updated_at
from public.characters ch
-- offset 0: once for a row, and not for each column.
cross join lateral (select to_jsonb(ch) as columns offset 0) j
left join private.character_details d on d.character_id = ch.id;

-- The declared ages of characters, locked until the transaction ends.
create function shared.lock_ages(p_character_ids uuid[]) returns setof integer
language sql volatile set search_path = '' as $$
  select d.age from private.character_details d where d.character_id = any (p_character_ids) for share
$$;
revoke execute on function shared.lock_ages(uuid[]) from public, anon, authenticated;

-- See own_shared.
create function shared.wait_for_character(p_character_id uuid) returns boolean
language plpgsql volatile set search_path = '' set lock_timeout = '3s' as $$
begin
  perform private.take_waiting_place(p_character_id);
  perform from public.characters ch where ch.id = p_character_id for key share;
  return found;
exception when lock_not_available then
  perform private.raise_busy();
end $$;

-- See own_shared.
create function shared.hold_character(p_character_id uuid) returns boolean
language plpgsql volatile set search_path = '' as $$
begin
  perform from public.characters ch where ch.id = p_character_id for key share skip locked;
  if found then
    return true;
  end if;
  return exists (select from public.characters ch where ch.id = p_character_id)
    and shared.wait_for_character(p_character_id);
end $$;
revoke execute on function shared.hold_character(uuid), shared.wait_for_character(uuid) from public, anon, authenticated;

-- See own_shared. Here people may point a conversation at any character, and admins see all.
create function shared.has_our_policies() returns boolean
language sql immutable set search_path = '' as 'select false';
revoke execute on function shared.has_our_policies() from public, anon, authenticated;
grant execute on function shared.has_our_policies() to authenticated;

-- Whether the product's characters have a column of this type.
create function private.characters_have(p_column text, p_type regtype) returns boolean
language sql stable set search_path = '' as $$
  select exists (
    select from pg_catalog.pg_attribute a
    where a.attrelid = 'public.characters'::regclass and a.attname = p_column and a.atttypid = p_type
      and a.attnum > 0 and not a.attisdropped and a.attgenerated = '')
$$;

-- A new character, of a card. What the product has a column for goes there, where its own pages show
-- and change it, and the rest into our table.
create function private.add_character() returns trigger
language plpgsql set search_path = '' as $$
declare
  v_gender text := case split_part(lower(new.pronouns), '/', 1)
    when 'she' then 'female' when 'he' then 'male' when 'they' then 'non-binary' else 'unspecified' end;
  v_has_first boolean := private.characters_have('first_message', 'text');
  v_has_others boolean := private.characters_have('alternate_greetings', 'jsonb');
begin
  new.id := coalesce(new.id, gen_random_uuid());
  insert into public.characters (id, user_id, name, description, traits, system_prompt, gender, content_rating, is_public)
  values (new.id, new.user_id, new.name, coalesce(new.description, ''), nullif(new.personality, ''),
          nullif(new.system_prompt, ''), v_gender, coalesce(new.content_rating, 'sfw'), coalesce(new.is_public, false));
  if not found then
    raise exception 'a trigger of public.characters did not let the character in';
  end if;
  if v_has_first then
    update public.characters ch set first_message = nullif(new.first_message, '') where ch.id = new.id;
  end if;
  if v_has_others then
    update public.characters ch set alternate_greetings = to_jsonb(new.alternate_greetings)
    where ch.id = new.id and cardinality(new.alternate_greetings) > 0;
  end if;
  insert into private.character_details (character_id, age, nickname, scenario, first_message, alternate_greetings,
                                         group_only_greetings, example_messages, post_history_instructions,
                                         depth_prompt, depth_prompt_depth, depth_prompt_role, talkativeness,
                                         character_book, pronouns)
  values (new.id, new.age, new.nickname, new.scenario,
          case when not v_has_first then new.first_message end, case when not v_has_others then new.alternate_greetings end,
          new.group_only_greetings, new.example_messages, new.post_history_instructions,
          new.depth_prompt, new.depth_prompt_depth, new.depth_prompt_role, new.talkativeness, new.character_book,
          nullif(new.pronouns, case v_gender when 'female' then 'she/her' when 'male' then 'he/him'
                                             when 'non-binary' then 'they/them' end));
  return new;
end $$;
create trigger characters_add instead of insert on shared.characters
  for each row execute function private.add_character();

-- Only a declared age is written. The product's own columns are its own.
create function private.change_age() returns trigger
language plpgsql set search_path = '' as $$
begin
  if new.age is distinct from old.age then
    insert into private.character_details (character_id, age) values (new.id, new.age)
    on conflict (character_id) do update set age = excluded.age;
  end if;
  return new;
end $$;
create trigger characters_change_age instead of update on shared.characters
  for each row execute function private.change_age();
revoke execute on function private.characters_have(text, regtype), private.add_character(), private.change_age()
  from public, anon, authenticated;

-- Whether a character's text is made of more than the column that would be written.
create function private.is_made_of_more(p_columns jsonb, p_names text[]) returns boolean
language sql immutable set search_path = '' as $$
  select exists (select from unnest(p_names) n where nullif(btrim(private.described(p_columns -> n)), '') is not null)
$$;

-- See own_shared. Only what is changed is written, into the product's column where there is one. A text
-- that the product keeps in several columns is edited on its own pages, as long as these have something.
create function shared.edit_character(p_old shared.characters, p_new shared.characters) returns void
language plpgsql volatile set search_path = '' as $$
declare
  v_columns constant jsonb := (select to_jsonb(ch) from public.characters ch where ch.id = p_old.id);
  v_has_first constant boolean := private.characters_have('first_message', 'text');
  v_has_others constant boolean := private.characters_have('alternate_greetings', 'jsonb');
  v_whole text;
begin
  v_whole := case
    when p_new.description is distinct from p_old.description
      and private.is_made_of_more(v_columns, '{persona,backstory,bio}') then 'description'
    when p_new.personality is distinct from p_old.personality
      and private.is_made_of_more(v_columns, '{personality_traits,base_prompt,voice_tone,mood,forbidden_phrases,scene_behavior_rules}')
      then 'personality' end;
  if v_whole is not null then
    raise exception 'This text has several parts. Please edit it where the character was made.'
      using errcode = 'PT409', detail = v_whole;
  end if;
  update public.characters ch
  set name = p_new.name,
      description = case when p_new.description is distinct from p_old.description then p_new.description
                         else ch.description end,
      traits = case when p_new.personality is distinct from p_old.personality then p_new.personality else ch.traits end,
      system_prompt = case when p_new.system_prompt is distinct from p_old.system_prompt then p_new.system_prompt
                           else ch.system_prompt end,
      content_rating = case when p_new.content_rating is distinct from p_old.content_rating then p_new.content_rating
                            else ch.content_rating end,
      is_public = case when p_new.is_public is distinct from p_old.is_public then p_new.is_public else ch.is_public end
  where ch.id = p_old.id;
  if v_has_first and p_new.first_message is distinct from p_old.first_message then
    update public.characters ch set first_message = p_new.first_message where ch.id = p_old.id;
  end if;
  if v_has_others and p_new.alternate_greetings is distinct from p_old.alternate_greetings then
    update public.characters ch set alternate_greetings = to_jsonb(p_new.alternate_greetings) where ch.id = p_old.id;
  end if;
  insert into private.character_details (character_id) values (p_old.id) on conflict do nothing;
  update private.character_details d
  set age = p_new.age, nickname = p_new.nickname, scenario = p_new.scenario,
      first_message = case when not v_has_first and p_new.first_message is distinct from p_old.first_message
                           then p_new.first_message when v_has_first then null else d.first_message end,
      alternate_greetings = case when not v_has_others and p_new.alternate_greetings is distinct from p_old.alternate_greetings
                                 then p_new.alternate_greetings when v_has_others then null
                                 else d.alternate_greetings end,
      group_only_greetings = p_new.group_only_greetings,
      example_messages = case when p_new.example_messages is distinct from p_old.example_messages
                              then p_new.example_messages else d.example_messages end,
      post_history_instructions = p_new.post_history_instructions, depth_prompt = p_new.depth_prompt,
      depth_prompt_depth = p_new.depth_prompt_depth, depth_prompt_role = p_new.depth_prompt_role,
      talkativeness = p_new.talkativeness, character_book = p_new.character_book,
      pronouns = case when p_new.pronouns is distinct from p_old.pronouns then p_new.pronouns else d.pronouns end
  where d.character_id = p_old.id;
end $$;

-- See own_shared. The product refuses to delete one that has conversations.
create function shared.delete_character(p_character_id uuid) returns void
language plpgsql volatile set search_path = '' as $$
begin
  delete from public.characters ch where ch.id = p_character_id;
exception when foreign_key_violation then
  raise exception 'There are conversations with this character. Please delete them first.' using errcode = 'PT409';
end $$;
revoke execute on function private.is_made_of_more(jsonb, text[]), shared.delete_character(uuid),
  shared.edit_character(shared.characters, shared.characters) from public, anon, authenticated;
