-- Deleting an account. The function asks the Auth server, which deletes everything that belongs to the
-- person in one transaction, or nothing.

-- Accounts whose deletion was asked for. The row is deleted with its account, and with it whatever
-- refers to the person only indirectly.
create table private.leaving_users (
  user_id uuid primary key references auth.users (id) on delete cascade,
  asked_at timestamptz not null default now()
);
alter table private.leaving_users enable row level security;
revoke all on private.leaving_users from public, anon, authenticated;

-- Tables of a product may keep conversations whose person is gone. Ours keep nothing about them.
create function private.forget_leaving_user() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  perform shared.forget_conversations(array(
    select c.id from shared.conversations c where c.user_id = old.user_id));
  return null;
end $$;
create trigger leaving_users_forget after delete on private.leaving_users
  for each row execute function private.forget_leaving_user();
-- An account that is deleted in another way, by an operator or the product, has no such row. Whoever has a memory has
-- this one.
create trigger memory_locks_forget after delete on private.memory_locks
  for each row execute function private.forget_leaving_user();

-- The numbers of rows that are deleted with an account.
create function private.account_contents(p_user_id uuid) returns jsonb
language sql stable set search_path = '' as $$
  select jsonb_build_object(
    'characters', (select count(*) from shared.characters ch where ch.user_id = p_user_id),
    'public_characters', (select count(*) from shared.characters ch where ch.user_id = p_user_id and ch.is_public),
    'conversations', (select count(*) from shared.conversations c where c.user_id = p_user_id),
    'messages', (select count(*) from shared.conversations c join shared.messages m on m.conversation_id = c.id
                 where c.user_id = p_user_id),
    'lorebooks', (select count(*) from public.lorebooks b where b.user_id = p_user_id),
    'facts', (select count(*) from public.memories m join public.memory_facts f on f.memory_id = m.id
              where m.user_id = p_user_id))
$$;

-- The same for the signed-in person, before they decide. Null if nobody is signed in.
create function public.account_contents() returns jsonb
language sql stable security definer set search_path = '' as $$
  select private.account_contents(u.id) from (select auth.uid() as id) u where u.id is not null
$$;

-- Prepares the deletion of an account by the Auth server. Counts as an action. Returns {"outcome":
-- "ready", "contents": see private.account_contents}, or the result of private.count_use.
create function public.begin_account_deletion(p_user_id uuid) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  v_blocked constant jsonb := private.count_use(p_user_id, 'actions', private.limits_for(p_user_id), 'actions');
begin
  if v_blocked is not null then
    return v_blocked;
  end if;
  insert into private.leaving_users (user_id) values (p_user_id)
  on conflict (user_id) do update set asked_at = excluded.asked_at;
  return jsonb_build_object('outcome', 'ready', 'contents', private.account_contents(p_user_id));
end $$;

revoke execute on function private.forget_leaving_user(), private.account_contents(uuid), public.account_contents(),
  public.begin_account_deletion(uuid) from public, anon, authenticated, service_role;
grant execute on function public.account_contents() to authenticated;
grant execute on function public.begin_account_deletion(uuid) to service_role;
