-- Reports of public characters, and admins' decisions about them.

create table public.character_reports (
  id uuid primary key default gen_random_uuid(),
  user_id uuid not null references auth.users (id) on delete cascade,
  character_id uuid not null references public.characters (id) on delete cascade,
  reason text not null check (reason in (
    'minor', 'sexual', 'hate', 'violence', 'self_harm', 'real_person', 'copyright', 'spam', 'other')),
  details text not null default '' check (char_length(details) <= 1000),
  created_at timestamptz not null default now(),
  -- Null: nobody has decided.
  outcome text check (outcome in ('taken_down', 'dismissed')),
  closed_at timestamptz,
  closed_by uuid references auth.users (id) on delete set null,
  closed_reason text check (char_length(closed_reason) between 1 and 1000),
  constraint character_reports_end check ((outcome is null) = (closed_at is null))
);
create unique index character_reports_open on public.character_reports (character_id, user_id) where closed_at is null;
create index character_reports_by_character on public.character_reports (character_id, created_at desc);
create index character_reports_by_user on public.character_reports (user_id, created_at desc);
create index character_reports_by_admin on public.character_reports (closed_by);
alter table public.character_reports enable row level security;
revoke all on public.character_reports from public, anon, authenticated;
-- Their own, without who decided.
grant select (id, user_id, character_id, reason, details, created_at, outcome, closed_at)
  on public.character_reports to authenticated;
create policy character_reports_select on public.character_reports for select to authenticated
  using (user_id = (select auth.uid()));

-- Counts one use for the signed-in person, as private.count_use, or raises what the Data API answers with
-- 401, 403 or 429. Returns the person.
create function private.count_own_use(p_kind text) returns uuid
language plpgsql set search_path = '' as $$
declare
  v_user_id constant uuid := auth.uid();
begin
  perform private.raise_if_blocked(
    private.count_use(v_user_id, p_kind, private.limits_for(v_user_id), p_kind),
    'You have done this too often. Please try again later.');
  return v_user_id;
end $$;

-- A public character of somebody else, or an error that the Data API answers with 404.
create function private.character_of_others(p_user_id uuid, p_character_id uuid) returns shared.characters
language plpgsql stable set search_path = '' as $$
declare
  v_character shared.characters;
begin
  select * into v_character from shared.characters ch
  where ch.id = p_character_id and ch.is_public and ch.user_id is distinct from p_user_id;
  if not found then
    raise exception 'This character is not available.' using errcode = 'PT404';
  end if;
  return v_character;
end $$;

-- Reports a character. p_reason: one of those of character_reports. A report that nobody has decided
-- about yet is replaced. Returns its id. Errors: PT400, PT404, PT429.
create function public.report_character(p_character_id uuid, p_reason text, p_details text default '') returns uuid
language plpgsql security definer set search_path = '' as $$
declare
  v_user_id constant uuid := private.count_own_use('reports');
  v_id uuid;
begin
  perform private.character_of_others(v_user_id, p_character_id);
  insert into public.character_reports as r (user_id, character_id, reason, details)
  values (v_user_id, p_character_id, p_reason, btrim(coalesce(p_details, '')))
  on conflict (character_id, user_id) where closed_at is null
  do update set reason = excluded.reason, details = excluded.details, created_at = now()
  returning r.id into v_id;
  return v_id;
exception when check_violation or not_null_violation then
  raise exception 'Choose one of the reasons, and write at most 1000 characters.' using errcode = 'PT400';
end $$;

-- Blocks the author of a public character: none of their characters is in the person's catalogue, and no
-- new conversation with one is answered. Deleting the row of blocked_authors takes it back. Returns the
-- author. Errors: PT404, PT409 for a character of the installation, PT429.
create function public.block_author(p_character_id uuid) returns uuid
language plpgsql security definer set search_path = '' as $$
declare
  v_user_id constant uuid := private.count_own_use('actions');
  v_character constant shared.characters := private.character_of_others(v_user_id, p_character_id);
begin
  if v_character.user_id is null then
    raise exception 'This character has no author who could be blocked.' using errcode = 'PT409';
  end if;
  insert into public.blocked_authors (user_id, author_id, character_name)
  values (v_user_id, v_character.user_id, v_character.name)
  on conflict do nothing;
  return v_character.user_id;
