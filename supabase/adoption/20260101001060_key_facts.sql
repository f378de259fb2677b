-- Facts that were written by hand into conversations' memory_data: they become pinned facts of the
-- conversation. Run again it adds nothing.

with noted as (
  select c.id, c.user_id, f.content
  from public.conversations c
  join auth.users u on u.id = c.user_id
  cross join lateral (
    select distinct left(btrim(e.value #>> '{}', E' \t\n\r'), 2000) as content
    from jsonb_array_elements(
      case jsonb_typeof(c.memory_data -> 'key_facts') when 'array' then c.memory_data -> 'key_facts' else '[]' end) e
    where jsonb_typeof(e.value) = 'string') f
  where not private.is_blank(f.content)),
reached as (
  insert into public.memories as m (user_id, tier, conversation_id)
  select distinct n.user_id, 'conversation', n.id from noted n
  on conflict (user_id, tier, conversation_id, character_id) do update set tier = excluded.tier
  returning m.id, m.conversation_id)
insert into public.memory_facts (memory_id, content, pinned, written_by)
select r.id, n.content, true, 'person' from noted n join reached r on r.conversation_id = n.id
on conflict do nothing;
