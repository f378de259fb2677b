-- The list of the caller's conversations, one page at a time.

-- Whether a deleted conversation is still deleted: its owner has written nothing in it since. A reply
-- that was being written does not count.
create function private.stays_deleted(p_conversation_id uuid, p_deleted_at timestamptz) returns boolean
language sql stable set search_path = '' as $$
  select p_deleted_at is not null
    and not exists (
      select from public.turns t where t.conversation_id = p_conversation_id and t.created_at > p_deleted_at)
    and coalesce((
      select m.created_at <= p_deleted_at from shared.messages m
      where m.conversation_id = p_conversation_id and m.is_active and m.is_speech and m.position is not null
        and m.sender = 'user'
      order by m.position desc limit 1), true)
$$;

-- The title of a conversation: its owner's own, else the one that it was given, else the beginning of
-- the owner's first message that is not just a greeting. Null if there is none.
create function private.conversation_title(p_conversation_id uuid, p_own text, p_given text) returns text
language sql stable set search_path = '' as $$
  select coalesce(nullif(p_own, ''), shared.given_title(p_given), (
    -- Without the marks of headings and quotations, and without quotation marks around the whole.
    select nullif(private.one_line(regexp_replace(
      regexp_replace(left(said.content, 1000), '(?:^|\n)\s*(?:#{1,6}\s|>)+|~~', ' ', 'g'),
      '^[\s*]*["“„”«»「『]([^"“„”«»「」『』]*)["“”«»」』][\s*]*$', '\1'), 60), '')
    from (
      select m.sender, m.content, m.position from shared.messages m
      where m.conversation_id = p_conversation_id and m.is_active and m.is_speech and m.position is not null
      order by m.position limit 8) said
    where said.sender = 'user'
    order by octet_length(said.content) < 12, said.position limit 1))
$$;

-- A conversation as lists have it: see public.list_conversations.
create function private.listed(p_conversation shared.conversations, p_entry public.conversation_entries) returns json
language sql stable set search_path = '' as $$
  select json_build_object(
    'id', c.id,
    'title', private.conversation_title(c.id, p_entry.title, c.title),
    'character_id', c.character_id,
    'character_name', (select o.name from public.companions o
                       where o.conversation_id = c.id and o.character_id = c.character_id limit 1),
    'other_names', array(select o.name
                         from public.conversation_characters m
                         join public.companions o
                           on o.conversation_id = m.conversation_id and o.character_id = m.character_id
                         where m.conversation_id = c.id and m.character_id is distinct from c.character_id
                         order by m.position),
    'user_character_id', c.user_character_id,
    'is_branch', c.parent_conversation_id is not null,
    'is_pinned', coalesce(p_entry.is_pinned, false),
    'deleted_at', p_entry.deleted_at,
    'updated_at', c.updated_at,
    'last_sender', m.sender,
    'last_line', private.one_line(m.content, 120))
  from (select (p_conversation).*) c
  left join lateral (
    select m.sender, m.content from shared.messages m
    where m.conversation_id = c.id and m.is_active and m.is_speech and m.position is not null
    order by m.position desc limit 1) m on true
$$;

-- The caller's conversations, pinned ones first, then the newest: {"conversations": [{"id", "title",
-- "character_id", "character_name", "other_names", "user_character_id", "is_branch", "is_pinned",
-- "deleted_at", "updated_at", "last_sender", "last_line"}], "next"}. title is null if nothing was said
-- yet; other_names are those of the further characters; last_line is plain text. At most 100; `next` is p_after for the next page, or null. With p_deleted, those that can still
-- be restored, the last deleted first, on one page.
create function public.list_conversations(
  p_limit integer default 50, p_after jsonb default null, p_deleted boolean default false) returns json
language plpgsql stable security definer set search_path = '' as $$
declare
  v_user_id constant uuid := private.active_caller();
  v_limit constant integer := least(greatest(coalesce(p_limit, 50), 1), 100);
  v_after_pinned constant boolean := coalesce((p_after ->> 'is_pinned')::boolean, true);
  v_after_time constant timestamptz := coalesce((p_after ->> 'updated_at')::timestamptz, 'infinity');
  v_after_id constant uuid := coalesce((p_after ->> 'id')::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff');
begin
  if p_deleted then
    return (
      select json_build_object('next', null, 'conversations',
                               coalesce(json_agg(private.listed(d.c, d.e) order by d.deleted_at desc), '[]'))
      from (
        select c, e, e.deleted_at
        from public.conversation_entries e join shared.conversations c on c.id = e.conversation_id
        where e.user_id = v_user_id and e.is_deleted and private.stays_deleted(e.conversation_id, e.deleted_at)
        order by e.deleted_at desc limit 100) d);
  end if;
  return (
    with page as materialized (
      select * from (
        (select c, e, true as is_pinned, c.updated_at, c.id
         from public.conversation_entries e join shared.conversations c on c.id = e.conversation_id
         where e.user_id = v_user_id and e.is_pinned and v_after_pinned
           and (c.updated_at, c.id) < (v_after_time, v_after_id)
           and not private.stays_deleted(e.conversation_id, e.deleted_at)
         order by c.updated_at desc, c.id desc limit v_limit + 1)
        union all
        (select c, e, false, c.updated_at, c.id
         from shared.conversations c left join public.conversation_entries e on e.conversation_id = c.id
         where c.user_id = v_user_id and e.is_pinned is not true
           -- The pinned ones come before all of these.
           and (v_after_pinned or c.updated_at <= v_after_time)
           and (v_after_pinned or (c.updated_at, c.id) < (v_after_time, v_after_id))
           and not coalesce(private.stays_deleted(e.conversation_id, e.deleted_at), false)
         order by c.updated_at desc, c.id desc limit v_limit + 1)) both_kinds
      order by is_pinned desc, updated_at desc, id desc limit v_limit + 1),
    shown as (
      select p.*, row_number() over (order by p.is_pinned desc, p.updated_at desc, p.id desc) as place from page p)
    select json_build_object(
      'conversations', coalesce(json_agg(private.listed(s.c, s.e) order by s.place)
                                  filter (where s.place <= v_limit), '[]'),
      'next', case when count(*) > v_limit then (
        select json_build_object('is_pinned', l.is_pinned, 'updated_at', l.updated_at, 'id', l.id)
        from shown l where l.place = v_limit) end)
    from shown s);
end $$;

revoke execute on function private.stays_deleted(uuid, timestamptz), private.conversation_title(uuid, text, text),
  private.listed(shared.conversations, public.conversation_entries),
  public.list_conversations(integer, jsonb, boolean) from public, anon, authenticated, service_role;
grant execute on function public.list_conversations(integer, jsonb, boolean) to authenticated;
