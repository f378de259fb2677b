-- The declared ages of characters, for admins in the console and for `make adopt`. An age is declared
-- by somebody, never inferred from a text.

-- The characters whose ages an admin may declare: their own, public ones, and all where the policies
-- of characters are not ours and let admins see all. Only the age can be changed.
create view public.declared_ages with (security_barrier = true) as
select ch.id, ch.name, ch.content_rating, ch.is_public, ch.age
from shared.characters ch
where (select private.is_admin())
  and (ch.is_public or ch.user_id = (select auth.uid()) or not shared.has_our_policies());
revoke all on public.declared_ages from public, anon, authenticated, service_role;
grant select, update (age) on public.declared_ages to authenticated;

create function private.write_declared_age() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  update shared.characters ch set age = new.age where ch.id = old.id;
  return new;
end $$;
revoke execute on function private.write_declared_age() from public, anon, authenticated;
select private.guard_writes('public.declared_ages', null);
create trigger declared_ages_write instead of update on public.declared_ages
  for each row execute function private.write_declared_age();

-- Declares a character's age in years, or with null takes the declaration back. Returns whether there
-- is such a character.
create function public.declare_age(p_character_id uuid, p_age integer) returns boolean
language plpgsql security definer set search_path = '' as $$
begin
  update shared.characters ch set age = p_age where ch.id = p_character_id;
  return found;
end $$;
revoke execute on function public.declare_age(uuid, integer) from public, anon, authenticated;
grant execute on function public.declare_age(uuid, integer) to service_role;
