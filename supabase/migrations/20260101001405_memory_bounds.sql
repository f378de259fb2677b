-- Bounds of the memory.

-- Stores the current summary of a conversation as a version, and drops one if there are too many: the
-- one that leaves the smallest gap, in proportion to its age. The newest stay.
create function private.keep_version(p_conversation_id uuid) returns void
language sql set search_path = '' as $$
  insert into private.summary_versions as v (conversation_id, covers_position, content, content_tier)
  select s.conversation_id, s.covers_position, s.content, s.content_tier from public.conversation_summaries s
  where s.conversation_id = p_conversation_id
  on conflict (conversation_id, covers_position) do update
  set content = excluded.content, content_tier = excluded.content_tier;

  delete from private.summary_versions v
  using (
    select g.covers_position from (
      select o.covers_position, count(*) over () as total, row_number() over newest as age,
             lag(o.covers_position) over newest - coalesce(lead(o.covers_position) over newest, 0) as gap
      from private.summary_versions o where o.conversation_id = p_conversation_id
      window newest as (order by o.covers_position desc)) g
    where g.total > 12 and g.age > 3
    order by g.gap::numeric / g.age, g.covers_position limit 1) dropped
  where v.conversation_id = p_conversation_id and v.covers_position = dropped.covers_position;
$$;

-- Drops the least important facts from a memory that has too many: current facts by lowest importance,
-- then longest without use, then age, each with the facts that it replaced. One that hides another counts as much as
-- that, which would be shown without it. Pinned facts and users' own are never dropped, and leave as much room for
-- the others.
create function private.drop_facts(p_memory_id uuid) returns void
language sql set search_path = '' as $$
  with recursive dropped as (
    select r.id from (
      select f.id, f.replaced_by is null and not f.is_withdrawal as is_current,
             row_number() over (
               partition by f.replaced_by is null, f.is_withdrawal
               order by greatest(f.importance, h.importance) desc, greatest(f.last_used_at, h.last_used_at) desc,
                        f.created_at desc, f.id) as place
      from public.memory_facts f
      left join lateral (
        select max(o.importance) as importance, max(o.last_used_at) as last_used_at
        from public.memory_facts o where o.id = any (f.hides) and o.replaced_by is null) h on f.hides <> '{}'
      where f.memory_id = p_memory_id and f.written_by = 'model' and not f.pinned) r
    where r.place > case when r.is_current then 300 else 100 end
    union
    select f.id from dropped d join public.memory_facts f on f.replaced_by = d.id
    where f.written_by = 'model' and not f.pinned)
  -- The user may have made one their own meanwhile.
  delete from public.memory_facts f using dropped d where f.id = d.id and f.written_by = 'model' and not f.pinned
$$;
revoke execute on function private.keep_version(uuid), private.drop_facts(uuid) from public, anon, authenticated;
