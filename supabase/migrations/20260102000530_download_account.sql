-- Everything that is stored about a person, for them to download: pages of JSON, section by
-- section.

-- The sections, in order. Numbers of rows of a page: fewer where rows are large.
create function private.account_sections() returns table (section text, most integer)
language sql immutable set search_path = '' as $$
  values ('profile', 1), ('characters', 20), ('character_cards', 1), ('lorebooks', 20), ('conversations', 100),
         ('messages', 200), ('summaries', 50), ('variables', 50), ('memories', 200), ('facts', 200),
         ('forgotten_facts', 200), ('turns', 200), ('prompts', 50), ('usage', 200), ('counters', 200), ('reports', 200),
         ('blocked_authors', 200), ('take_downs', 200), ('api_keys', 200)
$$;

-- What this installation knows about the person: account, roles, and whether their age is verified.
create function private.account_profile(p_user_id uuid) returns jsonb
language sql stable set search_path = '' as $$
  select jsonb_build_object(
    'id', u.id, 'email', u.facts -> 'email', 'phone', u.facts -> 'phone', 'created_at', u.facts -> 'created_at',
    'last_sign_in_at', u.facts -> 'last_sign_in_at', 'display_name', p.display_name,
    'age_verified', coalesce(p.age_verified, false),
    'deletion_asked_at', (select l.asked_at from private.leaving_users l where l.user_id = p_user_id),
    'roles', array(select r.role from shared.user_roles r where r.user_id = p_user_id order by r.role))
  from (select a.id, to_jsonb(a) as facts from auth.users a where a.id = p_user_id) u
  left join shared.profiles p on p.id = u.id
$$;

-- The messages of a person after a place, conversation by conversation, with all versions of replies. Those of a
-- product that have no time are the last ones.
create function private.account_messages(p_user_id uuid, p_after jsonb, p_most integer)
returns table (key jsonb, content jsonb)
language plpgsql stable set search_path = '' as $$
declare
  c_first constant uuid := '00000000-0000-0000-0000-000000000000';
  v_conversation uuid := p_after ->> 0;
  v_at timestamptz := coalesce((p_after ->> 1)::timestamptz, '-infinity');
  v_id uuid := coalesce((p_after ->> 2)::uuid, c_first);
  v_left integer := p_most;
  v_found integer;
  v_next uuid;
begin
  for v_next in
    select c.id from shared.conversations c
    where c.user_id = p_user_id and (v_conversation is null or c.id >= v_conversation) order by c.id
  loop
    if v_next is distinct from v_conversation then
      v_at := '-infinity';
      v_id := c_first;
    end if;
    return query
      select jsonb_build_array(v_next, m.at, m.id), m.message - 'is_speech'
      from (
        -- Apart, so that each is read in the order of an index.
        (select o.created_at as at, o.id, to_jsonb(o) as message from shared.messages o
         where o.conversation_id = v_next and o.created_at >= v_at and (o.created_at, o.id) > (v_at, v_id)
         order by o.created_at, o.id limit v_left)
        union all
        (select 'infinity', o.id, to_jsonb(o) from shared.messages o
         where o.conversation_id = v_next and o.created_at is null and ('infinity', o.id) > (v_at, v_id)
         order by o.id limit v_left)) m
      order by m.at, m.id limit v_left;
    get diagnostics v_found = row_count;
    v_left := v_left - v_found;
    exit when v_left <= 0;
  end loop;
end $$;

-- At most p_most rows of a section after a key of an earlier row (null: the first), in order. Keys are
-- [id] or [time, id].
create function private.account_rows(p_user_id uuid, p_section text, p_after jsonb, p_most integer)
returns table (key jsonb, content jsonb)
language plpgsql stable set search_path = '' as $$
declare
  c_first constant uuid := '00000000-0000-0000-0000-000000000000';
  v_by_time constant boolean := p_section in ('turns', 'prompts', 'usage', 'reports');
  v_at constant timestamptz := case when v_by_time then coalesce((p_after ->> 0)::timestamptz, '-infinity') end;
  v_id constant uuid := case
    when p_section in ('profile', 'messages', 'counters') then null
    when v_by_time then coalesce((p_after ->> 1)::uuid, c_first) else coalesce((p_after ->> 0)::uuid, c_first) end;
  v_text constant text := coalesce(p_after ->> 0, '');
