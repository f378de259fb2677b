-- Parts of what finish_turn writes.

-- A cooldown is extended, never shortened, and ends within a day. If a target fails again after its
-- cooldown, the next cooldown is longer each time, up to five times as long; a time that the upstream
-- named (more than an hour away) is used unchanged.
--
-- Turns of all people share these rows. A row is not touched unless its cooldown gets at least a second longer. A turn
-- waits for a row that another turn holds, and does not skip it: the other cooldown may be shorter, and then this one
-- would be lost. The wait is short, because a turn writes its cooldowns last.
create function private.cool_down(p_cooldowns jsonb) returns void
language sql set search_path = '' as $$
  insert into public.model_cooldowns as d (scope, key, until, reason)
  select r.scope, r.key, r.until, r.reason
  from (
    select c.scope, c.key, least(max(c.until), now() + interval '1 day') as until, min(c.reason) as reason
    from jsonb_populate_recordset(null::public.model_cooldowns, p_cooldowns) c
    where c.until > now()
    group by c.scope, c.key) r
  -- Here, because "do update ... where" locks the rows that it leaves as they are.
  where not exists (
    select from public.model_cooldowns k
    where k.scope = r.scope and k.key = r.key and k.until > now() and k.until > r.until - interval '1 second')
  -- Always in the same order, to avoid deadlocks.
  order by r.scope, r.key
  on conflict (scope, key) do update
  set until = greatest(d.until, least(
        case when excluded.until > now() + interval '1 hour' then excluded.until
             else now() + (excluded.until - now()) * (case when d.until <= now() then least(d.failures + 1, 5) else 1 end)
        end, now() + interval '1 day')),
      reason = excluded.reason,
      failures = d.failures + (d.until <= now())::integer, updated_at = now()
$$;

-- Counts one exchange in the memory of the request's memory tier. For the tier "character" it is the
-- memory of the character who spoke.
create function private.record_interaction(
  p_user_id uuid, p_tier text, p_conversation_id uuid, p_character_id uuid
) returns void
language plpgsql set search_path = '' as $$
begin
  insert into public.memories as m (user_id, tier, conversation_id, character_id, interaction_count, last_interaction_at)
  select p_user_id, p_tier,
         case p_tier when 'conversation' then c.id end,
         case p_tier when 'character' then coalesce(p_character_id, c.character_id) end,
         1, now()
  from shared.conversations c
  where c.id = p_conversation_id and (p_tier <> 'character' or coalesce(p_character_id, c.character_id) is not null)
  on conflict (user_id, tier, conversation_id, character_id) do update
  set interaction_count = m.interaction_count + 1, last_interaction_at = now();
end $$;

-- Writes the usage_events of a turn, each once: their ids are derived from the turn's, and begin like it, so that they
-- grow with time as it does (uuid7.py). For a turn that was deleted with its person (p_turn is null), the numbers are
-- kept for the spending of the project.
create function private.record_usage(p_turn_id uuid, p_turn public.turns, p_usage jsonb) returns void
language plpgsql set search_path = '' as $$
begin
  insert into public.usage_events (id, turn_id, user_id, provider, model_key, purpose, outcome, prompt_tokens,
                                   cached_tokens, completion_tokens, is_estimated, cost_usd, first_token_ms,
                                   duration_ms)
  select (left(p_turn_id::text, 13) || right(md5(concat_ws(
           ' ', p_turn_id, u.purpose, row_number() over (partition by u.purpose order by u.place))), 20))::uuid,
         p_turn_id, (p_turn).user_id, left(u.call ->> 'provider', 100), left(u.call ->> 'model_key', 300),
         u.purpose, left(u.call ->> 'outcome', 100),
         private.bounded(u.call -> 'prompt_tokens', 2147483647),
         private.bounded(u.call -> 'cached_tokens',
                         coalesce(private.bounded(u.call -> 'prompt_tokens', 2147483647), 0)),
         private.bounded(u.call -> 'completion_tokens', 2147483647),
         u.call -> 'is_estimated' is not distinct from 'true',
         private.bounded(u.call -> 'cost_usd', 999999.99999999),
         private.bounded(u.call -> 'first_token_ms', 2147483647),
         coalesce(private.bounded(u.call -> 'duration_ms', 2147483647), 0)
  from (
    select c.call, c.place, coalesce(c.call ->> 'purpose', 'reply') as purpose
    from jsonb_array_elements(p_usage) with ordinality c (call, place)) u
  on conflict (id) do nothing;
end $$;

revoke execute on function private.cool_down(jsonb), private.record_interaction(uuid, text, uuid, uuid),
  private.record_usage(uuid, public.turns, jsonb)
  from public, anon, authenticated;