end $$;

-- The signed-in admin, who gave a reason, or an error that the Data API answers with 403 or 400.
create function private.deciding_admin(p_reason text) returns uuid
language plpgsql stable set search_path = '' as $$
begin
  if not private.is_admin() then
    raise exception 'only admins decide about characters' using errcode = '42501';
  elsif char_length(btrim(p_reason)) between 1 and 1000 then
    return auth.uid();
  end if;
  raise exception 'Say why, in at most 1000 characters.' using errcode = 'PT400';
end $$;

create function private.close_reports(
  p_character_id uuid, p_outcome text, p_reason text, p_admin_id uuid, p_newest_at timestamptz default 'infinity')
returns integer
language sql set search_path = '' as $$
  with closed as (
    update public.character_reports r
    set outcome = p_outcome, closed_at = now(), closed_by = p_admin_id, closed_reason = btrim(p_reason)
    where r.character_id = p_character_id and r.closed_at is null and r.created_at <= p_newest_at
    returning r.id)
  select count(*)::integer from closed
$$;

-- Takes a character down: it is in no catalogue, begins no conversation and answers nobody, its author
-- included. Closes its reports and returns their number. Again, it changes only the reports. For admins.
-- Errors: 42501, PT400, PT404.
create function public.take_down_character(p_character_id uuid, p_reason text) returns integer
language plpgsql security definer set search_path = '' as $$
declare
  v_admin_id constant uuid := private.deciding_admin(p_reason);
begin
  insert into private.take_downs (character_id, character_name, author_id, reason, taken_down_by)
  select ch.id, ch.name, ch.user_id, btrim(p_reason), v_admin_id from shared.characters ch where ch.id = p_character_id
  on conflict (character_id) where restored_at is null do nothing;
  if not found and not private.is_taken_down(p_character_id) then
    raise exception 'There is no such character.' using errcode = 'PT404';
  end if;
  return private.close_reports(p_character_id, 'taken_down', p_reason, v_admin_id);
end $$;

-- Restores a character that was taken down. For admins. The reports stay closed: restoring is a decision on them,
-- with a reason. Errors: 42501, PT400, PT404.
create function public.restore_character(p_character_id uuid, p_reason text) returns void
language plpgsql security definer set search_path = '' as $$
declare
  v_admin_id constant uuid := private.deciding_admin(p_reason);
begin
  update private.take_downs d set restored_at = now(), restored_by = v_admin_id, restored_reason = btrim(p_reason)
  where d.character_id = p_character_id and d.restored_at is null;
  if not found then
    raise exception 'This character is not taken down.' using errcode = 'PT404';
  end if;
end $$;

-- Undoes what the signed-in admin's last call of take_down_character did, as if nobody had decided: opens the reports
-- that it closed, and restores the character unless it was taken down before already. All rows that one call wrote have
-- the time of its transaction. If somebody has reported the character again since, the new report replaces their old
-- one, as in report_character. Errors: 42501, PT400, PT404 if the take-down does not hold any more.
create function public.undo_take_down(p_character_id uuid, p_reason text) returns void
language plpgsql security definer set search_path = '' as $$
declare
  v_admin_id constant uuid := private.deciding_admin(p_reason);
  v_current private.take_downs;
  v_at timestamptz;
begin
  select * into v_current from private.take_downs d
  where d.character_id = p_character_id and d.restored_at is null for update;
  select greatest(max(r.closed_at), case when v_current.taken_down_by = v_admin_id then v_current.taken_down_at end)
  into v_at from public.character_reports r
  where r.character_id = p_character_id and r.closed_by = v_admin_id and r.outcome = 'taken_down'
    and r.closed_at >= v_current.taken_down_at;
  if v_at is null then
    raise exception 'This take-down does not hold any more.' using errcode = 'PT404';
  end if;
  update private.take_downs d set restored_at = now(), restored_by = v_admin_id, restored_reason = btrim(p_reason)
  where d.id = v_current.id and d.taken_down_by = v_admin_id and d.taken_down_at = v_at;
  update public.character_reports r set outcome = null, closed_at = null, closed_by = null, closed_reason = null
  where r.character_id = p_character_id and r.closed_by = v_admin_id and r.closed_at = v_at and r.outcome = 'taken_down'
    and not exists (
      select from public.character_reports o
      where o.character_id = r.character_id and o.user_id = r.user_id and o.closed_at is null);