begin
  case p_section
  when 'profile' then
    return query select '[]'::jsonb, private.account_profile(p_user_id) where p_after is null;
  when 'characters' then
    return query select jsonb_build_array(ch.id), to_jsonb(ch) || jsonb_build_object(
        'tags', private.tags_of(ch.id),
        'portrait', (select i.path from public.character_portraits i where i.character_id = ch.id))
      from shared.characters ch where ch.user_id = p_user_id and ch.id > v_id order by ch.id limit p_most;
  when 'character_cards' then
    return query select jsonb_build_array(k.character_id), to_jsonb(k)
      from shared.characters ch join public.character_cards k on k.character_id = ch.id
      where ch.user_id = p_user_id and ch.id > v_id order by ch.id limit p_most;
  when 'lorebooks' then
    return query select jsonb_build_array(b.id), to_jsonb(b)
      from public.lorebooks b where b.user_id = p_user_id and b.id > v_id order by b.id limit p_most;
  when 'conversations' then
    return query select jsonb_build_array(c.id), to_jsonb(c) || jsonb_build_object(
        'settings', (select to_jsonb(s) from public.conversation_settings s where s.conversation_id = c.id),
        'entry', (select to_jsonb(e) from public.conversation_entries e where e.conversation_id = c.id),
        'characters', array(select m.character_id from public.conversation_characters m
                            where m.conversation_id = c.id order by m.position),
        'personas', (
          select coalesce(jsonb_agg(to_jsonb(p) - 'conversation_id' order by p.position), '[]')
          from private.conversation_personas p where p.conversation_id = c.id),
        'hidden_positions', private.hidden_positions(c.id))
      from shared.conversations c where c.user_id = p_user_id and c.id > v_id order by c.id limit p_most;
  when 'messages' then
    return query select m.key, m.content from private.account_messages(p_user_id, p_after, p_most) m;
  when 'summaries' then
    return query select jsonb_build_array(s.conversation_id), to_jsonb(s) || jsonb_build_object('versions', (
        select coalesce(jsonb_agg(to_jsonb(v) order by v.covers_position), '[]') from private.summary_versions v
        where v.conversation_id = s.conversation_id))
      from public.conversation_summaries s join shared.conversations c on c.id = s.conversation_id
      where c.user_id = p_user_id and c.id > v_id order by c.id limit p_most;
  when 'variables' then
    return query select jsonb_build_array(v.message_id), to_jsonb(v)
      from private.message_variables v join shared.conversations c on c.id = v.conversation_id
      where c.user_id = p_user_id and v.message_id > v_id order by v.message_id limit p_most;
  when 'memories' then
    return query select jsonb_build_array(m.id), to_jsonb(m)
      from public.memories m where m.user_id = p_user_id and m.id > v_id order by m.id limit p_most;
  when 'facts' then
    return query select jsonb_build_array(f.id), to_jsonb(f) || jsonb_build_object('repeats', (
        select coalesce(jsonb_agg(to_jsonb(r) - 'fact_id'), '[]') from private.fact_repeats r where r.fact_id = f.id))
      from public.memory_facts f join public.memories m on m.id = f.memory_id
      where m.user_id = p_user_id and f.id > v_id order by f.id limit p_most;
  when 'forgotten_facts' then
    return query select jsonb_build_array(f.id), to_jsonb(f)
      from private.forgotten_facts f where f.user_id = p_user_id and f.id > v_id order by f.id limit p_most;
  when 'turns' then
    return query select jsonb_build_array(t.created_at, t.id), to_jsonb(t) || jsonb_build_object('reply', r.content)
      from public.turns t left join private.turn_replies r on r.turn_id = t.id
      where t.user_id = p_user_id and t.created_at >= v_at and (t.created_at, t.id) > (v_at, v_id)
      order by t.created_at, t.id limit p_most;
  when 'prompts' then
    return query select jsonb_build_array(t.created_at, t.id), to_jsonb(p)
      from public.turns t join public.turn_prompts p on p.turn_id = t.id
      where t.user_id = p_user_id and t.created_at >= v_at and (t.created_at, t.id) > (v_at, v_id)
      order by t.created_at, t.id limit p_most;
  when 'usage' then
    return query select jsonb_build_array(u.created_at, u.id), to_jsonb(u)
      from public.usage_events u
      where u.user_id = p_user_id and u.created_at >= v_at and (u.created_at, u.id) > (v_at, v_id)
      order by u.created_at, u.id limit p_most;
  when 'counters' then
    return query select jsonb_build_array(c.kind), to_jsonb(c)
      from private.counters c where c.user_id = p_user_id and c.kind > v_text order by c.kind limit p_most;
  when 'reports' then
    return query select jsonb_build_array(r.created_at, r.id), to_jsonb(r) - '{closed_by,closed_reason}'::text[]
      from public.character_reports r
      where r.user_id = p_user_id and (r.created_at, r.id) > (v_at, v_id) order by r.created_at, r.id limit p_most;
  when 'blocked_authors' then
    return query select jsonb_build_array(b.author_id), to_jsonb(b)
      from public.blocked_authors b where b.user_id = p_user_id and b.author_id > v_id order by b.author_id limit p_most;
  when 'take_downs' then
    return query select jsonb_build_array(d.id), to_jsonb(d) - '{taken_down_by,restored_by}'::text[]
      from private.take_downs d where d.author_id = p_user_id and d.id > v_id order by d.id limit p_most;
  when 'api_keys' then
    return query select jsonb_build_array(k.id), to_jsonb(k) - 'key_hash'
      from private.api_keys k where k.user_id = p_user_id and k.id > v_id order by k.id limit p_most;
  end case;
