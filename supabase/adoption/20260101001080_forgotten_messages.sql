-- Messages that change or go take along what was noted from them, also where the product's own client
-- deletes them. What other conversations say, too, outlives a deleted one.

create trigger a_forget_deleted after delete on public.messages
  referencing old table as gone for each statement execute function private.forget_messages();
create trigger a_forget_edited after update on public.messages
  referencing old table as gone new table as present for each statement execute function private.forget_messages();
create trigger a_forget_conversation before delete on public.conversations
  for each row execute function private.forget_conversation();

-- A conversation of the product does not go with its account, but its turns do. Whoever deletes one waits for the
-- account before anything is locked, or, where it is not their own, before a turn is: see private.hold_person. The
-- triggers run before the other one, by their names.
create function private.hold_account_first() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  perform private.hold_account(case tg_level when 'STATEMENT' then auth.uid() else old.user_id end);
  return old;
end $$;
revoke execute on function private.hold_account_first() from public, anon, authenticated;
create trigger a_account_first before delete on public.conversations
  for each statement execute function private.hold_account_first();
create trigger a_account_of_row before delete on public.conversations
  for each row execute function private.hold_account_first();
