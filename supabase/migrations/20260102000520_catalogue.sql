-- The catalogue of public characters, with tags and search.

create table public.character_tags (
  character_id uuid not null references public.characters (id) on delete cascade,
  tag text not null,
  primary key (character_id, tag),
  constraint character_tags_tag check (char_length(tag) between 1 and 40)
);
create index character_tags_by_tag on public.character_tags (tag, character_id);

-- One spelling of each tag, and at most 20 of a character.
create function private.check_tag() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  new.tag := btrim(regexp_replace(lower(normalize(left(new.tag, 200), nfkc)), '\s+', ' ', 'g'));
  -- The policy refuses a tag of somebody else's character only after this, and their own would wait meanwhile.
  if current_setting('role', true) = 'authenticated' and not private.owns_character(new.character_id) then
    return new;
  end if;
  -- Locked, so that two inserts at once count each other.
  perform pg_advisory_xact_lock(hashtextextended(new.character_id::text, 5));
  if (select count(*) from public.character_tags t where t.character_id = new.character_id) >= 20 then
    raise exception 'A character has at most 20 tags. Please remove one first.' using errcode = 'PT409';
  end if;
  return new;
end $$;
create trigger character_tags_check before insert on public.character_tags
  for each row execute function private.check_tag();

revoke execute on function private.check_tag() from public, anon, authenticated;

alter table public.character_tags enable row level security;
revoke all on public.character_tags from public, anon, authenticated;
grant select, delete on public.character_tags to authenticated;
grant insert (character_id, tag) on public.character_tags to authenticated;
-- Those of others are in the catalogue.
create policy character_tags_all on public.character_tags for all to authenticated
  using (private.owns_character(character_id)) with check (private.owns_character(character_id));
select private.guard_writes('public.character_tags', 'insert');

