-- The summary with which a reply at p_position is regenerated or continued: the newest version that leaves out the four
-- messages up to it, so that models see what led to the reply. It contains nothing that was said later, not even in the
-- user's words.
create function private.summary_at(p_summary public.conversation_summaries, p_position bigint)
returns public.conversation_summaries
language plpgsql stable set search_path = '' as $$
declare
  -- The first of the messages that it leaves.
  v_first constant bigint := private.first_uncovered(p_summary.conversation_id, p_position);
  v_version private.summary_versions;
begin
  if greatest(p_summary.covers_position, p_summary.person_covers) < v_first then
    return p_summary;
  end if;
  -- One that goes on after words that are not used is not used, either.
  if p_summary.person_covers >= v_first then
    p_summary.person_content := '';
  else
    select * into v_version from private.summary_versions v
    where v.conversation_id = p_summary.conversation_id and v.covers_position < v_first
    order by v.covers_position desc limit 1;
  end if;
  p_summary.content := coalesce(v_version.content, '');
  p_summary.covers_position := coalesce(v_version.covers_position, 0);
  return p_summary;
end $$;

-- Everything that a turn needs, the second half of begin_turn: its outcome "started".
create function private.turn_context(
  p_turn public.turns, p_profile shared.profiles, p_conversation shared.conversations,
  p_members uuid[], p_speaker shared.characters, p_persona shared.characters, p_now timestamptz, p_limits jsonb,
  -- As in the request: for the policy, characters that it names count as present.
  p_character_id uuid, p_message text, p_memory_tier text,
  p_worker text, p_embedding jsonb, p_known jsonb
) returns json
language plpgsql set search_path = ''
set plan_cache_mode = force_generic_plan as $$
declare
  v_own record;
  v_replaced record;
  v_before bigint;
  v_models jsonb := private.models_for(p_turn.task);
  v_workers jsonb := private.workers_for(
    p_turn.id, p_worker, coalesce(p_turn.conversation_id, p_turn.id)::text, p_now);
  v_summary public.conversation_summaries;
  v_newest public.conversation_summaries;
  v_room record;
  v_size bigint;
  v_message text;
  v_history record;
  v_others jsonb;
  v_personas json;
  v_recalled private.message_list;
  v_preceding json;
  v_cast jsonb;
  v_character jsonb;
  v_persona jsonb;
  v_lorebooks json;
  v_scene text;
  v_templates json;
  v_moderation_models jsonb;
  -- Most installations have none.
  v_embedding_models jsonb := case when exists (select from shared.api_models m where m.task = 'embedding')
    and private.has_embeddings() then private.models_for_embedding() else '[]' end;
  v_embedding jsonb := p_embedding;
  v_task_config text;
  v_worker_set text;
  v_facts json;
  v_settings json;
  v_summary_texts json;
  v_notes text;
  v_variables jsonb;
  v_macros text;
  v_may_note boolean;
  v_backlog private.message_list;
