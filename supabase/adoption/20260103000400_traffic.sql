-- Who is answered by the new function. The edge function roleplay-chat reads the row every few
-- seconds; nobody is moved until set_traffic says so.
create table private.traffic (
  id integer primary key default 1 check (id = 1),
  is_on boolean not null default false,
  percent numeric not null default 0 check (percent between 0 and 100),
  people uuid[] not null default '{}'
    check (cardinality(people) <= 1000 and array_position(people, null) is null),
  updated_at timestamptz not null default now());
alter table private.traffic enable row level security;
revoke all on private.traffic from public, anon, authenticated, service_role;
insert into private.traffic default values;

-- {is_on, percent, people}. With is_on false everybody is answered by the old function; else the
-- people listed and, of all others, `percent` per cent are answered by the new one.
create function public.read_traffic() returns jsonb
language sql stable security definer set search_path = '' as $$
  select jsonb_build_object('is_on', t.is_on, 'percent', t.percent, 'people', t.people)
  from private.traffic t
$$;
revoke execute on function public.read_traffic() from public, anon, authenticated;
grant execute on function public.read_traffic() to service_role;

-- Changes what is given, keeps the rest, and returns the row as read_traffic does.
create function public.set_traffic(
  p_is_on boolean default null, p_percent numeric default null, p_people uuid[] default null)
returns jsonb
language sql security definer set search_path = '' as $$
  update private.traffic t
  set is_on = coalesce(p_is_on, t.is_on), percent = coalesce(p_percent, t.percent),
      people = coalesce(p_people, t.people), updated_at = now()
  returning jsonb_build_object('is_on', t.is_on, 'percent', t.percent, 'people', t.people)
$$;
revoke execute on function public.set_traffic(boolean, numeric, uuid[]) from public, anon, authenticated;
grant execute on function public.set_traffic(boolean, numeric, uuid[]) to service_role;
