-- Turns for admins who investigate errors: numbers, names of models and codes, no texts.
--
-- The newest first, because Postgres sorts nothing behind a security barrier by itself: for a page of 50 it would read
-- the turns of the whole period.

create view public.turn_reports with (security_barrier = true) as
select t.id, t.user_id, t.created_at, t.finished_at, t.task, t.action, t.status, t.error_code, t.model_used, t.worker,
       t.content_tier, t.finish_reason, t.prompt_tokens, t.completion_tokens, t.cost_usd, t.duration_ms, t.request_id
from public.turns t
where (select private.is_admin())
order by t.created_at desc;
revoke all on public.turn_reports from public, anon, authenticated, service_role;
grant select on public.turn_reports to authenticated;

-- One turn for an admin: {"turn": a row of turn_reports, "calls": [{"purpose", "provider", "model_key",
-- "outcome", "prompt_tokens", "cached_tokens", "completion_tokens", "is_estimated", "cost_usd",
-- "first_token_ms", "duration_ms", "created_at"}] in their order, "prompt": null or {"tokens", "parts",
-- "history", "entries", "facts", "recalled", "left_out"}, with numbers in place of what a person sees there}.
create function public.turn_report(p_turn_id uuid) returns json
language plpgsql stable security definer set search_path = '' as $$
begin
  if not private.is_admin() then
    raise exception 'only admins see the turns of others' using errcode = '42501';
  end if;
  return (
    select json_build_object(
      'turn', to_json(t),
      'calls', (
        select coalesce(json_agg(json_build_object(
          'purpose', u.purpose, 'provider', u.provider, 'model_key', u.model_key, 'outcome', u.outcome,
          'prompt_tokens', u.prompt_tokens, 'cached_tokens', u.cached_tokens,
          'completion_tokens', u.completion_tokens, 'is_estimated', u.is_estimated, 'cost_usd', u.cost_usd,
          'first_token_ms', u.first_token_ms, 'duration_ms', u.duration_ms, 'created_at', u.created_at)
          order by u.created_at, u.id), '[]')
        from public.usage_events u where u.turn_id = t.id),
      'prompt', (
        select json_build_object(
          'tokens', p.composition -> 'tokens', 'parts', p.composition -> 'parts', 'history', p.composition -> 'history',
          'entries', private.count_of(p.composition -> 'entries'), 'facts', private.count_of(p.composition -> 'facts'),
          'recalled', private.count_of(p.composition #> '{recalled,messages}')
                      + private.count_of(p.composition #> '{recalled,facts}'),
          'left_out', private.count_of(p.composition #> '{left_out,entries}')
                      + private.count_of(p.composition #> '{left_out,facts}'))
        from public.turn_prompts p where p.turn_id = t.id))
    from public.turn_reports t where t.id = p_turn_id);
end $$;

-- The length of a JSON array; 0 of anything else.
create function private.count_of(p_list jsonb) returns integer
language sql immutable set search_path = '' as $$
  select case jsonb_typeof(p_list) when 'array' then jsonb_array_length(p_list) else 0 end
$$;
revoke execute on function private.count_of(jsonb), public.turn_report(uuid) from public, anon, authenticated, service_role;
grant execute on function public.turn_report(uuid) to authenticated;