end $$;

-- For the signed-in person. Without p_section: {"sections": [names, in the order to ask for them]}. With
-- one: {"section", "rows": [...], "next": what p_after is for the next page, or null at the end}. A page
-- has at most a megabyte, or one row. Null for nobody. Errors: PT400 for an unknown section.
create function public.download_account(p_section text default null, p_after jsonb default null) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
declare
  v_user_id constant uuid := auth.uid();
  v_most constant integer := (select s.most from private.account_sections() s where s.section = p_section);
begin
  if v_user_id is null then
    return null;
  elsif p_section is null then
    return jsonb_build_object('sections', array(select s.section from private.account_sections() s));
  elsif v_most is null then
    raise exception 'There is no such section.' using errcode = 'PT400';
  end if;
  return (
    with found as materialized (
      select r.key, r.content, r.place, sum(octet_length(r.content::text)) over (order by r.place) as bytes
      from private.account_rows(v_user_id, p_section, nullif(p_after, 'null'), v_most)
        with ordinality r (key, content, place)),
    kept as (select * from found f where f.place = 1 or f.bytes <= 1048576)
    select jsonb_build_object(
      'section', p_section,
      'rows', coalesce(jsonb_agg(k.content order by k.place), '[]'),
      'next', case when count(*) = v_most or count(*) < (select count(*) from found)
                then (array_agg(k.key order by k.place desc))[1] end)
    from kept k);
end $$;

revoke execute on function private.account_sections(), private.account_profile(uuid),
  private.account_messages(uuid, jsonb, integer), private.account_rows(uuid, text, jsonb, integer),
  public.download_account(text, jsonb) from public, anon, authenticated, service_role;
grant execute on function public.download_account(text, jsonb) to authenticated;
