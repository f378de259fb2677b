-- What character cards have beyond a character's texts.

alter table public.characters
  -- The other messages that may open a conversation, beside first_message.
  add column alternate_greetings text[] not null default '{}'
    check (cardinality(alternate_greetings) <= 64 and octet_length(alternate_greetings::text) <= 262144
           and array_position(alternate_greetings, null) is null),
  -- Entries that reach the prompt when they are talked of, as Character Card V2 and V3 have them.
  add column character_book jsonb
    check (jsonb_typeof(character_book) = 'object' and octet_length(character_book::text) <= 1048576),
  -- The imported card, whole and as it came: fields that nobody here knows come back on export.
  -- The other columns are what was made of it; where they were changed since, they are right.
  add column card jsonb check (jsonb_typeof(card) = 'object' and octet_length(card::text) <= 8388608);

-- Only the import writes the card: it has checked it.
revoke insert, update on public.characters from authenticated;
grant insert (id, user_id, name, description, personality, scenario, first_message, example_messages,
              system_prompt, post_history_instructions, pronouns, age, content_rating, is_public,
              alternate_greetings, character_book, created_at, updated_at),
      update (id, user_id, name, description, personality, scenario, first_message, example_messages,
              system_prompt, post_history_instructions, pronouns, age, content_rating, is_public,
              alternate_greetings, character_book, created_at, updated_at)
  on public.characters to authenticated;

-- What a prompt and the content policy need of a character; null for no character. The card stays
-- behind: it is large, and all that a turn uses of it is here. `greetings` has first_message first.
create or replace function private.character_facts(p_character public.characters) returns jsonb
language sql immutable set search_path = '' as $$
  select case when (p_character).id is not null then
    to_jsonb(p_character)
      - '{user_id,is_public,first_message,alternate_greetings,card,created_at,updated_at}'::text[]
      || jsonb_build_object(
        'greetings', to_jsonb(array_prepend((p_character).first_message, (p_character).alternate_greetings)),
        'nickname', (p_character).card #> '{data,nickname}')
  end
$$;

-- Makes a character of an imported card: p_character has columns of characters. What a card may
-- not decide is not taken from it: whose it is, its rating, and who sees it.
--
-- Returns {"outcome": "saved", "character_id"}, or unknown_user, too_many_characters, too_large.
create function public.import_character(p_user_id uuid, p_character jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  v_new public.characters := jsonb_populate_record(null::public.characters, p_character);
  v_id uuid;
begin
  -- As in begin_turn: one at a time per person, so that the count holds.
  perform pg_advisory_xact_lock(hashtextextended(p_user_id::text, 0));
  if not exists (select 1 from auth.users u where u.id = p_user_id) then
    return jsonb_build_object('outcome', 'unknown_user');
  elsif (select count(*) from public.characters ch where ch.user_id = p_user_id) >= 1000 then
    return jsonb_build_object('outcome', 'too_many_characters');
  end if;

  insert into public.characters (user_id, name, description, personality, scenario, first_message,
                                 example_messages, system_prompt, post_history_instructions,
                                 pronouns, age, alternate_greetings, character_book, card)
  values (p_user_id, v_new.name, v_new.description, v_new.personality, v_new.scenario,
          v_new.first_message, v_new.example_messages, v_new.system_prompt,
          v_new.post_history_instructions, v_new.pronouns, v_new.age,
          v_new.alternate_greetings, v_new.character_book, v_new.card)
  returning id into v_id;
  return jsonb_build_object('outcome', 'saved', 'character_id', v_id);
exception when check_violation then
  -- Numbers such as 1e300 are longer in the database than they were.
  return jsonb_build_object('outcome', 'too_large');
end $$;
revoke execute on function public.import_character(uuid, jsonb) from public, anon, authenticated;
grant execute on function public.import_character(uuid, jsonb) to service_role;
