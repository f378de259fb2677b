-- Changes of a character mark all conversations it is or was part of. Changes of a conversation
-- mark that conversation, and so does begin_turn for the characters of a turn. So the mark does not
-- depend on the order of events, and it stays if ages change or characters leave or are deleted.

-- Whether one of these characters has a declared age below 18. The ages are locked until the
-- transaction ends, so a later change of an age sees the row that this check is for.
create function private.any_minor(variadic p_character_ids uuid[]) returns boolean
language sql volatile set search_path = '' as $$
  select coalesce(bool_or(ages.age < 18), false) from shared.lock_ages(p_character_ids) ages (age)
$$;

-- Marks all conversations where a character is, spoke, or was played.
create function private.keep_sfw_with(p_character_id uuid) returns void
language sql set search_path = '' as $$
  update shared.conversations c set always_sfw = true
  where not c.always_sfw and c.id in (
    select own.id from shared.conversations own where own.character_id = p_character_id
    union all
    select played.id from shared.conversations played where played.user_character_id = p_character_id
    union all
    select m.conversation_id from public.conversation_characters m where m.character_id = p_character_id
    union all
    select m.conversation_id from shared.messages m where m.character_id = p_character_id
    union all
    select t.conversation_id from public.turns t where t.character_id = p_character_id
    union all
    select t.conversation_id from public.turns t where t.user_character_id = p_character_id)
$$;

create function private.keep_sfw_with_members() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  if private.any_minor(new.character_id) then
    update shared.conversations c set always_sfw = true where c.id = new.conversation_id and not c.always_sfw;
  end if;
  return null;
end $$;
create trigger conversation_characters_keep_sfw after insert or update of character_id
  on public.conversation_characters for each row execute function private.keep_sfw_with_members();

revoke execute on function private.any_minor(uuid[]), private.keep_sfw_with(uuid),
  private.keep_sfw_with_members() from public, anon, authenticated;
