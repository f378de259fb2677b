-- What closes the adult tier of conversations, where the product's characters and conversations carry
-- no trigger of ours: begin_turn marks a conversation for everybody in it, and these see the rest.

create function private.keep_sfw_with_declared_age() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  perform private.keep_sfw_with(new.character_id);
  return null;
end $$;
create trigger character_details_keep_sfw after insert on private.character_details
  for each row when (new.age < 18) execute function private.keep_sfw_with_declared_age();
create trigger character_details_keep_sfw_changed after update of age on private.character_details
  for each row when (new.age is distinct from old.age and least(new.age, old.age) < 18)
  execute function private.keep_sfw_with_declared_age();

-- The age of a deleted character can no longer be checked. If it spoke, the tier is closed from then
-- on.
create function private.keep_sfw_of_deleted_speaker() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  update shared.conversations c set always_sfw = true
  where not c.always_sfw
    and c.id = (select m.conversation_id from public.messages m where m.id = new.message_id);
  return null;
end $$;
create trigger message_details_keep_sfw after update of existing_character_id on private.message_details
  for each row when (old.existing_character_id is not null and new.existing_character_id is null)
  execute function private.keep_sfw_of_deleted_speaker();
revoke execute on function private.keep_sfw_with_declared_age(), private.keep_sfw_of_deleted_speaker()
  from public, anon, authenticated;
