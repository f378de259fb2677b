-- Lorebooks beside those of characters: of a conversation, of a persona, of everything that a person
-- does, or of the whole installation (user_id null), which admins write.

create table public.lorebooks (
  id uuid primary key default gen_random_uuid(),
  user_id uuid references auth.users (id) on delete cascade,
  -- Where it applies. Neither: everywhere.
  conversation_id uuid references public.conversations (id) on delete cascade,
  persona_id uuid references public.characters (id) on delete cascade,
  scope text generated always as (
    case when user_id is null then 'everyone' when conversation_id is not null then 'conversation'
         when persona_id is not null then 'persona' else 'person' end) stored,
  name text not null default '' check (char_length(name) <= 120),
  -- In the format of a card's character_book, with the same limits for parsers.
  content jsonb not null
    check (jsonb_typeof(content) = 'object' and coalesce(jsonb_typeof(content -> 'entries') = 'array', false)
           and octet_length(content::text) <= 524288
           and not jsonb_path_exists(content, '$.**{64}')
           and char_length(content::text) - char_length(replace(content::text, ',', '')) <= 60000),
  bytes integer generated always as (octet_length(content::text)) stored,
  is_enabled boolean not null default true,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint lorebooks_place check (
    num_nonnulls(conversation_id, persona_id) = 0 or user_id is not null and num_nonnulls(conversation_id, persona_id) = 1)
);
create index lorebooks_by_user on public.lorebooks (user_id);
create index lorebooks_by_conversation on public.lorebooks (conversation_id);
create index lorebooks_by_persona on public.lorebooks (persona_id);
create trigger lorebooks_touch before update on public.lorebooks
  for each row execute function private.touch_updated_at();

-- The same maximum as for imports.
create function private.check_lorebooks() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  if (select count(*) from public.lorebooks b where b.user_id is not distinct from new.user_id) >= 200 then
    raise exception 'You have reached the maximum number of lorebooks. Please delete one first.'
      using errcode = 'PT409', hint = 'The maximum is 200 lorebooks.';
  end if;
  return new;
end $$;
revoke execute on function private.check_lorebooks() from public, anon, authenticated;
create trigger lorebooks_total before insert on public.lorebooks
  for each row when (current_setting('role', true) = 'authenticated') execute function private.check_lorebooks();

-- The books of a turn, the most important first: [{"id", "scope", "content"}]. At most eight, and one
-- megabyte.
create function private.lorebooks_for(p_user_id uuid, p_conversation_id uuid, p_persona_id uuid) returns json
language plpgsql stable set search_path = '' as $$
begin
  return (
    select coalesce(
      json_agg(json_build_object('id', s.id, 'scope', s.scope, 'content', s.content) order by s.place), '[]')
    from (
      select o.*, sum(o.bytes) over (order by o.place) as total
      from (
        select b.id, b.scope, b.content, b.bytes, row_number() over (
                 order by array_position('{conversation,persona,person,everyone}', b.scope), b.created_at, b.id) as place
        from (
          select * from public.lorebooks u where u.user_id = p_user_id
          union all select * from public.lorebooks e where e.user_id is null) b
        where b.is_enabled and (b.scope in ('person', 'everyone')
                                or b.conversation_id = p_conversation_id or b.persona_id = p_persona_id)) o
      where o.place <= 8) s
    where s.total <= 1048576);
end $$;
revoke execute on function private.lorebooks_for(uuid, uuid, uuid) from public, anon, authenticated;

-- The books of a conversation that a branch gets: the oldest, as many as its user may still have.
create function private.lorebooks_to_branch(p_conversation_id uuid) returns setof public.lorebooks
language sql stable set search_path = '' as $$
  select b.* from public.lorebooks b
  where b.conversation_id = p_conversation_id
  order by b.created_at, b.id
  limit (
    select greatest(0, 200 - count(*)) from public.lorebooks o
    where o.user_id = (select c.user_id from shared.conversations c where c.id = p_conversation_id))
$$;
revoke execute on function private.lorebooks_to_branch(uuid) from public, anon, authenticated;

-- Copies them. They keep their order.
create function private.branch_lorebooks(p_parent_id uuid, p_branch_id uuid) returns void
language sql set search_path = '' as $$
  insert into public.lorebooks (user_id, conversation_id, name, content, is_enabled, created_at)
  select b.user_id, p_branch_id, b.name, b.content, b.is_enabled, b.created_at
  from private.lorebooks_to_branch(p_parent_id) b
$$;
revoke execute on function private.branch_lorebooks(uuid, uuid) from public, anon, authenticated;

alter table public.lorebooks enable row level security;
revoke all on public.lorebooks from anon, authenticated;
grant select, delete on public.lorebooks to authenticated;
grant insert (id, user_id, conversation_id, persona_id, name, content, is_enabled),
  update (conversation_id, persona_id, name, content, is_enabled) on public.lorebooks to authenticated;
create policy lorebooks_all on public.lorebooks for all to authenticated
  using (user_id = (select auth.uid()) or user_id is null and (select private.is_admin()))
  with check (
    (user_id = (select auth.uid()) or user_id is null and (select private.is_admin()))
    and (conversation_id is null
         or exists (select 1 from public.conversations c where c.id = conversation_id and c.user_id = (select auth.uid())))
    and private.may_meet(persona_id));
