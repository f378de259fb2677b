-- Characters that admins took down, and authors whom people blocked. Turns and policies ask both.

-- Each take-down, including those that were undone. No foreign key to characters: an author who
-- deletes a character does not delete what was decided about it. It goes with the author's account.
create table private.take_downs (
  id uuid primary key default gen_random_uuid(),
  character_id uuid not null,
  character_name text not null,
  -- Null: a character of the installation.
  author_id uuid references auth.users (id) on delete cascade,
  reason text not null check (char_length(reason) between 1 and 1000),
  taken_down_by uuid references auth.users (id) on delete set null,
  taken_down_at timestamptz not null default now(),
  restored_reason text check (char_length(restored_reason) between 1 and 1000),
  restored_by uuid references auth.users (id) on delete set null,
  restored_at timestamptz,
  constraint take_downs_end check ((restored_at is null) = (restored_reason is null))
);
create unique index take_downs_current on private.take_downs (character_id) where restored_at is null;
create index take_downs_by_author on private.take_downs (author_id);
create index take_downs_by_time on private.take_downs (taken_down_at desc, id desc);
create index take_downs_by_admin on private.take_downs (taken_down_by);
create index take_downs_by_restorer on private.take_downs (restored_by);
alter table private.take_downs enable row level security;
revoke all on private.take_downs from public, anon, authenticated;

create table public.blocked_authors (
  user_id uuid not null references auth.users (id) on delete cascade,
  author_id uuid not null references auth.users (id) on delete cascade,
  -- The character by which the person knows the author, under its name at that time.
  character_name text not null check (char_length(character_name) <= 120),
  created_at timestamptz not null default now(),
  primary key (user_id, author_id),
  constraint blocked_authors_others check (user_id <> author_id)
);
create index blocked_authors_by_author on public.blocked_authors (author_id);
alter table public.blocked_authors enable row level security;
revoke all on public.blocked_authors from public, anon, authenticated;
grant select, delete on public.blocked_authors to authenticated;
create policy blocked_authors_select on public.blocked_authors for select to authenticated
  using (user_id = (select auth.uid()));
create policy blocked_authors_delete on public.blocked_authors for delete to authenticated
  using (user_id = (select auth.uid()));
select private.guard_writes('public.blocked_authors', null);

-- Whether a character may speak, or be played, in a person's conversation that began at p_since: it is
-- not taken down, and its author was not blocked before. An existing conversation continues.
create function private.may_answer(p_user_id uuid, p_character_id uuid, p_author_id uuid, p_since timestamptz)
returns boolean
language plpgsql stable set search_path = '' as $$
begin
  return not exists (
      select from private.take_downs d where d.character_id = p_character_id and d.restored_at is null)
    and not exists (
      select from public.blocked_authors b
      where b.user_id = p_user_id and b.author_id = p_author_id and b.created_at <= p_since);
end $$;
revoke execute on function private.may_answer(uuid, uuid, uuid, timestamptz) from public, anon, authenticated;