-- The tags of an imported card. Invalid ones are left out.
create function private.take_tags() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  insert into public.character_tags (character_id, tag)
  select distinct new.character_id, t.tag
  from (
    select btrim(regexp_replace(lower(normalize(left(e.value #>> '{}', 200), nfkc)), '\s+', ' ', 'g')) as tag, e.place
    from jsonb_array_elements(
      case jsonb_typeof(new.card #> '{data,tags}') when 'array' then new.card #> '{data,tags}' else '[]' end)
      with ordinality e (value, place)
    where jsonb_typeof(e.value) = 'string' and e.place <= 20) t
  where char_length(t.tag) between 1 and 40
  on conflict do nothing;
  return null;
end $$;
revoke execute on function private.take_tags() from public, anon, authenticated;
create trigger character_cards_tags after insert on public.character_cards
  for each row execute function private.take_tags();

-- What the signed-in person may find: public characters, without those that are taken down, of blocked
-- authors, adult (without a verified age), or dated in the future by their authors.
create view private.catalogue as
select ch.id, ch.user_id, ch.name, ch.nickname, ch.description, ch.content_rating, ch.created_at
from shared.characters ch
where ch.is_public and ch.created_at <= now()
  and (ch.content_rating = 'sfw' or (select private.is_age_verified()))
  and not exists (select from private.take_downs d where d.character_id = ch.id and d.restored_at is null)
  and not exists (
    select from public.blocked_authors b where b.user_id = (select auth.uid()) and b.author_id = ch.user_id);
revoke all on private.catalogue from public, anon, authenticated;

create function private.tags_of(p_character_id uuid) returns text[]
language sql stable set search_path = '' as $$
  select array(select t.tag from public.character_tags t where t.character_id = p_character_id order by t.tag)
$$;

-- The text without case, punctuation and spaces. Text of punctuation only is unchanged.
create function private.normalised(p_content text) returns text
language sql immutable set search_path = '' as $$
  select coalesce(
    nullif(btrim(regexp_replace(lower(normalize(p_content, nfkc)), '[[:punct:][:space:]]+', ' ', 'g')), ''),
    p_content)
$$;
revoke execute on function private.normalised(text) from public, anon, authenticated;

-- Whether each of the words is in a character's name, nickname, tags or the beginning of its description.
create function private.is_found(p_words text[], p_character private.catalogue, p_tags text[]) returns boolean
language sql stable set search_path = '' as $$
  select not exists (
    select from unnest(p_words) w (word),
      private.normalised(concat_ws(' ', (p_character).name, (p_character).nickname, array_to_string(p_tags, ' '),
                                   left((p_character).description, 2000))) texts (text)
    where strpos(texts.text, w.word) = 0)
$$;

-- One page of the catalogue for the signed-in person, the newest first:
--   {"characters": [{"id", "name", "description" (500 characters), "tags", "portrait" (its path, or null),
--                    "content_rating", "author_id", "is_own", "created_at"}],
--    "next": {"created_at", "id"} for p_after, or null at the end}
-- p_search: words, all of which must be found; eight of them count. p_tags: all of them; eight count. A
-- page examines at most 2,000 characters, so it may be short, or empty, and still have a next one.
-- p_limit: 1 to 100.
create function public.search_catalogue(
  p_search text default '', p_tags text[] default '{}', p_after jsonb default null, p_limit integer default 30)
returns jsonb
language sql stable security definer set search_path = '' as $$
  with asked as (
    select (string_to_array(nullif(private.normalised(nullif(btrim(left(p_search, 200)), '')), ' '), ' '))[:8] as words,
           array(select btrim(lower(normalize(left(t, 200), nfkc))) from unnest(p_tags[:8]) t) as tags,
           least(100, greatest(1, coalesce(p_limit, 30))) as most),
  -- Without a query, the page contains all characters that are examined.
  bound as (select case when a.words is null and a.tags = '{}' then a.most else 2000 end as looks from asked a),
  looked_at as materialized (
    select c as character, c.created_at, c.id, private.tags_of(c.id) as tags
    from private.catalogue c
    where (select auth.uid()) is not null
      and (p_after is null
           or (c.created_at, c.id) < ((p_after ->> 'created_at')::timestamptz, (p_after ->> 'id')::uuid))
    order by c.created_at desc, c.id desc
    limit (select looks from bound)),
  page as materialized (
    select l.* from looked_at l, asked a
    where l.tags @> a.tags and (a.words is null or private.is_found(a.words, l.character, l.tags))
    order by l.created_at desc, l.id desc
    limit (select most from asked)),
  ends as (
    select case when (select count(*) from page) = (select most from asked) then 'page'
                when (select count(*) from looked_at) = (select looks from bound) then 'looked_at' end as at)
  select jsonb_build_object(
    'characters', coalesce((
      select jsonb_agg(jsonb_build_object(
        'id', p.id, 'name', (p.character).name, 'description', left((p.character).description, 500), 'tags', p.tags,
        'portrait', (select i.path from public.character_portraits i where i.character_id = p.id),
        'content_rating', (p.character).content_rating, 'author_id', (p.character).user_id,
        'is_own', (p.character).user_id is not distinct from auth.uid(), 'created_at', p.created_at)
        order by p.created_at desc, p.id desc)
      from page p), '[]'),
    'next', (
      select jsonb_build_object('created_at', n.created_at, 'id', n.id)
      from (
        select p.created_at, p.id from page p, ends e where e.at = 'page'
        union all
        select l.created_at, l.id from looked_at l, ends e where e.at = 'looked_at') n
      order by n.created_at, n.id limit 1))
$$;

-- The tags of the catalogue, the most frequent first, at most 100.
create function public.catalogue_tags() returns table (tag text, characters bigint)
language sql stable security definer set search_path = '' as $$
  select t.tag, count(*) from public.character_tags t join private.catalogue c on c.id = t.character_id
  where (select auth.uid()) is not null
  group by t.tag order by count(*) desc, t.tag limit 100
$$;

revoke execute on function private.tags_of(uuid), private.is_found(text[], private.catalogue, text[]),
  public.search_catalogue(text, text[], jsonb, integer), public.catalogue_tags()
  from public, anon, authenticated, service_role;
grant execute on function public.search_catalogue(text, text[], jsonb, integer), public.catalogue_tags()
  to authenticated;
