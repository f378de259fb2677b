-- Messages that change or go take along what was noted from them, also where the product's own client
-- deletes them. What other conversations say, too, outlives a deleted one.

create trigger a_forget_deleted after delete on public.messages
  referencing old table as gone for each statement execute function private.forget_messages();
create trigger a_forget_edited after update on public.messages
  referencing old table as gone new table as present for each statement execute function private.forget_messages();
create trigger a_forget_conversation before delete on public.conversations
  for each row execute function private.forget_conversation();

-- As where our functions delete a message: its turn no longer names it, so that nothing tells what its prompt was made
-- of, and its versions go with the one that was shown. One that is set aside itself is not deleted.
create function private.forget_versions() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  with deleted as materialized (
    select g.id, g.conversation_id, g.position from gone g
    where not exists (select from private.set_aside_messages s where s.id = g.id)),
  aside as (
    delete from private.set_aside_messages s using deleted d
    where s.conversation_id = d.conversation_id and s.position = d.position
    returning s.id)
  update public.turns t set reply_message_id = null
  where t.reply_message_id in (select d.id from deleted d union all select a.id from aside a);
  return null;
-- As in private.forget_drawn.
exception
  when transaction_rollback or lock_not_available then
    raise;
  when others then
    raise warning 'versions of deleted messages not deleted: %', sqlstate;
    return null;
end $$;
revoke execute on function private.forget_versions() from public, anon, authenticated;
create trigger a_forget_versions after delete on public.messages
  referencing old table as gone for each statement execute function private.forget_versions();

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
