-- What changed in the messages of a conversation. An instance of roleplay_chat that has read them learns from it
-- which of its copies are still valid. See private.history.

create table private.conversation_versions (
  conversation_id uuid primary key references public.conversations (id) on delete cascade,
  -- The last changes, newest first. Adding a message at the end is not a change; creating this row is one. Changes
  -- have random ids, because numbers would repeat after a backup is restored, or if a conversation is created again
  -- with the same id.
  changes uuid[] not null default array[gen_random_uuid()],
  -- The highest position that a message has had. Messages added after it are not a change.
  newest bigint not null,
  -- The lowest position of each change, in the same order. The creation of this row has none.
  changed bigint[] not null default '{}'
) with (fillfactor = 70);
alter table private.conversation_versions enable row level security;
revoke all on private.conversation_versions from public, anon, authenticated;

-- Trigger of statements that write or hide messages; `touched` has the rows. The conversation's row in
-- conversation_versions stays locked until the transaction ends: a message that gets a lower position than another
-- one but is committed later then counts as a change. Deleting the conversation deletes this row.
create function private.note_change() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
  v_is_new constant boolean := tg_op = 'INSERT' and tg_table_name = 'messages';
  v_touched record;
begin
  for v_touched in
    select t.conversation_id, max(t.position) as newest, min(t.position) as first from touched t
    where t.position is not null
    -- Always in the same order, to avoid deadlocks.
    group by t.conversation_id order by t.conversation_id
  loop
    if not v_is_new then
      perform shared.hold_conversation(v_touched.conversation_id);
    end if;
    -- Runs twice if another transaction creates the row meanwhile.
    loop
      update private.conversation_versions v
      set newest = greatest(v.newest, v_touched.newest),
          changes = case when v_is_new and v_touched.first > v.newest then v.changes
                         else (gen_random_uuid() || v.changes)[:17] end,
          changed = case when v_is_new and v_touched.first > v.newest then v.changed
                         else (v_touched.first || v.changed)[:16] end
      where v.conversation_id = v_touched.conversation_id;
      exit when found;
      exit when not exists (select from shared.conversations c where c.id = v_touched.conversation_id);
      insert into private.conversation_versions (conversation_id, newest)
      values (v_touched.conversation_id, v_touched.newest)
      on conflict (conversation_id) do nothing;
      exit when found;
    end loop;
  end loop;
  return null;
end $$;
revoke execute on function private.note_change() from public, anon, authenticated;

-- After a truncation no copy is valid.
create function private.note_truncation() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  delete from private.conversation_versions;
  return null;
end $$;
revoke execute on function private.note_truncation() from public, anon, authenticated;

create trigger a_note_added after insert on public.messages
  referencing new table as touched for each statement execute function private.note_change();
create trigger a_note_deleted after delete on public.messages
  referencing old table as touched for each statement execute function private.note_change();
-- An update may move a message.
create trigger a_note_changed after update on public.messages
  referencing old table as touched for each statement execute function private.note_change();
create trigger a_note_moved after update on public.messages
  referencing new table as touched for each statement execute function private.note_change();
create trigger hidden_messages_note_added after insert on public.hidden_messages
  referencing new table as touched for each statement execute function private.note_change();
create trigger hidden_messages_note_deleted after delete on public.hidden_messages
  referencing old table as touched for each statement execute function private.note_change();
-- As with messages.
create trigger hidden_messages_note_changed after update on public.hidden_messages
  referencing old table as touched for each statement execute function private.note_change();
create trigger hidden_messages_note_moved after update on public.hidden_messages
  referencing new table as touched for each statement execute function private.note_change();
create trigger a_note_truncated after truncate on public.messages
  for each statement execute function private.note_truncation();
create trigger hidden_messages_note_truncated after truncate on public.hidden_messages
  for each statement execute function private.note_truncation();

-- Makes these triggers run always, even while session_replication_role = replica turns others off. A trigger that
-- was disabled and enabled again (alter table ... disable trigger) loses this setting: call this function afterwards.
create function private.watch_messages() returns void
language plpgsql set search_path = '' as $$
declare
  v_trigger record;
begin
  for v_trigger in
    select t.tgrelid::regclass as of_table, t.tgname as name from pg_catalog.pg_trigger t
    where t.tgfoid in ('private.note_change()'::regprocedure, 'private.note_truncation()'::regprocedure)
      and t.tgenabled <> 'A'
    order by t.tgrelid
  loop
    execute format('alter table %s enable always trigger %I', v_trigger.of_table, v_trigger.name);
  end loop;
end $$;

-- A fingerprint of the triggers: the sum of the ids of the transactions that created or last altered them, which
-- only grows. Null if one is off; private.history then uses no copy.
create function private.watched() returns text
language plpgsql stable set search_path = ''
-- There are few triggers, so all of them would be read.
set enable_seqscan = off as $$
declare
  v_count integer;
  v_sign text;
begin
  select count(*), sum(t.xmin::text::bigint) into v_count, v_sign
  from pg_catalog.pg_trigger t
  where t.tgrelid in ('public.messages'::regclass, 'public.hidden_messages'::regclass)
    and t.tgfoid in ('private.note_change()'::regprocedure, 'private.note_truncation()'::regprocedure)
    and t.tgenabled = 'A';
  return case when v_count = 10 then v_sign end;
end $$;
revoke execute on function private.watch_messages(), private.watched() from public, anon, authenticated;

select private.watch_messages();
