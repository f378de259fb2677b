-- How many real tokens each model uses per estimated token (tokens.py). Learned from the usage that
-- providers report, and shared by all instances.

create table public.token_calibrations (
  provider text not null,
  model_key text not null,
  -- latin: the Latin alphabet; other: all other scripts, and emoji.
  script text not null check (script in ('latin', 'other')),
  -- Real tokens per estimated token.
  ratio double precision not null check (ratio between 0.5 and 2),
  -- What prompts are built with, in steps: see private.used_ratio. Null: only `ratio` is known.
  used double precision check (used between 0.5 and 2),
  samples bigint not null default 1,
  updated_at timestamptz not null default now(),
  primary key (provider, model_key, script)
);

alter table public.token_calibrations enable row level security;
revoke all on public.token_calibrations from anon, authenticated;
grant select on public.token_calibrations to authenticated;
create policy token_calibrations_select on public.token_calibrations for select to authenticated
  using ((select private.is_admin()));

-- The ratio to build prompts with: the learned one, rounded up to a multiple of 0.05. Every report changes the
-- learned one a little, and with it the place where a long card is cut. So the ratio in use (p_used, if any) stays
-- until the learned one is higher, or lower by one and a half steps.
create function private.used_ratio(p_used double precision, p_ratio double precision) returns double precision
language sql immutable set search_path = '' as $$
  select case when p_ratio > p_used - 0.075 and p_ratio <= p_used then p_used
              -- Not a step too high for 0.7, which is no exact number.
              else ceil(p_ratio * 20 - 1e-6) / 20 end
$$;

-- The models' ratios to build prompts with, {"latin": ratio, "other": ratio}. Unknown ones are missing. A view,
-- which costs a turn less than a function.
create view private.token_ratios as
select c.provider, c.model_key,
       jsonb_object_agg(c.script, coalesce(c.used, ceil(c.ratio * 20 - 1e-6) / 20)) as ratios
from public.token_calibrations c group by c.provider, c.model_key;
revoke all on private.token_ratios from public, anon, authenticated;

-- Updates the ratios from the successful calls of one turn. Compares "prompt_tokens", the
-- provider's count, with "estimate", ours: {"latin": n, "other": n}. Calls whose tokens we counted
-- ourselves ("is_estimated") are skipped.
--
-- A prompt updates the ratio of one script, and only if at least four fifths of it are in that
-- script and it is so long that the tokens added by chat templates do not matter. The ratio is an
-- exponentially weighted mean. It rises faster than it falls, because a prompt that is too long is
-- worse than one with room left. A sample counts as at most half above or below the known ratio, and
-- the ratio stays within its bounds, so one wrong count changes little.
--
-- All turns of a model share a row and must not wait for each other. A turn that finds the row
-- locked skips it, and after 100 samples the row is updated at most once a second.
create function private.calibrate(p_usage jsonb) returns void
language plpgsql set search_path = '' as $$
declare
  v_call record;
  v_row public.token_calibrations;
  v_known double precision;
  v_used double precision;
  v_sample double precision;
  v_change double precision;
begin
  for v_call in
    select c.provider, c.model_key, c.reported,
           case when c.latin > c.other then 'latin' else 'other' end as script,
           greatest(c.latin, c.other) as own, least(c.latin, c.other) as rest
    from (
      select u ->> 'provider' as provider, u ->> 'model_key' as model_key,
             private.bounded(u -> 'prompt_tokens', 2147483647)::double precision as reported,
             (u #>> '{estimate,latin}')::double precision as latin,
             (u #>> '{estimate,other}')::double precision as other
      from jsonb_array_elements(p_usage) u where u ->> 'outcome' = 'ok' and u -> 'is_estimated' is distinct from 'true') c
    where c.reported > 0 and c.latin + c.other >= 200 and greatest(c.latin, c.other) >= 4 * least(c.latin, c.other)
    -- Always in the same order, to avoid deadlocks: inserting a first row waits for another turn
    -- that is inserting it.
    order by 1, 2, 4
  loop
    select * into v_row from public.token_calibrations c
    where c.provider = v_call.provider and c.model_key = v_call.model_key and c.script = v_call.script;
    if not found then
      insert into public.token_calibrations (provider, model_key, script, ratio, samples)
      values (v_call.provider, v_call.model_key, v_call.script, 1, 0) on conflict do nothing;
    elsif v_row.samples >= 100 and v_row.updated_at > clock_timestamp() - interval '1 second' then
      continue;
    end if;
    select c.ratio, coalesce(c.used, private.used_ratio(null, c.ratio)) into v_known, v_used
    from public.token_calibrations c
    where c.provider = v_call.provider and c.model_key = v_call.model_key and c.script = v_call.script
    for update skip locked;
    continue when not found;
    -- The part in the other script is counted with that script's known ratio.
    v_sample := (v_call.reported - v_call.rest * coalesce((
      select c.ratio from public.token_calibrations c
      where c.provider = v_call.provider and c.model_key = v_call.model_key and c.script <> v_call.script), 1)) / v_call.own;
    v_change := least(greatest(v_sample, v_known * 0.5), v_known * 1.5) - v_known;
    v_known := least(greatest(v_known + v_change * case when v_change > 0 then 0.3 else 0.1 end, 0.5), 2);
    update public.token_calibrations c
    set ratio = v_known, used = private.used_ratio(v_used, v_known),
        samples = c.samples + 1, updated_at = now()
    where c.provider = v_call.provider and c.model_key = v_call.model_key and c.script = v_call.script;
  end loop;
end $$;
revoke execute on function private.used_ratio(double precision, double precision), private.calibrate(jsonb)
  from public, anon, authenticated;
