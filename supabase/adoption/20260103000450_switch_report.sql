-- The switch and the comparison of both functions as admins see them in the console: {"is_on", "percent", "people"
-- (how many are named), "updated_at", "days": the rows of compare_functions}. They cannot change the switch.
create function public.switch_report(p_days integer default 14) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
begin
  if not private.is_admin() then
    raise exception 'only admins see the switch' using errcode = '42501';
  end if;
  return (
    select jsonb_build_object(
      'is_on', t.is_on, 'percent', t.percent, 'people', cardinality(t.people), 'updated_at', t.updated_at,
      'days', (
        select coalesce(jsonb_agg(to_jsonb(c) order by c.day, c.side), '[]')
        from public.compare_functions(least(greatest(coalesce(p_days, 14), 1), 90)) c))
    from private.traffic t);
end $$;
revoke execute on function public.switch_report(integer) from public, anon, authenticated, service_role;
grant execute on function public.switch_report(integer) to authenticated;
