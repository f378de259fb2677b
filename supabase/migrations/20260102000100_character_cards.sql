-- Imported character cards, complete except for the portrait, so that an export includes the fields
-- that nothing here uses. If a character was edited after the import, the columns of characters are the
-- current values.
--
-- Cards have a table of their own because they are large and only export reads them. Users import
-- and export them through the function, which validates them.

create table public.character_cards (
  character_id uuid primary key references public.characters (id) on delete cascade,
  card jsonb not null check (jsonb_typeof(card) = 'object' and octet_length(card::text) <= 8388608)
);

alter table public.character_cards enable row level security;
revoke all on public.character_cards from anon, authenticated;

-- Creates a character from an imported card. p_character has the columns of characters, p_card the
-- whole card. A card cannot set its owner, its content rating, or who can see it.
--
-- Returns {"outcome": "saved", "character_id"}, or unknown_user, banned_user, too_many_characters,
-- too_large; no_profile where characters belong to profiles and the user has none.
create function public.import_character(p_user_id uuid, p_character jsonb, p_card jsonb)
returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  v_new shared.characters := jsonb_populate_record(null::shared.characters, p_character);
  v_blocked jsonb;
  v_id uuid;
begin
  -- One call at a time per user, as in begin_turn, so that the count is exact.
  perform private.hold_person(p_user_id);
  v_blocked := private.why_account_blocked(p_user_id);
  if v_blocked is not null then
    return v_blocked;
  elsif (select count(*) from shared.characters ch where ch.user_id = p_user_id) >= 1000 then
    return jsonb_build_object('outcome', 'too_many_characters');
  end if;

  insert into shared.characters (user_id, name, nickname, description, personality, scenario,
                                 first_message, example_messages, system_prompt,
                                 post_history_instructions, depth_prompt, depth_prompt_depth,
                                 depth_prompt_role, talkativeness, pronouns, age, alternate_greetings,
                                 group_only_greetings, character_book)
  values (p_user_id, v_new.name, v_new.nickname, v_new.description, v_new.personality,
          v_new.scenario, v_new.first_message, v_new.example_messages, v_new.system_prompt,
          v_new.post_history_instructions, v_new.depth_prompt, v_new.depth_prompt_depth,
          v_new.depth_prompt_role, v_new.talkativeness, v_new.pronouns, v_new.age,
          v_new.alternate_greetings, v_new.group_only_greetings, v_new.character_book)
  returning id into v_id;
  insert into public.character_cards (character_id, card) values (v_id, p_card);
  return jsonb_build_object('outcome', 'saved', 'character_id', v_id);
exception when check_violation then
  -- The database writes numbers such as 1e300 with all their digits.
  return jsonb_build_object('outcome', 'too_large');
when foreign_key_violation then
  return jsonb_build_object('outcome', 'no_profile');
end $$;
revoke execute on function public.import_character(uuid, jsonb, jsonb) from public, anon, authenticated;
grant execute on function public.import_character(uuid, jsonb, jsonb) to service_role;

-- A character that the user owns, or a public one that they may see, with its card:
-- {"outcome": "found", "character": {columns}, "card": null if it was not imported,
-- "portrait": the path of its picture, or null}, or
-- unknown_user, banned_user, character_not_found.
create function public.export_character(p_user_id uuid, p_character_id uuid) returns jsonb
language sql stable security definer set search_path = '' as $$
  select coalesce(
    private.why_account_blocked(p_user_id),
    (select jsonb_build_object('outcome', 'found', 'character', to_jsonb(ch), 'card', c.card, 'portrait', p.path)
     from shared.characters ch left join public.character_cards c on c.character_id = ch.id
     left join public.character_portraits p on p.character_id = ch.id
     where ch.id = p_character_id
       and (ch.user_id = p_user_id
            or ch.is_public and (ch.content_rating = 'sfw' or exists (
                 select from shared.profiles p where p.id = p_user_id and p.age_verified))
              and not private.is_taken_down(ch.id))),
    '{"outcome": "character_not_found"}')
$$;
revoke execute on function public.export_character(uuid, uuid) from public, anon, authenticated;
grant execute on function public.export_character(uuid, uuid) to service_role;
