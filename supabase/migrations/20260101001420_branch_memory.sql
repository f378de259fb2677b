-- Copies the memory of its messages to a branch: the newest summary that covers nothing after
-- p_position, and the facts of the conversation that were drawn from nothing later, with those that a
-- user wrote, or moved here from another conversation. Facts that were replaced later are current there,
-- but not what a fact of the character or the user has replaced. The branch has its messages already.
create function private.branch_memory(p_parent_id uuid, p_branch_id uuid, p_position bigint) returns void
language plpgsql set search_path = '' as $$
declare
  v_tier text := private.tier_of(p_parent_id);
  v_summary record;
  v_user_id constant uuid := (select c.user_id from shared.conversations c where c.id = p_branch_id);
  v_memory_id uuid;
  v_repeated uuid[];
begin
  perform private.lock_memory(v_user_id);
  select v.* into v_summary
  from (
    select s.content, s.person_content, s.person_covers, s.covers_position from public.conversation_summaries s
    where s.conversation_id = p_parent_id
    union all
    -- What a model wrote goes on after the user's words.
    select v.content, s.person_content, s.person_covers, v.covers_position
    from private.summary_versions v join public.conversation_summaries s on s.conversation_id = v.conversation_id
    where v.conversation_id = p_parent_id and v.content <> ''
    union all
    -- The words alone.
    select '', s.person_content, s.person_covers, coalesce((
      select max(v.covers_position) from private.summary_versions v
      where v.conversation_id = p_parent_id and v.content = ''), 0)
    from public.conversation_summaries s where s.conversation_id = p_parent_id and s.person_content <> '') v
  where greatest(v.covers_position, v.person_covers) <= p_position
  order by v.covers_position desc, v.content <> '' desc limit 1;
  -- Written even if it is empty, because it records the content tier of the messages.
  insert into public.conversation_summaries (
    conversation_id, content, person_content, person_covers, covers_position, content_tier)
  values (p_branch_id, coalesce(v_summary.content, ''), coalesce(v_summary.person_content, ''),
          coalesce(v_summary.person_covers, 0), coalesce(v_summary.covers_position, 0), v_tier);
  insert into private.summary_versions (conversation_id, covers_position, content, content_tier)
  select p_branch_id, v.covers_position, v.content, v.content_tier from private.summary_versions v
  where v.conversation_id = p_parent_id and v.covers_position <= v_summary.covers_position;
  -- It may end shortly after the summary, or with it.
  perform private.uncover_newest(p_branch_id);

  insert into public.memories (user_id, tier, conversation_id)
  select m.user_id, m.tier, p_branch_id from public.memories m where m.conversation_id = p_parent_id
  returning id into v_memory_id;
  with copied as materialized (
    select f.*, gen_random_uuid() as copy_id
    from public.memories m join public.memory_facts f on f.memory_id = m.id
    where m.conversation_id = p_parent_id
      and (f.source_to <= p_position or f.source_to is null or f.source_conversation_id is distinct from p_parent_id)),
  placed as (
    select f.*, source.id as source_copy_id, newer.copy_id as newer_id, wider.id as wider_id,
           newer.copy_id is null and wider.id is null and not f.is_withdrawal as is_current
    from copied f
    left join copied newer on newer.id = f.replaced_by
    left join public.memory_facts wider on wider.id = f.replaced_by and wider.memory_id <> f.memory_id
      and (wider.source_conversation_id = p_parent_id and wider.source_to > p_position) is not true
    left join shared.messages source
      on source.conversation_id = p_branch_id and source.position = f.source_from and f.source_message_id is not null),
  -- Two of one text may both be current there. The user's own is kept.
  chosen as materialized (
    select p.*, case when p.is_current then first_value(p.copy_id) over (
                  partition by p.is_current, p.plain_digest
                  order by p.written_by = 'person' desc, p.pinned desc, p.created_at, p.id)
                else p.copy_id end as chosen_id
    from placed p),
  repeats as (
    insert into private.fact_repeats (fact_id, conversation_id, position, is_copied)
    select f.chosen_id, case r.conversation_id when p_parent_id then p_branch_id else r.conversation_id end, r.position,
           r.is_copied
    from chosen f join private.fact_repeats r on r.fact_id = f.id
    where r.conversation_id <> p_parent_id or r.position <= p_position
    on conflict do nothing),
  added as (
    insert into public.memory_facts (
      id, memory_id, content, gist, pinned, is_active, written_by, content_tier, importance, is_rated, is_moved, is_unread,
      subject, topic, source_conversation_id, source_message_id, source_from, source_to, repeated_to, said_at, last_used_at,
      since, replaced_by, hides, is_withdrawal, created_at)
    select f.copy_id, v_memory_id, f.content, f.gist, f.pinned, f.is_active, f.written_by, f.content_tier, f.importance,
           f.is_rated, f.is_moved, f.is_unread, f.subject, f.topic,
           case when f.source_conversation_id = p_parent_id then p_branch_id else f.source_conversation_id end,
           case when f.source_conversation_id = p_parent_id then f.source_copy_id else f.source_message_id end,
           f.source_from, f.source_to,
           (select max(r.position) from private.fact_repeats r
            where r.fact_id = f.id and r.conversation_id = p_parent_id and f.source_conversation_id = p_parent_id
              and r.position > f.source_to and r.position <= p_position),
           f.said_at, f.last_used_at, f.since, coalesce(newer.chosen_id, f.wider_id),
           array(select coalesce(c.chosen_id, h.id) from unnest(f.hides) h (id) left join chosen c on c.id = h.id),
           f.is_withdrawal, f.created_at
    from chosen f left join chosen newer on newer.copy_id = f.newer_id
    where f.chosen_id = f.copy_id)
  select array_agg(f.copy_id) into v_repeated from chosen f
  where f.chosen_id = f.copy_id and f.source_conversation_id = p_parent_id and f.repeated_to > p_position;
  -- What was said after the point only was perhaps said between two others.
  perform private.review_facts(v_repeated);
  perform private.drop_replaced(p_branch_id);
  -- Facts of the character and the user that these messages told are told by the branch, too.
  insert into private.fact_repeats (fact_id, conversation_id, position, is_copied)
  select f.id, p_branch_id, said.position, true
  from public.memory_facts f
  join public.memories m on m.id = f.memory_id and m.tier <> 'conversation'
  cross join lateral (
    select f.source_to as position
    where f.source_conversation_id = p_parent_id and f.source_message_id is not null
    union
    select r.position from private.fact_repeats r where r.fact_id = f.id and r.conversation_id = p_parent_id) said
  where m.user_id = v_user_id and said.position <= p_position
    -- More of them make no difference.
    and (select count(*) from private.fact_repeats o where o.fact_id = f.id) < 20;
  -- What the user did not want there they do not want in the branch, either.
  insert into private.forgotten_facts (user_id, plain_digest, unwanted_until, conversation_id)
  select g.user_id, g.plain_digest, g.unwanted_until, p_branch_id from private.forgotten_facts g
  where g.conversation_id = p_parent_id;
  perform private.branch_embeddings(p_parent_id, p_branch_id);
end $$;
revoke execute on function private.branch_memory(uuid, uuid, bigint) from public, anon, authenticated;
