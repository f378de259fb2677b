-- Who somebody is and what they may use, for policies and functions. In plpgsql, because the tables
-- and the schema `shared` come later.

-- Whether the user is an admin whose account is not blocked.
create function private.is_admin() returns boolean
language plpgsql stable security definer set search_path = '' as $$
begin
  return exists (select from shared.user_roles r where r.user_id = auth.uid() and r.role = 'admin')
    and private.why_account_blocked(auth.uid()) is null;
end $$;
revoke execute on function private.is_admin() from public, anon, authenticated;
grant execute on function private.is_admin() to authenticated, service_role;

-- The name that somebody gave when they signed up, from auth.users.raw_user_meta_data; null if none.
-- People write these data themselves when they sign up, so they may contain any value.
create function private.given_name(p_metadata jsonb) returns text
language plpgsql immutable set search_path = '' as $$
begin
  return (
    select nullif(btrim(left(btrim(regexp_replace(left(p_metadata ->> 'display_name', 500), '[[:cntrl:][:space:]]+', ' ', 'g')), 80)), '')
    where jsonb_typeof(p_metadata -> 'display_name') = 'string');
end $$;
revoke execute on function private.given_name(jsonb) from public, anon, authenticated;

create function private.is_age_verified() returns boolean
language plpgsql stable security definer set search_path = '' as $$
begin
  return exists (select from shared.profiles p where p.id = auth.uid() and p.age_verified);
end $$;
revoke execute on function private.is_age_verified() from public, anon, authenticated;
grant execute on function private.is_age_verified() to authenticated;

-- Whether an admin took the character down, for everybody including its author.
create function private.is_taken_down(p_character_id uuid) returns boolean
language plpgsql stable security definer set search_path = '' as $$
begin
  return exists (select from private.take_downs d where d.character_id = p_character_id and d.restored_at is null);
end $$;
revoke execute on function private.is_taken_down(uuid) from public, anon, authenticated;
grant execute on function private.is_taken_down(uuid) to authenticated;

-- Whether the user may use a character in new conversations and memories. Null (no character) is always
-- allowed.
create function private.may_meet(p_character_id uuid) returns boolean
language plpgsql stable security definer set search_path = '' as $$
begin
  return p_character_id is null or exists (
    select from shared.characters ch
    where ch.id = p_character_id
      and not private.is_taken_down(ch.id)
      and (ch.user_id = auth.uid()
           or ch.is_public and (ch.content_rating = 'sfw' or private.is_age_verified())
             and not exists (
               select from public.blocked_authors b where b.user_id = auth.uid() and b.author_id = ch.user_id)));
end $$;
revoke execute on function private.may_meet(uuid) from public, anon, authenticated;
grant execute on function private.may_meet(uuid) to authenticated;

-- Whether the character is the persona in one of the user's conversations. Reads the state before
-- the current statement.
create function private.is_played(p_conversation_id uuid, p_character_id uuid) returns boolean
language plpgsql stable security definer set search_path = '' as $$
begin
  return exists (
    select from shared.conversations c
    where c.id = p_conversation_id and c.user_id = auth.uid() and c.user_character_id = p_character_id);
end $$;
revoke execute on function private.is_played(uuid, uuid) from public, anon, authenticated;
grant execute on function private.is_played(uuid, uuid) to authenticated;

-- Why an account is blocked although its token is still valid: {"outcome": "unknown_user"} or
-- {"outcome": "banned_user"}; null if it is not. Read as JSON because some Auth servers lack one of
-- the columns.
create function private.why_account_blocked(p_user_id uuid) returns jsonb
language plpgsql stable set search_path = '' as $$
begin
  return (
    select case
      when u.id is null or u.facts ->> 'deleted_at' is not null then '{"outcome": "unknown_user"}'::jsonb
      when (u.facts ->> 'banned_until')::timestamptz > clock_timestamp() then '{"outcome": "banned_user"}'::jsonb
    end
    from (values (p_user_id)) asked (id)
    left join (select a.id, to_jsonb(a) as facts from auth.users a) u on u.id = asked.id);
end $$;
revoke execute on function private.why_account_blocked(uuid) from public, anon, authenticated;

-- A waiting call occupies one of PostgREST's connections, which all people share. So at most four calls of a person may
-- wait at once, until their transactions end; a fifth waits briefly, a time in which most calls end. p_id: a person,
-- one of their counters, or anything else that many calls may wait for.
create function private.take_waiting_place(p_id uuid) returns void
language plpgsql set search_path = '' set lock_timeout = '200ms' as $$
begin
  for v_place in 1..4 loop
    if pg_try_advisory_xact_lock(hashtextextended(p_id::text, v_place)) then
      return;
    end if;
  end loop;
  perform pg_advisory_xact_lock(hashtextextended(p_id::text, 1 + pg_backend_pid() % 4));
end $$;

-- Raised by a call that has waited too long. The Data API answers 429; the functions call again, or answer `busy`.
create function private.raise_busy() returns void
language plpgsql set search_path = '' as $$
begin
  raise exception 'Another request is still changing this. Please try again in a moment.' using
    errcode = 'PT429', hint = 'Try again in 5 seconds.';
end $$;

-- The slow ways of private.hold_person and private.hold_account: for a bounded time. The functions that wait have the
-- timeout, so all other waits keep theirs.
create function private.wait_for_person(p_user_id uuid) returns void
language plpgsql set search_path = '' set lock_timeout = '3s' as $$
begin
  perform private.take_waiting_place(p_user_id);
  perform pg_advisory_xact_lock(hashtextextended(u.id::text, 0)) from auth.users u where u.id = p_user_id for key share;
exception when lock_not_available then
  perform private.raise_busy();
end $$;

create function private.wait_for_account(p_user_id uuid) returns void
language plpgsql set search_path = '' set lock_timeout = '3s' as $$
begin
  perform private.take_waiting_place(p_user_id);
  perform from auth.users u where u.id = p_user_id for key share;
exception when lock_not_available then
  perform private.raise_busy();
end $$;

-- Called first by everything that writes rows of a person: it lets one call per person run at a time, and keeps the
-- account from being deleted before the transaction ends. A deletion locks the account first, then everything that is
-- deleted with it; a call that locked in the opposite order would deadlock with it. Foreign keys lock the account in
-- the same way, but only when a row is written. Raises PT429 after a bounded wait.
create function private.hold_person(p_user_id uuid) returns void
language plpgsql set search_path = '' as $$
declare
  v_is_held boolean;
begin
  select pg_try_advisory_xact_lock(hashtextextended(u.id::text, 0)) into v_is_held
  from auth.users u where u.id = p_user_id for key share skip locked;
  if v_is_held then
    return;
  end if;
  -- Asked only when the lock is not free, so that calls that need not wait do not pay for it.
  if exists (select from auth.users u where u.id = p_user_id) then
    perform private.wait_for_person(p_user_id);
  end if;
end $$;

-- The same without the lock that lets one call run at a time.
create function private.hold_account(p_user_id uuid) returns void
language plpgsql set search_path = '' as $$
begin
  perform from auth.users u where u.id = p_user_id for key share skip locked;
  if found then
    return;
  end if;
  if exists (select from auth.users u where u.id = p_user_id) then
    perform private.wait_for_account(p_user_id);
  end if;
end $$;
revoke execute on function private.hold_person(uuid), private.hold_account(uuid), private.take_waiting_place(uuid),
  private.raise_busy(), private.wait_for_person(uuid), private.wait_for_account(uuid)
  from public, anon, authenticated;
