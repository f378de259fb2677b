-- Publishes turns to Supabase's realtime, if it exists, so that a page notices a reply that is
-- written for another device. Realtime shows a row only to those whose policies allow it.
do $$
begin
  if exists (select from pg_catalog.pg_publication p where p.pubname = 'supabase_realtime' and not p.puballtables) then
    alter publication supabase_realtime add table public.turns;
  end if;
exception when insufficient_privilege then
  raise notice 'public.turns is not published: pages notice other devices when they get the focus';
end $$;
