-- The parts of what finish_turn writes.

-- A cooldown is extended, never shortened, and ends within a day. What failed again after its
-- rest had passed rests longer each time, up to five times as long; a time that the upstream
-- named (more than an hour away) is taken as it is.
create function private.cool_down(p_cooldowns jsonb) returns void
language sql set search_path = '' as $$
  insert into public.model_cooldowns as d (scope, key, until, reason)
  select c.scope, c.key, least(max(c.until), now() + interval '1 day'), min(c.reason)
  from jsonb_populate_recordset(null::public.model_cooldowns, p_cooldowns) c
  where c.until > now()
  group by c.scope, c.key
  on conflict (scope, key) do update
  set until = greatest(d.until, least(
        case when excluded.until > now() + interval '1 hour' then excluded.until
             else now() + (excluded.until - now()) * (case when d.until <= now() then least(d.failures + 1, 5) else 1 end)
        end, now() + interval '1 day')),
      reason = excluded.reason,
      failures = d.failures + (d.until <= now())::integer, updated_at = now()
$$;

-- Counts one exchange in the memory of the tier that the request chose; the tier "character" is
-- that of who spoke.
create function private.record_interaction(
  p_user_id uuid, p_tier text, p_conversation_id uuid, p_character_id uuid
) returns void
language sql set search_path = '' as $$
  insert into public.memories as m (user_id, tier, conversation_id, character_id, interaction_count, last_interaction_at)
  select p_user_id, p_tier,
         case p_tier when 'conversation' then c.id end,
         case p_tier when 'character' then coalesce(p_character_id, c.character_id) end,
         1, now()
  from public.conversations c
  where c.id = p_conversation_id and (p_tier <> 'character' or coalesce(p_character_id, c.character_id) is not null)
  on conflict (user_id, tier, conversation_id, character_id) do update
  set interaction_count = m.interaction_count + 1, last_interaction_at = now()
$$;

-- Writes the usage_events of a turn, once for each purpose.
create function private.record_usage(p_turn public.turns, p_usage jsonb) returns void
language sql set search_path = '' as $$
  insert into public.usage_events (turn_id, user_id, provider, model_key, purpose, outcome,
                                   prompt_tokens, completion_tokens, cost_usd, first_token_ms, duration_ms)
  select (p_turn).id, (p_turn).user_id, u.provider, u.model_key, coalesce(u.purpose, 'reply'), u.outcome,
         u.prompt_tokens, u.completion_tokens, u.cost_usd, u.first_token_ms, u.duration_ms
  from jsonb_populate_recordset(null::public.usage_events, p_usage) u
  where not exists (
    select 1 from public.usage_events e
    where e.turn_id = (p_turn).id and e.purpose = coalesce(u.purpose, 'reply'))
$$;

revoke execute on function private.cool_down(jsonb), private.record_interaction(uuid, text, uuid, uuid),
  private.record_usage(public.turns, jsonb)
  from public, anon, authenticated;
