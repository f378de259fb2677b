-- Changes of our own characters and conversations that close the adult tier: always_sfw.

create function private.keep_sfw_with_minors() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  new.always_sfw := new.always_sfw or private.any_minor(new.character_id, new.user_character_id);
  return new;
end $$;
create trigger conversations_keep_sfw before insert or update of character_id, user_character_id
  on public.conversations for each row execute function private.keep_sfw_with_minors();

create function private.keep_sfw_with_age() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  perform private.keep_sfw_with(new.id);
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

revoke execute on function private.keep_sfw_with_minors(), private.keep_sfw_with_age(),
  private.keep_sfw_of_deleted() from public, anon, authenticated;
