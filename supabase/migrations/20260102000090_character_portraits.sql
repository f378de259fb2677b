-- Pictures of characters. The bytes are in Supabase Storage, if there is one, in a bucket of ours; a
-- row here says which picture belongs to a character. Everybody who may see the character sees it.
--
-- Only what the function re-encoded can be stored: it reserves a path that nobody else knows, uploads
-- to it with the person's own token, and makes it the character's picture. A file that is no longer a
-- character's picture, or never became one, is in private.portraits_to_remove until health_check has
-- removed it through Storage's API, because deleting rows of storage.objects would leave the files.

create table public.character_portraits (
  character_id uuid primary key references public.characters (id) on delete cascade,
  -- <owner>/<character>/<id>.webp in the bucket. A new picture has a new path, so it may be cached.
  path text not null unique check (char_length(path) <= 200),
  created_at timestamptz not null default now()
);

create table private.portraits_to_remove (
  path text primary key,
  -- Who reserved the path for an upload. Null: the picture belongs to nobody.
  reserved_by uuid,
  due_at timestamptz not null default now()
);
create index portraits_to_remove_by_time on private.portraits_to_remove (due_at);
alter table private.portraits_to_remove enable row level security;
revoke all on private.portraits_to_remove from public, anon, authenticated;

-- Whether the character belongs to the person of the request.
create function private.owns_character(p_character_id uuid) returns boolean
language plpgsql stable security definer set search_path = '' as $$
begin
  return exists (select from shared.characters ch where ch.id = p_character_id and ch.user_id = auth.uid());
end $$;

alter table public.character_portraits enable row level security;
revoke all on public.character_portraits from anon, authenticated;
grant select, delete on public.character_portraits to authenticated;
create policy character_portraits_select on public.character_portraits for select to authenticated
  using (private.may_meet(character_id));
create policy character_portraits_delete on public.character_portraits for delete to authenticated
  using (private.owns_character(character_id));
select private.guard_writes('public.character_portraits', null);

-- However a picture is removed: replaced, deleted, with its character, or with its person's
-- account.
create function private.remove_portrait() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  insert into private.portraits_to_remove (path) values (old.path) on conflict do nothing;
  return null;
end $$;
create trigger character_portraits_remove after delete on public.character_portraits
  for each row execute function private.remove_portrait();
create trigger character_portraits_replace after update of path on public.character_portraits
  for each row when (old.path <> new.path) execute function private.remove_portrait();

-- Whether the person of the request may upload to a path of the bucket: one reserved for them.
create function private.may_upload_portrait(p_path text) returns boolean
language sql stable security definer set search_path = '' as $$
  select exists (
    select from private.portraits_to_remove r
    where r.path = p_path and r.reserved_by = auth.uid() and r.due_at > now())
$$;

-- Whether pictures can be stored. In plpgsql, because there may be no schema `storage`.
create function private.has_portraits() returns boolean
language plpgsql stable set search_path = '' as $$
begin
  if to_regclass('storage.objects') is null or to_regclass('storage.buckets') is null then
    return false;
  end if;
  return exists (
      select from storage.buckets b
      where b.id = 'character-portraits' and not b.public and b.file_size_limit = 2097152
        and b.allowed_mime_types = '{image/webp}')
    and 2 = (
      select count(*) from pg_catalog.pg_policy p
      where p.polrelid = to_regclass('storage.objects')
        and p.polname in ('character_portraits_read', 'character_portraits_upload'));
end $$;

-- Makes the bucket and its policies, if Storage is there. Returns whether pictures can be stored.
-- Called again it changes nothing. A bucket of this name with other settings is somebody else's.
create function private.install_portraits() returns boolean
language plpgsql set search_path = '' as $$
begin
  if to_regclass('storage.objects') is null or to_regclass('storage.buckets') is null then
    return false;
  elsif private.has_portraits() then
    return true;
  end if;
  insert into storage.buckets (id, name, public, file_size_limit, allowed_mime_types)
  values ('character-portraits', 'character-portraits', false, 2097152, '{image/webp}')
  on conflict do nothing;
  if not exists (
      select from storage.buckets b
      where b.id = 'character-portraits' and not b.public and b.file_size_limit = 2097152
        and b.allowed_mime_types = '{image/webp}') then
    raise warning 'pictures of characters are not stored: the bucket character-portraits has other settings';
    return false;
  end if;
  create policy character_portraits_read on storage.objects for select to authenticated
    using (bucket_id = 'character-portraits' and exists (
      select from public.character_portraits p where p.path = objects.name));
  create policy character_portraits_upload on storage.objects for insert to authenticated
    with check (bucket_id = 'character-portraits' and private.may_upload_portrait(name));
  -- So that undoing an adoption removes them, too.
  if to_regclass('private.adopted_objects') is not null then
    insert into private.adopted_objects (kind, name)
    select 'policy', policy || ' on storage.objects'
    from unnest('{character_portraits_read,character_portraits_upload}'::text[]) policy
    union all values ('bucket', 'character-portraits');
  end if;
  return true;
