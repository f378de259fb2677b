-- What the API never exposes: operator settings and the checks that policies share.

create schema if not exists private;
revoke all on schema private from public, anon, authenticated;
grant usage on schema private to authenticated, service_role;

create function private.touch_updated_at() returns trigger
language plpgsql set search_path = '' as $$
begin
  new.updated_at := now();
  return new;
end $$;
revoke execute on function private.touch_updated_at() from public, anon, authenticated;

-- A number that somebody else named, as far as a column holds it: at most p_most, and null where it
-- is none or negative.
create function private.bounded(p_value jsonb, p_most numeric) returns numeric
language sql immutable set search_path = '' as $$
  select case when jsonb_typeof(p_value) = 'number' and p_value::numeric >= 0
    then least(p_value::numeric, p_most) end
$$;
revoke execute on function private.bounded(jsonb, numeric) from public, anon, authenticated;
