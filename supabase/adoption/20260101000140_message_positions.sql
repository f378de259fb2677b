-- Two columns and a trigger on the product's messages: the order of messages, which their times alone
-- do not give, and when one was edited. Adding them changes the catalog only. `make adopt` gives the
-- messages that are there their positions, a batch at a time.

alter table public.messages add column position bigint, add column edited_at timestamptz;

-- Messages that are there are numbered from 1 in each conversation, new ones from here.
create sequence private.message_positions start 1000000000;

-- Nobody but our functions chooses or changes a position, also where a policy of the product's lets
-- people change messages.
create function private.place_message() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  if tg_op = 'UPDATE' then
    if current_setting('role', true) in ('anon', 'authenticated') then
      new.position := old.position;
      new.edited_at := old.edited_at;
    end if;
  elsif new.position is null or current_setting('role', true) in ('anon', 'authenticated') then
    new.position := nextval('private.message_positions');
    new.edited_at := null;
  end if;
  return new;
end $$;
revoke execute on function private.place_message() from public, anon, authenticated;
create trigger a_place_message before insert or update of position, edited_at on public.messages
  for each row execute function private.place_message();

-- Gives the messages of up to p_conversations conversations their positions, in the order of their
-- times; of equal times the person's comes first. Returns how many messages; 0: all have one.
create function private.place_old_messages(p_conversations integer) returns integer
language sql set search_path = '' as $$
  with waiting as (
    select distinct m.conversation_id from public.messages m where m.position is null limit p_conversations),
  ordered as (
    select m.id, row_number() over (partition by m.conversation_id order by m.created_at, m.sender = 'assistant', m.id) as place
    from public.messages m join waiting w on w.conversation_id = m.conversation_id
    where m.position is null),
  placed as (
    update public.messages m set position = o.place from ordered o where o.id = m.id returning 1)
  select count(*)::integer from placed
$$;
revoke execute on function private.place_old_messages(integer) from public, anon, authenticated;