exception when insufficient_privilege then
  raise warning 'pictures of characters are not stored: %', sqlerrm;
  return false;
end $$;

-- Reserves a path for an upload, for an hour: {"outcome": "reserved", "path"}, or no_storage,
-- character_not_found, unknown_user, banned_user.
create function public.reserve_portrait(p_user_id uuid, p_character_id uuid) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  v_blocked jsonb := private.why_account_blocked(p_user_id);
  v_path text := format('%s/%s/%s.webp', p_user_id, p_character_id, gen_random_uuid());
begin
  if v_blocked is not null then
    return v_blocked;
  elsif not exists (
      select from shared.characters ch where ch.id = p_character_id and ch.user_id = p_user_id) then
    return '{"outcome": "character_not_found"}';
  elsif not private.has_portraits() then
    return '{"outcome": "no_storage"}';
  end if;
  insert into private.portraits_to_remove (path, reserved_by, due_at)
  values (v_path, p_user_id, now() + interval '1 hour');
  return jsonb_build_object('outcome', 'reserved', 'path', v_path);
end $$;

-- Makes an uploaded file the picture of the character: {"outcome": "saved"}, or character_not_found,
-- or reservation_gone. Called again with the same path it changes nothing.
create function public.keep_portrait(p_user_id uuid, p_character_id uuid, p_path text) returns jsonb
language plpgsql security definer set search_path = '' as $$
begin
  if exists (
      select from public.character_portraits p where p.character_id = p_character_id and p.path = p_path) then
    return '{"outcome": "saved"}';
  elsif not exists (
      select from shared.characters ch where ch.id = p_character_id and ch.user_id = p_user_id) then
    return '{"outcome": "character_not_found"}';
  end if;
  delete from private.portraits_to_remove r
  where r.path = p_path and r.reserved_by = p_user_id and r.due_at > now();
  if not found then
    return '{"outcome": "reservation_gone"}';
  end if;
  insert into public.character_portraits (character_id, path) values (p_character_id, p_path)
  on conflict (character_id) do update set path = excluded.path, created_at = now();
  return '{"outcome": "saved"}';
exception when foreign_key_violation then
  -- Deleted just now. The reservation exists again.
  return '{"outcome": "character_not_found"}';
end $$;

-- The paths to remove from the bucket, the oldest first.
create function public.portraits_to_remove(p_limit integer) returns text[]
language sql stable security definer set search_path = '' as $$
  select coalesce(array_agg(d.path order by d.due_at, d.path), '{}')
  from (select r.path, r.due_at from private.portraits_to_remove r
        where r.due_at <= now() order by r.due_at, r.path limit p_limit) d
$$;

-- Forgets paths that were removed from the bucket.
create function public.portraits_removed(p_paths text[]) returns void
language sql security definer set search_path = '' as $$
  delete from private.portraits_to_remove r where r.path = any (p_paths)
$$;

revoke execute on function private.owns_character(uuid), private.remove_portrait(),
  private.may_upload_portrait(text), private.has_portraits(), private.install_portraits(),
  public.reserve_portrait(uuid, uuid), public.keep_portrait(uuid, uuid, text),
  public.portraits_to_remove(integer), public.portraits_removed(text[]) from public, anon, authenticated;
grant execute on function private.owns_character(uuid), private.may_upload_portrait(text) to authenticated;
grant execute on function public.reserve_portrait(uuid, uuid), public.keep_portrait(uuid, uuid, text),
  public.portraits_to_remove(integer), public.portraits_removed(text[]) to service_role;

select private.install_portraits();
