-- Objects that the API never exposes: operator settings and checks shared by policies.

create schema if not exists private;
revoke all on schema private from public, anon, authenticated;
grant usage on schema private to authenticated, service_role;

-- The seam between our functions and the tables that they share with a product: people, models,
-- characters, conversations, messages, templates and settings. Functions reach these only through
-- views of this schema, named as our tables are. Here they are views of our own tables (own_shared);
-- in a product that runs already they are views of the tables that it has (supabase/adoption).
create schema shared;
revoke all on schema shared from public, anon, authenticated;

create function private.touch_updated_at() returns trigger
language plpgsql set search_path = '' as $$
begin
  new.updated_at := now();
  return new;
end $$;
revoke execute on function private.touch_updated_at() from public, anon, authenticated;

-- A number from outside, limited to what a column can hold: at most p_most; null if it is negative
-- or not a number.
create function private.bounded(p_value jsonb, p_most numeric) returns numeric
language plpgsql immutable set search_path = '' as $$
begin
  return case when jsonb_typeof(p_value) = 'number' and p_value::numeric >= 0
    then least(p_value::numeric, p_most) end;
end $$;
revoke execute on function private.bounded(jsonb, numeric) from public, anon, authenticated;
