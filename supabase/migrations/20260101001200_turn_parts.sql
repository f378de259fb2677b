-- Parts of the result of begin_turn.

-- The columns of a character that the prompt and the content policy need; null for no character.
-- `greetings` starts with first_message.
create function private.character_facts(p_character shared.characters) returns jsonb
language plpgsql immutable set search_path = '' as $$
begin
  return case when p_character.id is not null then
    to_jsonb(p_character)
      - '{user_id,is_public,first_message,alternate_greetings,talkativeness,created_at,updated_at}'::text[]
      || jsonb_build_object(
        'greetings', to_jsonb(array_prepend(p_character.first_message, p_character.alternate_greetings)))
  end;
end $$;

-- `most`: how many bytes of messages a turn reads. This is what the longest prompt of any model can hold, at most
-- private.most_history_bytes(); history.py then decides where the history begins. A byte counts as at least a third of
-- a token (tokens.py) times the model's ratio, so this is four bytes a token, or more for a model with long tokens.
--
-- `short`: a size of a history that fits in every prompt, in any script, beside the longest card and the longest
-- message. It is compared with the bytes of the messages plus five for each message, because a byte is at most one
-- token. The reply takes at most half of the context, and the history gets at least an eighth of the rest
-- (budget.min_history_room). Names before the messages are not counted.
--
-- p_models are those of private.models_for, p_workers those of private.workers_for. Sizes and defaults are those of
-- targets.py.
create function private.history_bytes(p_models jsonb, p_workers jsonb, out most integer, out short integer)
language plpgsql immutable set search_path = '' as $$
begin
  select least(ceil(coalesce(max(t.prompt * greatest(4, 3 / least(t.latin, t.other))), 32768)),
               private.most_history_bytes())::integer,
         greatest(floor(coalesce(min(
           ((least(t.context / 2, t.prompt) - 128) / 8 - 2) / greatest(t.latin, t.other, 1)), 0)), 0)::integer
  into most, short
  from (
    select coalesce(s.context, s.default_context) as context,
           least(coalesce(s.context, s.default_context), coalesce(s.prompt, 32768)) as prompt,
           coalesce((s.ratios ->> 'latin')::double precision, 1) as latin,
           coalesce((s.ratios ->> 'other')::double precision, 1) as other
    from (
      -- As private.bounded, which is called too often here.
      select case when jsonb_typeof(r.sizes -> 'context_tokens') = 'number'
                    and (r.sizes -> 'context_tokens')::numeric between 256 and 10000000
               then trunc((r.sizes -> 'context_tokens')::numeric)::double precision end as context,
             case when jsonb_typeof(r.sizes -> 'prompt_tokens') = 'number'
                    and (r.sizes -> 'prompt_tokens')::numeric between 256 and 10000000
               then trunc((r.sizes -> 'prompt_tokens')::numeric)::double precision end as prompt,
             r.default_context, r.ratios
      from (
        select m.model -> 'capabilities' as sizes, m.model -> 'token_ratios' as ratios,
               8192::double precision as default_context
        from jsonb_array_elements(p_models) m (model)
        union all
        select w.worker -> 'config', w.worker -> 'token_ratios', 4096
        from jsonb_array_elements(p_workers) w (worker)) r) s) t;
end $$;

-- Messages of a conversation, with a list for each column, and the characters who wrote them.
create type private.message_list as (messages json, speakers uuid[]);

-- What an instance has of a history from an earlier turn: the `copy` that private.history returned then, and which of
-- the messages it has kept.
create type private.known_history as (
  watched text, change uuid, covered bigint, character_id uuid, upto bigint, newest_id uuid, is_cut boolean, most integer,
  first bigint, messages integer, bytes integer, longest integer, speakers uuid[], backlog bigint,
  backlog_speakers uuid[]);

-- The lowest position of a message that changed after p_change, the last change that an instance knows. If none did,
-- a position after all messages; if that cannot be told, 0. p_version is the current row.
create function private.changed_since(p_change uuid, p_version private.conversation_versions) returns bigint
language plpgsql immutable set search_path = '' as $$
declare
  v_place constant integer := array_position(p_version.changes, p_change);
begin
  return case when v_place is null then 0 else coalesce((
    select min(c.position) from unnest(p_version.changed[:v_place - 1]) c (position)), 9223372036854775807) end;
end $$;

