-- The account with an email address, for operators; null if there is none.
create function public.find_person(p_email text) returns uuid
language sql stable security definer set search_path = '' as $$
  select a.id from auth.users a where lower(a.email) = lower(trim(p_email)) limit 1
$$;
revoke execute on function public.find_person(text) from public, anon, authenticated;
grant execute on function public.find_person(text) to service_role;
