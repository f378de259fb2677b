-- The product's own pages on usage read api_usage_logs and api_usage_aggregates, where it has them.
-- Each call of ours is logged there too: numbers, no texts.

create function private.log_usage() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
  v_model record;
begin
  if to_regclass('public.api_usage_logs') is null then
    return null;
  end if;
  select m.id, p.id as provider_id into v_model
  from public.api_providers p
  left join public.api_models m on m.provider_id = p.id and m.model_key = new.model_key
  where p.name = new.provider;
  if not found then
    return null;  -- our own worker is none of the product's providers
  end if;
  insert into public.api_usage_logs (provider_id, model_id, user_id, request_type, endpoint_path, tokens_input,
                                     tokens_output, tokens_total, cost_usd, response_status, response_time_ms,
                                     error_message, provider_metadata, created_at)
  values (v_model.provider_id, v_model.id, (select p.id from public.profiles p where p.id = new.user_id), 'chat',
          '/chat/completions', new.prompt_tokens, new.completion_tokens, new.prompt_tokens + new.completion_tokens,
          least(new.cost_usd, 9999.999999), case new.outcome when 'ok' then 200 else 502 end, new.duration_ms,
          case when new.outcome <> 'ok' then new.outcome end, '{"written_by": "roleplay_chat"}', new.created_at);
  insert into public.api_usage_aggregates as a (
    provider_id, model_id, date_bucket, hour_bucket, request_count, success_count, error_count, tokens_input_sum,
    tokens_output_sum, tokens_total_sum, cost_usd_sum, response_time_avg)
  values (v_model.provider_id, v_model.id, (new.created_at at time zone 'utc')::date,
          extract(hour from new.created_at at time zone 'utc')::integer, 1, (new.outcome = 'ok')::integer,
          (new.outcome <> 'ok')::integer, coalesce(new.prompt_tokens, 0), coalesce(new.completion_tokens, 0),
          coalesce(new.prompt_tokens, 0) + coalesce(new.completion_tokens, 0), coalesce(new.cost_usd, 0),
          new.duration_ms)
  on conflict (provider_id, model_id, date_bucket, hour_bucket) do update
  set request_count = a.request_count + 1, success_count = a.success_count + excluded.success_count,
      error_count = a.error_count + excluded.error_count,
      tokens_input_sum = a.tokens_input_sum + excluded.tokens_input_sum,
      tokens_output_sum = a.tokens_output_sum + excluded.tokens_output_sum,
      tokens_total_sum = a.tokens_total_sum + excluded.tokens_total_sum,
      cost_usd_sum = a.cost_usd_sum + excluded.cost_usd_sum,
      response_time_avg = (a.response_time_avg * a.request_count + excluded.response_time_avg) / (a.request_count + 1);
  return null;
exception when others then
  -- The product's page may lack a number; the turn is saved all the same.
  raise warning 'usage event % not logged for the product: % %', new.id, sqlstate, sqlerrm;
  return null;
end $$;
revoke execute on function private.log_usage() from public, anon, authenticated;
-- When the turn is committed: until then it would hold the row of its model's hour, for which all turns of the model
-- would wait.
create constraint trigger usage_events_log after insert on public.usage_events
  deferrable initially deferred for each row execute function private.log_usage();