-- The newest messages that are neither hidden nor covered by the summary, oldest first, and before p_before if that is
-- given. Together they have at most p_bytes, or all but the longest have at most half of that: a message too long for
-- any prompt, which shows only its ends, must not crowd out all messages before it. message_columns.bytes_used counts
-- in the same way.
--
-- Returns:
--   messages      {"content", "position", "sender": a string with "u" or "c" for each, "character_id": null where the
--                 writer is p_character_id}, a list for each column, because an object for each message takes twice as
--                 long
--   is_cut        whether older messages are left out
--   is_whole      whether all messages are here: none is cut or in the summary
--   bytes, number the size and the number of the messages, with those that the caller keeps
--   first         the lowest position that one of them may have
--   speakers      the characters who wrote them, or wrote messages of the caller's that no longer have room
--   hidden        private.hidden_ranges
--   kept          which of the caller's messages come before `messages`: {"after", "before", "without", "most"},
--                 three positions and p_bytes
--   copy          what a later turn may pass as part of p_known; null if the database cannot tell what changes
--   changed_from  no message before this position has changed since p_known
--
-- With p_known, which describes the messages that the caller has from an earlier turn, only newer and changed messages
-- are read.
create function private.history(
  p_conversation_id uuid, p_character_id uuid, p_own bigint, p_before bigint, p_bytes integer, p_covered bigint,
  p_known jsonb,
  out messages json, out kept json, out copy json, out changed_from bigint, out speakers uuid[], out bytes integer,
  out number integer, out is_cut boolean, out is_whole boolean, out first bigint,
  out hidden int8multirange)
language plpgsql stable set search_path = '' as $$
declare
  c_most_messages constant integer := 2000;
  v_before constant bigint := coalesce(p_before, 9223372036854775807);
  v_own constant bigint := coalesce(p_own, 0);
  v_watched constant text := private.watched();
  v_version private.conversation_versions;
  v_known private.known_history;
  v_upto bigint := 0;
  v_message record;
  v_newest record;
  v_longest integer := 0;
  v_first bigint := v_before;
  v_speakers uuid[];
  v_kept_speakers uuid[];