end $$;

-- Closes the reports of a character, which stays, and returns their number. p_newest_at is that of report_queue, as
-- the admin read it: a report that came later stays open, because nobody has seen it. For admins.
-- Errors: 42501, PT400.
create function public.dismiss_reports(
  p_character_id uuid, p_reason text, p_newest_at timestamptz default 'infinity') returns integer
language plpgsql security definer set search_path = '' as $$
begin
  return private.close_reports(p_character_id, 'dismissed', p_reason, private.deciding_admin(p_reason), p_newest_at);
end $$;

revoke execute on function private.count_own_use(text), private.character_of_others(uuid, uuid),
  public.report_character(uuid, text, text), public.block_author(uuid), private.deciding_admin(text),
  private.close_reports(uuid, text, text, uuid, timestamptz), public.take_down_character(uuid, text),
  public.restore_character(uuid, text), public.undo_take_down(uuid, text), public.dismiss_reports(uuid, text, timestamptz)
  from public, anon, authenticated, service_role;
grant execute on function public.report_character(uuid, text, text), public.block_author(uuid),
  public.take_down_character(uuid, text), public.restore_character(uuid, text), public.undo_take_down(uuid, text),
  public.dismiss_reports(uuid, text, timestamptz)
  to authenticated;

-- What admins read of a reported character while everybody may: {"description", "personality", "scenario",
-- "first_message"}, 4,000 characters of each. A function, because views of a product's tables call some
-- that people may not.
create function private.reported_texts(p_character_id uuid) returns jsonb
language sql stable security definer set search_path = '' as $$
  select jsonb_build_object('description', left(ch.description, 4000), 'personality', left(ch.personality, 4000),
                            'scenario', left(ch.scenario, 4000), 'first_message', left(ch.first_message, 4000))
  from shared.characters ch
  where ch.id = p_character_id and ch.is_public and private.is_admin()
$$;
revoke execute on function private.reported_texts(uuid) from public, anon, authenticated;
grant execute on function private.reported_texts(uuid) to authenticated;

-- The characters with open reports, for admins.
--   texts    see private.reported_texts; null where the author made it private
--   reports  the newest 20: [{"reason", "details", "created_at", "user_id"}]
create view public.report_queue with (security_barrier = true) as
select ch.id as character_id, ch.name, ch.user_id as author_id, ch.content_rating, ch.age, ch.is_public,
       private.is_taken_down(ch.id) as is_taken_down, q.open_reports, q.oldest_at, q.newest_at,
       private.reported_texts(ch.id) as texts, q.reports
from (
  select r.character_id, count(*) as open_reports, min(r.created_at) as oldest_at, max(r.created_at) as newest_at,
         jsonb_agg(jsonb_build_object('reason', r.reason, 'details', r.details, 'created_at', r.created_at,
                                      'user_id', r.user_id) order by r.created_at desc)
           filter (where r.place <= 20) as reports
  from (
    select o.*, row_number() over (partition by o.character_id order by o.created_at desc) as place
    from public.character_reports o where o.closed_at is null) r
  group by r.character_id) q
join shared.characters ch on ch.id = q.character_id
where (select private.is_admin());

-- All take-downs, for admins. The newest first, like public.turn_reports.
create view public.character_take_downs with (security_barrier = true) as
select d.id, d.character_id, d.character_name, d.author_id, d.reason, d.taken_down_by, d.taken_down_at,
       d.restored_reason, d.restored_by, d.restored_at
from private.take_downs d
where (select private.is_admin())
order by d.taken_down_at desc, d.id desc;

-- Those of a person's own characters that hold, without who decided.
create view public.own_take_downs with (security_barrier = true) as
select d.character_id, d.reason, d.taken_down_at
from private.take_downs d
where d.author_id = (select auth.uid()) and d.restored_at is null;

revoke all on public.report_queue, public.character_take_downs, public.own_take_downs
  from public, anon, authenticated, service_role;
grant select on public.report_queue, public.character_take_downs, public.own_take_downs to authenticated;
