-- Whether conversations are remembered, for their owners: clients read and change it here in any
-- installation.

create view public.conversation_memory with (security_barrier = true) as
select c.id as conversation_id, c.remembers
from shared.conversations c
where c.user_id = (select auth.uid());
revoke all on public.conversation_memory from public, anon, authenticated, service_role;
grant select, update (remembers) on public.conversation_memory to authenticated;

create function private.write_conversation_memory() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  if new.remembers is null then
    raise exception 'A conversation is remembered or not: true or false.' using errcode = 'PT400', detail = 'remembers';
  end if;
  update shared.conversations c set remembers = new.remembers where c.id = old.conversation_id;
  return new;
end $$;
revoke execute on function private.write_conversation_memory() from public, anon, authenticated;
select private.guard_writes('public.conversation_memory', null);
create trigger conversation_memory_write instead of update on public.conversation_memory
  for each row execute function private.write_conversation_memory();