begin
  hidden := private.hidden_ranges(p_conversation_id);
  -- Before the messages, so that a change in between is known to come later.
  select * into v_version from private.conversation_versions v
  where v.conversation_id = p_conversation_id and v_watched is not null;
  if p_known is not null and v_version.conversation_id is not null then
    v_known := jsonb_populate_record(null::private.known_history, p_known);
    changed_from := case when v_known.watched = v_watched
                         then private.changed_since(v_known.change, v_version) else 0 end;
    -- Without its newest message the database was perhaps set back to before that: adding messages is no change.
    if changed_from > 0 and not exists (
        select from shared.messages m
        where m.id = v_known.newest_id and m.conversation_id = p_conversation_id and m.position = v_known.upto) then
      changed_from := 0;
    end if;
    v_upto := least(v_known.upto, v_before - 1, changed_from - 1);
    if v_upto <= p_covered or v_known.covered > p_covered or v_known.character_id is distinct from p_character_id
        or v_known.first > v_upto
        -- Of a history that was cut, older messages may have room now.
        or v_known.is_cut and (v_upto < v_known.upto or p_bytes > v_known.most
                               or v_own between v_known.first and v_upto) then
      v_upto := 0;
    end if;
  end if;

  is_cut := false;
  bytes := 0;
  number := 0;
  for v_message in
    select m.position, octet_length(m.content) as bytes from shared.messages m
    where m.conversation_id = p_conversation_id and m.is_active and m.is_speech
      and m.position > greatest(p_covered, v_upto) and m.position < v_before and m.position <> v_own
      and not m.position <@ hidden
    order by m.position desc
  loop
    v_longest := greatest(v_longest, v_message.bytes);
    if bytes + v_message.bytes > p_bytes and 2 * (bytes + v_message.bytes - v_longest) > p_bytes
        or number = c_most_messages then
      is_cut := true;
      exit;
    end if;
    bytes := bytes + v_message.bytes;
    number := number + 1;
    v_first := v_message.position;
  end loop;
  if is_cut then
    v_upto := 0;
  elsif v_upto > 0 then
    v_kept_speakers := v_known.speakers;
    if v_upto < v_known.upto or v_known.first <= p_covered or v_own between v_known.first and v_upto then
      -- The caller keeps only some of them.
      select count(*), coalesce(sum(octet_length(m.content)), 0), max(octet_length(m.content)),
             array_agg(distinct case when m.sender = 'character' then coalesce(m.character_id, p_character_id) end)
      into v_known.messages, v_known.bytes, v_known.longest, v_kept_speakers
      from shared.messages m
      where m.conversation_id = p_conversation_id and m.is_active and m.is_speech
        and m.position >= v_known.first and m.position > p_covered and m.position <= v_upto and m.position <> v_own
        and not m.position <@ hidden;
    end if;
    bytes := bytes + v_known.bytes;
    number := number + v_known.messages;
    v_longest := greatest(v_longest, v_known.longest);
    is_cut := least(bytes, 2 * (bytes - v_longest)) > p_bytes or number > c_most_messages
      or v_known.is_cut and exists (
        select from shared.messages m
        where m.conversation_id = p_conversation_id and m.is_active and m.is_speech and m.position > p_covered
          and m.position < v_known.first and m.position <> v_own and not m.position <@ hidden);
  end if;
  is_whole := p_covered = 0 and not is_cut;
  first := case when v_upto > 0 then greatest(p_covered + 1, v_known.first) else v_first end;

  select json_build_object(
      'content', coalesce(json_agg(r.content order by r.position), '[]'),
      'position', coalesce(json_agg(r.position order by r.position), '[]'),
      'sender', coalesce(string_agg(case when r.is_reply then 'c' else 'u' end, '' order by r.position), ''),
      'character_id', coalesce(json_agg(r.other order by r.position), '[]')),
    -- Each only once would be sorted.
    array_agg(r.other order by r.position) filter (where r.other is not null)
      || case when bool_or(r.is_reply and r.other is null) then p_character_id end
  into messages, v_speakers
  from (
    select m.content, m.position, m.sender = 'character' as is_reply,
           -- Who wrote it, if not p_character_id.
           case when m.sender = 'character' then nullif(m.character_id, p_character_id) end as other
    from shared.messages m
    where m.conversation_id = p_conversation_id and m.is_active and m.is_speech
      and m.position >= v_first and m.position < v_before and m.position <> v_own
      and not m.position <@ hidden
    order by m.position) r;
  if v_upto > 0 then
    v_speakers := v_speakers || v_kept_speakers;
  end if;
  -- Also of those who are deleted.
  speakers := array(select distinct s.id from unnest(v_speakers) s (id) where s.id is not null);

  if v_upto > 0 then
    kept := json_build_object(
      'after', greatest(p_covered, v_known.first - 1), 'before', v_upto + 1, 'without', p_own, 'most', p_bytes);
  end if;
  if v_version.conversation_id is not null then
    select m.id, m.position into v_newest from shared.messages m
    where m.conversation_id = p_conversation_id and m.is_active and m.is_speech
      and m.position <= least(p_own - 1, p_before - 1, v_version.newest)
    order by m.position desc limit 1;
    copy := json_build_object(
      'watched', v_watched, 'change', v_version.changes[1], 'covered', p_covered, 'character_id', p_character_id, 'is_cut', is_cut,
      'most', p_bytes, 'upto', coalesce(v_newest.position, 0), 'newest_id', v_newest.id);
  end if;
end $$;

-- Whether a text with lorebooks has entries that wait for messages or count replies: "delay", "@@activate_only_after",
-- "@@activate_only_every".
create function private.has_counting_entries(p_books text) returns boolean
language plpgsql immutable set search_path = '' as $$
begin
  return strpos(p_books, 'activate_only_') > 0 or p_books ~ '"delay": "?[1-9]';
end $$;

-- How many messages, and replies among them, come before a position of a conversation, the newest 1,000 at most:
-- {"messages", "replies"}. Without the one at p_own, and without those in p_hidden (private.hidden_ranges).
create function private.count_before(
  p_conversation_id uuid, p_position bigint, p_own bigint, p_hidden int8multirange) returns json
language plpgsql stable set search_path = '' as $$
begin
  return (
    select json_build_object('messages', count(*), 'replies', count(*) filter (where b.sender = 'character'))
    from (
      select m.sender from shared.messages m
      where m.conversation_id = p_conversation_id and m.is_active and m.is_speech and m.position < p_position
        and m.position is distinct from p_own and not m.position <@ p_hidden
      order by m.position desc limit 1000) b);
