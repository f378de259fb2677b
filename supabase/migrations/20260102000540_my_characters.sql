-- A person's own characters, which they read, create, change and delete here in any installation. Their
-- texts are screened by the turns that use them.

create function private.my_characters() returns setof shared.characters
language sql stable security definer set search_path = '' as $$
  select ch.* from shared.characters ch where ch.user_id = auth.uid()
$$;
revoke execute on function private.my_characters() from public, anon, authenticated;
grant execute on function private.my_characters() to authenticated;

create view public.my_characters with (security_barrier = true) as
select c.id, c.name, c.nickname, c.description, c.personality, c.scenario, c.first_message, c.alternate_greetings,
       c.group_only_greetings, c.example_messages, c.system_prompt, c.post_history_instructions, c.depth_prompt,
       c.depth_prompt_depth, c.depth_prompt_role, c.talkativeness, c.character_book, c.pronouns, c.age,
       c.content_rating, c.is_public, c.created_at, c.updated_at
from private.my_characters() c;
revoke all on public.my_characters from public, anon, authenticated, service_role;
grant select, delete,
  insert (id, name, nickname, description, personality, scenario, first_message, alternate_greetings,
          group_only_greetings, example_messages, system_prompt, post_history_instructions, depth_prompt,
          depth_prompt_depth, depth_prompt_role, talkativeness, character_book, pronouns, age, content_rating, is_public),
  update (name, nickname, description, personality, scenario, first_message, alternate_greetings,
          group_only_greetings, example_messages, system_prompt, post_history_instructions, depth_prompt,
          depth_prompt_depth, depth_prompt_role, talkativeness, character_book, pronouns, age, content_rating, is_public)
  on public.my_characters to authenticated;
select private.guard_writes('public.my_characters', null);

-- Raises PT400 for an invalid character that a person writes, with the column as DETAIL, so that a page
-- can show the error there. The tables have the same bounds.
create function private.check_my_character(p_row public.my_characters) returns void
language plpgsql set search_path = '' as $$
declare
  v_column text;
  v_sentence text;
begin
  select w.of_column, w.sentence into v_column, v_sentence
  from (
    values
      ('name', nullif(btrim(p_row.name), '') is null or char_length(p_row.name) > 120,
       'A character needs a name of at most 120 characters.'),
      ('nickname', char_length(p_row.nickname) not between 1 and 120, 'A nickname has 1 to 120 characters.'),
      ('pronouns', char_length(p_row.pronouns) > 40, 'Pronouns have at most 40 characters.'),
      ('age', p_row.age not between 0 and 1000000, 'An age is a number of years from 0 to 1000000.'),
      ('talkativeness', p_row.talkativeness not between 0 and 1, 'Talkativeness is a number from 0 to 1.'),
      ('depth_prompt_depth', p_row.depth_prompt_depth not between 0 and 1000,
       'The number of messages after the note is from 0 to 1000.'),
      ('depth_prompt_role', p_row.depth_prompt_role not in ('system', 'user', 'assistant'),
       'The note is read as system, user or assistant.'),
      ('content_rating', p_row.content_rating not in ('sfw', 'nsfw'), 'The rating is sfw or nsfw.')
    union all
    select t.of_column, char_length(t.content) > t.most, format('This text has at most %s characters.', t.most)
    from (values
      ('description', p_row.description, 20000), ('personality', p_row.personality, 20000),
      ('scenario', p_row.scenario, 20000), ('first_message', p_row.first_message, 20000),
      ('example_messages', p_row.example_messages, 20000), ('system_prompt', p_row.system_prompt, 20000),
      ('post_history_instructions', p_row.post_history_instructions, 8000),
      ('depth_prompt', p_row.depth_prompt, 8000)) t (of_column, content, most)
    union all
    select g.of_column,
           cardinality(g.greetings) > 64 or octet_length(g.greetings::text) > 262144
             or array_position(g.greetings, null) is not null,
           'A character has at most 64 greetings, of 262144 bytes together.'
    from (values
      ('alternate_greetings', p_row.alternate_greetings), ('group_only_greetings', p_row.group_only_greetings)
    ) g (of_column, greetings)) w (of_column, is_wrong, sentence)
  where w.is_wrong
  limit 1;
  if found then
    raise exception '%', v_sentence using errcode = 'PT400', detail = v_column;
  end if;
