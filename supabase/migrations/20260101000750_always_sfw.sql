-- Changes of a character mark all conversations it is or was part of. Changes of a conversation
-- mark that conversation (conversations_keep_sfw, conversation_characters_keep_sfw), and so does
-- begin_turn for the characters of a turn. So the mark does not depend on the order of events, and
-- it stays if ages change or characters leave or are deleted.

-- An age below 18 marks all conversations where the character is, spoke, or was played.
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

-- The age of a deleted character can no longer be checked. If it spoke and kept the adult tier
-- closed, the tier stays closed.
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
