-- How a conversation appears in its owner's list: a title of their own, whether it is pinned, and
-- whether it was deleted. Deleting can be undone until private.purge_conversations takes it.

create table public.conversation_entries (
  conversation_id uuid primary key references public.conversations (id) on delete cascade,
  -- The conversation's owner.
  user_id uuid not null references auth.users (id) on delete cascade,
  -- '': none of their own.
  title text not null default '' check (char_length(title) <= 200),
  is_pinned boolean not null default false,
  is_deleted boolean not null default false,
  deleted_at timestamptz,
  updated_at timestamptz not null default now(),
  constraint conversation_entries_deletion check (is_deleted = (deleted_at is not null))
);
create index conversation_entries_pinned on public.conversation_entries (user_id) where is_pinned;
create index conversation_entries_deleted on public.conversation_entries (user_id) where is_deleted;
create index conversation_entries_by_deletion on public.conversation_entries (deleted_at) where is_deleted;

-- A text on one line, cut to p_most characters at a space if there is one near. Without the marks of
-- emphasis, and without characters that change the direction of the text after them.
create function private.one_line(p_text text, p_most integer) returns text
language sql immutable strict parallel safe set search_path = '' as $$
  select case when char_length(l.line) <= p_most then l.line
              else regexp_replace(left(l.line, p_most - 1), '\s+\S{0,20}$', '') || '…' end
  from (
    select btrim(regexp_replace(
      regexp_replace(left(p_text, 1000), '[*`\u202A-\u202E\u2066-\u2069]+', '', 'g'),
      '[[:cntrl:][:space:]]+', ' ', 'g')) as line) l
$$;
revoke execute on function private.one_line(text, integer) from public, anon, authenticated;

-- Fills in what people do not write, and refuses more pinned conversations than a list shows at once.
create function private.write_conversation_entry() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  select c.user_id into new.user_id from shared.conversations c where c.id = new.conversation_id;
  new.title := private.one_line(new.title, 200);
  new.deleted_at := case when new.is_deleted then coalesce(new.deleted_at, clock_timestamp()) end;
  new.updated_at := now();
  if new.is_pinned and not (tg_op = 'UPDATE' and old.is_pinned) and (
      select count(*) from public.conversation_entries e where e.user_id = new.user_id and e.is_pinned) >= 100 then
    raise exception 'You have reached the maximum number of pinned conversations. Please unpin one first.'
      using errcode = 'PT409', hint = 'The maximum is 100 pinned conversations.';
  end if;
  return new;
end $$;
revoke execute on function private.write_conversation_entry() from public, anon, authenticated;
create trigger conversation_entries_write before insert or update on public.conversation_entries
  for each row execute function private.write_conversation_entry();

alter table public.conversation_entries enable row level security;
revoke all on public.conversation_entries from anon, authenticated;
grant select on public.conversation_entries to authenticated;
grant insert (conversation_id, title, is_pinned, is_deleted), update (conversation_id, title, is_pinned, is_deleted)
  on public.conversation_entries to authenticated;
create policy conversation_entries_all on public.conversation_entries for all to authenticated
  using (exists (select 1 from public.conversations c
                 where c.id = conversation_id and c.user_id = (select auth.uid())))
  with check (exists (select 1 from public.conversations c
                      where c.id = conversation_id and c.user_id = (select auth.uid())));
select private.guard_writes('public.conversation_entries', 'insert or update');