end $$;

-- Writes through the seam, and counts as the table of characters does where that is ours.
create function private.write_my_character() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
  v_user_id constant uuid := auth.uid();
  v_old shared.characters;
  v_new shared.characters;
begin
  if tg_op = 'DELETE' then
    perform shared.delete_character(old.id);
    return old;
  end if;
  perform private.raise_if_blocked(private.count_use(
    v_user_id, 'my_characters ' || case tg_op when 'UPDATE' then 'changes' else 'rows' end,
    private.limits_for(v_user_id), 'rows'));
  perform private.check_my_character(new);
  v_new := jsonb_populate_record(null::shared.characters, to_jsonb(new));
  v_new.user_id := v_user_id;
  v_new.description := coalesce(v_new.description, '');
  v_new.personality := coalesce(v_new.personality, '');
  v_new.scenario := coalesce(v_new.scenario, '');
  v_new.first_message := coalesce(v_new.first_message, '');
  v_new.alternate_greetings := coalesce(v_new.alternate_greetings, '{}');
  v_new.group_only_greetings := coalesce(v_new.group_only_greetings, '{}');
  v_new.example_messages := coalesce(v_new.example_messages, '');
  v_new.system_prompt := coalesce(v_new.system_prompt, '');
  v_new.post_history_instructions := coalesce(v_new.post_history_instructions, '');
  v_new.depth_prompt := coalesce(v_new.depth_prompt, '');
  v_new.depth_prompt_depth := coalesce(v_new.depth_prompt_depth, 4);
  v_new.depth_prompt_role := coalesce(v_new.depth_prompt_role, 'system');
  v_new.content_rating := coalesce(v_new.content_rating, 'sfw');
  v_new.is_public := coalesce(v_new.is_public, false);
  if tg_op = 'UPDATE' then
    select * into v_old from shared.characters ch where ch.id = old.id;
    perform shared.edit_character(v_old, v_new);
    return new;
  end if;

  -- One call at a time per user, so that the count is exact.
  perform private.hold_person(v_user_id);
  if (select count(*) from shared.characters ch where ch.user_id = v_user_id) >= 1000 then
    raise exception 'You have reached the maximum number of characters. Please delete one first.'
      using errcode = 'PT409', hint = 'The maximum is 1000 characters.';
  end if;
  v_new.id := coalesce(v_new.id, gen_random_uuid());
  insert into shared.characters (id, user_id, name, nickname, description, personality, scenario, first_message,
                                 alternate_greetings, group_only_greetings, example_messages, system_prompt,
                                 post_history_instructions, depth_prompt, depth_prompt_depth, depth_prompt_role,
                                 talkativeness, character_book, pronouns, age, content_rating, is_public)
  values (v_new.id, v_new.user_id, v_new.name, v_new.nickname, v_new.description, v_new.personality, v_new.scenario,
          v_new.first_message, v_new.alternate_greetings, v_new.group_only_greetings, v_new.example_messages,
          v_new.system_prompt, v_new.post_history_instructions, v_new.depth_prompt, v_new.depth_prompt_depth,
          v_new.depth_prompt_role, v_new.talkativeness, v_new.character_book, v_new.pronouns, v_new.age,
          v_new.content_rating, v_new.is_public);
  new.id := v_new.id;
  return new;
exception when foreign_key_violation then
  raise exception 'Your account has no profile yet. Please set up your profile first.' using errcode = 'PT409';
end $$;
revoke execute on function private.check_my_character(public.my_characters), private.write_my_character()
  from public, anon, authenticated;
create trigger my_characters_write instead of insert or update or delete on public.my_characters
  for each row execute function private.write_my_character();