end $$;

-- Declared age and rating of all characters in a conversation and of p_others, for the content
-- policy: [{"age", "content_rating"}]. The age of a character that no longer exists is null.
create function private.cast_facts(p_conversation shared.conversations, p_others uuid[]) returns jsonb
language plpgsql stable set search_path = '' as $$
begin
  return (
    select coalesce(jsonb_agg(jsonb_build_object(
      'age', ch.age, 'content_rating', coalesce(ch.content_rating, 'sfw'))), '[]')
    from (
      select (p_conversation).character_id as id
      union
      select m.character_id from public.conversation_characters m where m.conversation_id = (p_conversation).id
      union
      select unnest(p_others)) someone
    left join shared.characters ch on ch.id = someone.id
    where someone.id is not null);
end $$;

-- The facts of some memories that were current before a position of a conversation: without what was noted from later
-- messages, and with what that replaced.
create function private.known_before(p_memories uuid[], p_conversation_id uuid, p_before bigint) returns uuid[]
language plpgsql stable set search_path = '' as $$
begin
  return array(
    select f.id from public.memory_facts f
    where f.memory_id = any (p_memories) and f.is_active
      and (f.replaced_by is null or exists (
        select from public.memory_facts n
        where n.id = f.replaced_by and n.source_to >= p_before
          and (n.source_conversation_id = p_conversation_id or exists (
            select from private.fact_repeats r
            where r.fact_id = n.id and r.conversation_id = p_conversation_id and r.is_copied
              and r.position = n.source_to))
          and not exists (
            select from private.fact_repeats r
            where r.fact_id = n.id and r.conversation_id <> p_conversation_id and not r.is_copied)))
      and (f.source_to < p_before
           or f.source_conversation_id is distinct from p_conversation_id and not exists (
             -- A branch has a copy of the message that says it.
             select from private.fact_repeats r
             where r.fact_id = f.id and r.conversation_id = p_conversation_id and r.is_copied
               and r.position = f.source_to)
           or exists (
             select from private.fact_repeats r
             where r.fact_id = f.id and case r.conversation_id when p_conversation_id then r.position < p_before
                                                               else not r.is_copied end)));
end $$;

-- The current facts for a turn, at most 120, those that matter most first: pinned ones, then by importance, then users'
-- own, then by last use, tier and age. A wider memory tier includes the narrower ones. Each fact takes some microseconds
-- of every turn, so there are no more than a prompt of usual size has room for. With p_before, the facts as they were
-- known before that position (private.known_before).
--
-- [{"id", "content", "pinned", "importance", "tier", "content_tier", "written_by", "is_unread", "is_rated", "hides",
-- "subject", "topic", "said_at", "since", "position", "is_new"}], without keys that are null:
--   position   that of the last message that said it, if that is in this conversation
--   is_new     the user wrote it after the beginning of the prompt last changed
--   is_unread  the user wrote it since the last notes; then "is_rated" and "hides" are there, too. Unless they rated it,
--              its importance is still unknown, and the function tells it by the words (weighing.weighed)
--
-- A fact that a known fact of a narrower tier contradicts is left out, unless it is pinned or the user's own.
create function private.remembered(
  p_user_id uuid, p_tier text, p_conversation_id uuid, p_character_id uuid, p_before bigint default null)
returns json
language plpgsql stable set search_path = ''
-- How many memories there are is not known when this is planned, so all facts would be read.
set enable_seqscan = off as $$
declare
  v_memories constant uuid[] := array(
    select m.id from public.memories m
    where m.user_id = p_user_id
      and (m.conversation_id = p_conversation_id
           or m.character_id = p_character_id and p_tier in ('character', 'profile')
           or m.tier = 'profile' and p_tier = 'profile'));
  v_known constant uuid[] := case when p_before is not null then
    private.known_before(v_memories, p_conversation_id, p_before) end;
