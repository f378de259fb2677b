-- What happens to a character marks the conversations it is or was part of; what happens to a
-- conversation marks itself (conversations_keep_sfw, conversation_characters_keep_sfw), and a turn
-- whom it is about (begin_turn). So a mark never depends on who is asked first, and once it is
-- there, ages may change, and characters leave or be deleted.

-- A declared age below 18: wherever the character is, speaks, or was played.
create function private.keep_sfw_with_age() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  update public.conversations c set always_sfw = true
  where not c.always_sfw and c.id in (
    select own.id from public.conversations own where own.character_id = new.id
    union all
    select played.id from public.conversations played where played.user_character_id = new.id
    union all
    select m.conversation_id from public.conversation_characters m where m.character_id = new.id
    union all
    select m.conversation_id from public.messages m where m.character_id = new.id
    union all
    select t.conversation_id from public.turns t where t.character_id = new.id
    union all
    select t.conversation_id from public.turns t where t.user_character_id = new.id);
  return null;
end $$;
create trigger characters_keep_sfw after update of age on public.characters
  for each row when (new.age is distinct from old.age and least(new.age, old.age) < 18)
  execute function private.keep_sfw_with_age();

-- Nobody can ask a deleted character for its age. Where one spoke that kept the adult tier closed,
-- it stays closed.
create function private.keep_sfw_of_deleted() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  update public.conversations c set always_sfw = true
  where not c.always_sfw and c.id in (
    select m.conversation_id from public.messages m where m.character_id = old.id
    union all
    select own.id from public.conversations own
    where own.character_id = old.id and exists (
      select 1 from public.messages m
      where m.conversation_id = own.id and m.sender = 'character' and m.character_id is null));
  return old;
end $$;
create trigger characters_keep_sfw_of_deleted before delete on public.characters
  for each row when ((old.age >= 18 and old.content_rating = 'nsfw') is not true)
  execute function private.keep_sfw_of_deleted();

revoke execute on function private.keep_sfw_with_age(), private.keep_sfw_of_deleted()
  from public, anon, authenticated;