begin
  -- Other versions of a reply do not see later messages.
  select m.position, m.content into v_replaced from shared.messages m where m.id = p_turn.replaces_message_id;
  v_before := v_replaced.position + (p_turn.action = 'continue')::integer;
  select m.position, m.content into v_own
  from shared.messages m where m.id = p_turn.user_message_id and p_turn.action <> 'continue';

  select * into v_summary from public.conversation_summaries s where s.conversation_id = p_turn.conversation_id;
  v_newest := v_summary;
  if v_replaced.position is not null and v_summary.conversation_id is not null then
    v_summary := private.summary_at(v_summary, v_replaced.position);
  end if;
  v_room := private.history_bytes(v_models, v_workers);
  v_history := private.history(
    p_turn.conversation_id, p_conversation.character_id, v_own.position, v_before, v_room.most,
    coalesce(v_summary.covers_position, 0), p_known);
  if p_turn.action not in ('continue', 'impersonate') then
    v_message := case when v_own.position <@ v_history.hidden then p_message else coalesce(v_own.content, p_message) end;
  end if;
  v_others := private.others(p_members, p_speaker.id);
  v_personas := private.personas_of(p_turn.conversation_id, p_persona.id, p_profile.display_name);
  -- A short conversation is in every prompt as a whole: one that the caller knows to fit (turn_cache.py), or one that
  -- fits anyway, if no names stand before the messages (group_chat.as_heard).
  v_size := v_history.bytes + 5 * v_history.number;
  if not (v_history.is_whole and (
            coalesce(v_size + octet_length(v_message) <= (p_known ->> 'short')::bigint, false)
            or v_size <= v_room.short
               and v_others = '[]' and v_personas is null and v_history.speakers <@ array[p_speaker.id])) then
    -- Another version of the reply recalls the same, although nobody embeds the message again.
    if v_embedding is null and p_turn.replaces_message_id is not null and v_embedding_models <> '[]' then
      v_embedding := private.embedding_at(p_turn.conversation_id, v_own.position, v_embedding_models);
    end if;
    v_recalled := private.recall(
      p_turn.conversation_id, p_conversation.character_id, coalesce(v_before, 9223372036854775807), v_own.position,
      v_message, v_history.hidden, v_embedding,
      case when v_history.kept is not null then
        int8range((v_history.kept ->> 'after')::bigint, (v_history.kept ->> 'before')::bigint, '()') end);
  end if;
  -- Of a deleted character nothing is known: always_sfw says what it was.
  v_cast := private.cast_facts(
    p_conversation,
    array(select ch.id from shared.characters ch where ch.id = any (v_history.speakers || v_recalled.speakers))
    || p_speaker.id || p_character_id);
  if not p_conversation.always_sfw and (p_persona.age < 18 or jsonb_path_exists(v_cast, '$.age ? (@ < 18)')) then
    update shared.conversations c set always_sfw = true where c.id = p_turn.conversation_id;
    p_conversation.always_sfw := true;
  end if;

  v_character := private.character_facts(p_speaker)
    || jsonb_build_object('is_own', coalesce(p_speaker.user_id = p_turn.user_id, false));
  v_persona := private.character_facts(p_persona);
  v_lorebooks := private.lorebooks_for(p_turn.user_id, p_turn.conversation_id, p_persona.id);
  v_scene := md5(concat_ws(E'\n', v_character, v_others, v_persona, v_lorebooks));
  -- The digest ends with "+" if an entry counts messages: whoever knows the scene need not look again.
  if left(p_known ->> 'scene', 32) = v_scene then
    v_scene := p_known ->> 'scene';
  elsif private.has_counting_entries(concat_ws(E'\n', v_character ->> 'character_book', v_lorebooks)) then
    v_scene := v_scene || '+';
  end if;
  if v_scene like '%+' and not v_history.is_whole then
    v_preceding := private.count_before(
      p_turn.conversation_id, v_history.first, v_own.position, v_history.hidden);
  end if;
  select coalesce(json_agg(json_build_object(
    'content_tier', t.content_tier, 'model_family', t.model_family, 'system_prompt', t.system_prompt)
    order by t.id), '[]')
  into v_templates
  from shared.prompt_templates t where t.use_case = p_turn.task and t.is_active;
  -- Most installations have none.
  v_moderation_models := case when exists (select from shared.api_models m where m.task = 'moderation')
    then private.models_for('moderation') else '[]' end;
  -- Ratios change all the time, and so does what is known of a worker's health. One statement for both.
  select md5(concat_ws(E'\n', v_templates, v_moderation_models, v_embedding_models, (
           select jsonb_agg(m.model - 'token_ratios') from jsonb_array_elements(v_models) m (model)))),
         case when v_workers <> '[]' then md5((
           select jsonb_agg(w.worker - '{health,running,token_ratios}'::text[])
           from jsonb_array_elements(v_workers) w (worker))::text) end
  into v_task_config, v_worker_set;

  v_facts := private.remembered(p_turn.user_id, p_memory_tier, p_turn.conversation_id, p_speaker.id, v_before);
  v_settings := private.settings_of(p_turn.conversation_id);
  v_summary_texts := case when p_turn.conversation_id is not null then json_build_object(
    'summary', coalesce(v_summary.content, ''), 'person_summary', coalesce(v_summary.person_content, '')) end;
  -- Most turns change none of these. As JSON, so that no text can be taken for the next one.
  v_notes := md5(concat_ws(E'\n', v_facts, v_settings, v_summary_texts));
  v_variables := private.variables_before(
    p_turn.conversation_id, coalesce(v_before - (p_turn.action = 'continue')::integer, 9223372036854775807));
  v_macros := case when v_variables <> '{}' then md5(v_variables::text) end;

  v_may_note := p_turn.task <> 'prompt_enhancement' and p_conversation.remembers
    and coalesce(v_summary.not_before <= p_now, true)
    -- Notes go on after the newest summary.
    and v_summary is not distinct from v_newest;
  v_backlog.messages := '[]';
  if v_may_note and v_history.is_cut then
    if (p_known ->> 'backlog')::bigint < v_history.changed_from
        and (p_known ->> 'covered')::bigint = coalesce(v_summary.covers_position, 0)
        and (p_known ->> 'character_id')::uuid is not distinct from p_conversation.character_id then
      v_backlog.messages := null;  -- The caller has it.
      v_backlog.speakers := array(
        select s.id::uuid from jsonb_array_elements_text(p_known -> 'backlog_speakers') s (id));
    else
      v_backlog := private.backlog(
        p_turn.conversation_id, p_conversation.character_id, coalesce(v_summary.covers_position, 0), v_history.hidden);
    end if;
  end if;
  return json_build_object(
    'outcome', 'started',
    'now', p_now,
    'free_only', private.is_spent(p_turn.user_id, p_now, p_limits),
    'turn', json_build_object(
      'id', p_turn.id,
      'user_message_id', p_turn.user_message_id,
      'message', v_message,
      'position', v_own.position,
      'continues', case when p_turn.action = 'continue' then
        v_replaced.content end),
    'user', json_build_object(
      'name', p_profile.display_name, 'age_verified', coalesce(p_profile.age_verified, false)),
    'conversation', case when p_turn.conversation_id is null then null
      else json_build_object('id', p_conversation.id, 'character_id', p_conversation.character_id, 'content_tier',
                              case when p_conversation.always_sfw then 'sfw' else p_conversation.content_tier end,
                              'remembers', p_conversation.remembers) end,
    'notes', v_notes,
    'facts', case when v_notes is distinct from p_known ->> 'notes' then v_facts end,
    'settings', case when v_notes is distinct from p_known ->> 'notes' then v_settings end,
    'summary_texts', case when v_notes is distinct from p_known ->> 'notes' then v_summary_texts end,
    'scene', v_scene,
    'character', case when v_scene is distinct from p_known ->> 'scene' then v_character end,
    'others', case when v_scene is distinct from p_known ->> 'scene' then v_others end,
    'persona', case when v_scene is distinct from p_known ->> 'scene' then v_persona end,
    'lorebooks', case when v_scene is distinct from p_known ->> 'scene' then v_lorebooks end,
    'cast', v_cast,
    'history', v_history.messages,
    'preceding', v_preceding,
    'kept', v_history.kept,
    'copy', v_history.copy,
    'is_cut', v_history.is_cut,
    'most_bytes', v_room.most,
    'recalled', v_recalled.messages,
    -- Of those who wrote them. Each is looked up once, not for each message.
    'names', (
      select json_object_agg(ch.id, ch.name) from shared.characters ch
      where ch.id = any (v_history.speakers || v_recalled.speakers || v_backlog.speakers)),
    'personas', v_personas,
    'memory', case when p_turn.conversation_id is not null then
      json_build_object(
        'covers_position', coalesce(v_summary.covers_position, 0),
        'content_tier', coalesce(v_summary.content_tier, 'sfw'),
        'may_write', v_may_note,
        'most_messages', v_summary.most_messages,
        'failures', coalesce(v_summary.failures, 0),
        'backlog', v_backlog.messages) end,
    'macros', v_macros,
    'variables', case when v_macros is null or v_macros is distinct from p_known ->> 'macros' then v_variables end,
    'last_said_at', (
      -- A product's message may have any time, or none.
      select case when m.created_at between '2000-01-01' and p_now then m.created_at end from shared.messages m
      where m.conversation_id = p_turn.conversation_id and m.sender = 'user' and m.is_active and m.is_speech
        and m.position < coalesce(v_before, 9223372036854775807) and m.id is distinct from p_turn.user_message_id
      order by m.position desc limit 1),
    'task_config', v_task_config,
    'templates', case when v_task_config is distinct from p_known ->> 'task_config' then v_templates end,
    'models', case when v_task_config is distinct from p_known ->> 'task_config' then v_models end,
    'moderation_models', case when v_task_config is distinct from p_known ->> 'task_config' then v_moderation_models end,
    'embedding_models', case when v_task_config is distinct from p_known ->> 'task_config' then v_embedding_models end,
    'token_ratios', case when v_task_config = p_known ->> 'task_config' then (
      select jsonb_agg(m.model -> 'token_ratios' order by m.place)
      from jsonb_array_elements(v_models) with ordinality m (model, place)) end,
    'worker_set', v_worker_set,
    'workers', case when v_worker_set is null then '[]' when v_worker_set is distinct from p_known ->> 'worker_set' then (
      select json_agg(w.worker - '{health,running,token_ratios}'::text[] order by w.place)
      from jsonb_array_elements(v_workers) with ordinality w (worker, place)) end,
    'worker_states', case when v_worker_set is not null then (
      select json_agg(json_build_object(
        'health', w.worker -> 'health', 'running', w.worker -> 'running', 'token_ratios', w.worker -> 'token_ratios')
        order by w.place)
      from jsonb_array_elements(v_workers) with ordinality w (worker, place)) end,
    -- Those that may hold for a target of this turn: routing.on_cooldown decides.
    'cooldowns', (
      select coalesce(json_agg(json_build_object(
        -- Also one that somebody entered as 'infinity', which is no time in JSON.
        'scope', d.scope, 'key', d.key, 'until', least(d.until, p_now + interval '1 day'))), '[]')
      from public.model_cooldowns d
      where d.until > p_now and d.key in (
        select k.key
        from jsonb_array_elements(v_models || v_moderation_models || v_embedding_models) m (model)
        cross join lateral (select m.model #>> '{provider,name}') p (name)
        cross join lateral (values (p.name), (p.name || ':free'), (p.name || ':' || (m.model ->> 'model_key'))) k (key)
        union all
        select k.key
        from jsonb_array_elements(v_workers) w (worker)
        cross join lateral (values ('chat_worker'), ('chat_worker:' || (w.worker ->> 'name'))) k (key))));
end $$;
revoke execute on function private.turn_context(
  public.turns, shared.profiles, shared.conversations, uuid[], shared.characters, shared.characters, timestamptz, jsonb,
  uuid, text, text, text, jsonb, jsonb),
  private.summary_at(public.conversation_summaries, bigint) from public, anon, authenticated;