begin
  return (
    with known as not materialized (
      select f.*, m.tier
      from public.memories m join public.memory_facts f on f.memory_id = m.id
      where m.id = any (v_memories) and f.is_active
        -- Not "= any", which compares each fact with each.
        and case when p_before is null then f.replaced_by is null else f.id in (select unnest(v_known)) end)
    select coalesce(json_agg(json_strip_nulls(to_json(f))), '[]')
    from (
      select f.id, f.content, f.pinned, f.importance, f.tier, f.content_tier, f.written_by,
             nullif(f.is_unread, false) as is_unread, case when f.is_unread then f.is_rated end as is_rated,
             case when f.is_unread then nullif(f.hides, '{}') end as hides, f.subject, f.topic, f.said_at, f.since,
             case p_conversation_id when f.source_conversation_id then greatest(f.source_to, f.repeated_to)
                                    else r.position end as position,
             -- The beginning changes with the summary, and begins with the first message. Read only if a user wrote a fact.
             nullif(f.written_by = 'person' and f.created_at > (select coalesce(
               (select s.updated_at from public.conversation_summaries s where s.conversation_id = p_conversation_id),
               (select m.created_at from shared.messages m where m.conversation_id = p_conversation_id
                  and m.is_active and m.is_speech
                order by m.position limit 1))), false) as is_new
      from known f
      left join (
        select r.fact_id, max(r.position) as position from private.fact_repeats r
        where r.conversation_id = p_conversation_id group by r.fact_id) r on r.fact_id = f.id
      where not f.is_withdrawal
        and (f.pinned or f.written_by = 'person' or f.id <> all (array(
          select unnest(h.hides) from known h where h.hides <> '{}' and not h.is_unread)))
      order by f.pinned desc, case when f.is_unread and not f.is_rated then 5 else f.importance end desc,
               f.written_by = 'person' desc, f.last_used_at desc, f.tier = 'conversation', f.created_at, f.id
      limit 120) f);
end $$;

-- The prices of a catalog entry, in the format of api_models.pricing.
create function private.catalog_prices(p_catalog jsonb) returns jsonb
language sql immutable set search_path = '' as $$
  select coalesce(jsonb_object_agg(key, value) filter (where value <> 'null'), '{}')
  from jsonb_each(p_catalog) where key in ('prompt_usd_per_1k', 'completion_usd_per_1k')
$$;

-- The active models of approved providers for a task, with the data needed to call them, in the
-- order in which they are tried. Models that have disappeared from their provider's catalog are left
-- out. A model that is no longer free gets the prices of the catalog.
--
-- Moderation models are always included, so that neither a catalog nor a switch can turn moderation
-- off: one that must not be called has "is_active": false and counts as unavailable.
create function private.models_for(p_task text) returns jsonb
language plpgsql stable set search_path = '' as $$
begin
  return (
    select coalesce(jsonb_agg(jsonb_build_object(
      'model_key', m.model_key, 'display_name', m.display_name, 'model_family', m.model_family,
      'endpoint_path', m.endpoint_path, 'input_defaults', m.input_defaults,
      'capabilities', m.capabilities,
      'pricing', m.pricing || case when m.catalog_status = 'not_free' then private.catalog_prices(m.catalog)
                                   else '{}' end,
      'is_default', m.is_default, 'is_active', m.is_active and p.is_active and p.is_approved,
      'token_ratios', coalesce((
        select r.ratios from private.token_ratios r where r.provider = p.name and r.model_key = m.model_key), '{}'),
      'repairs', coalesce((
        select k.repairs from private.known_repairs k where k.provider = p.name and k.model_key = m.model_key), '{}'),
      'provider', jsonb_build_object(
        'name', p.name, 'base_url', p.base_url, 'auth_scheme', p.auth_scheme,
        'auth_header_name', p.auth_header_name, 'secret_name', p.secret_name))
      order by m.is_default desc, m.priority, m.model_key), '[]')
    from shared.api_models m join shared.api_providers p on p.id = m.provider_id
    where m.task = p_task
      and m.modality in ('roleplay', 'chat', 'text', 'embedding')
      and (m.is_active and p.is_active and p.is_approved and m.catalog_status is distinct from 'gone'
           or p_task = 'moderation'));
end $$;

revoke execute on function private.character_facts(shared.characters),
  private.history(uuid, uuid, bigint, bigint, integer, bigint, jsonb),
  private.changed_since(uuid, private.conversation_versions),
  private.has_counting_entries(text), private.count_before(uuid, bigint, bigint, int8multirange),
  private.history_bytes(jsonb, jsonb), private.cast_facts(shared.conversations, uuid[]),
  private.known_before(uuid[], uuid, bigint), private.remembered(uuid, text, uuid, uuid, bigint),
  private.catalog_prices(jsonb), private.models_for(text) from public, anon, authenticated;
