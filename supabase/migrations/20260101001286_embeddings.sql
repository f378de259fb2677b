-- Finding messages by meaning. Used only if the extension vector is installed and a model has the task
-- "embedding". The operator installs the extension, then calls private.install_embeddings().

-- Finds the messages of a conversation that are nearest in meaning to a text. Returns their positions; `place`
-- is 1 for the best. p_embedding is {"model", "embedding"}; the embedding is a list of numbers, or that list as
-- text. Models differ in how similar any two texts are, so a message scores by how much more similar it is than
-- the conversation's messages on average. The messages beside it add to its score. If even the best is hardly
-- above the average, nothing is found. Without the extension nothing is found either.
-- The shares were chosen with all-MiniLM-L6-v2.
create function private.nearest(
  p_conversation_id uuid, p_before bigint, p_own bigint, p_hidden int8multirange, p_embedding jsonb)
returns table (found_at bigint, place bigint)
language sql stable set search_path = '' as 'select null::bigint, null::bigint where false';

-- The embedding of the message at a position, for private.nearest, if it is of one of these models (rows of
-- private.models_for_embedding). Null without the extension.
create function private.embedding_at(p_conversation_id uuid, p_position bigint, p_models jsonb)
returns jsonb
language sql stable set search_path = '' as 'select null::jsonb';

-- What the embeddings of a model (a row of private.models_for) are saved under. With other parameters, such as
-- "dimensions", they cannot be compared, so they count as another model's. At most 300 characters.
create function private.vector_space(p_model jsonb) returns text
language sql immutable set search_path = '' as $$
  select left((p_model #>> '{provider,name}') || ':' || (p_model ->> 'model_key'), 267)
    || case when p_model -> 'input_defaults' = '{}' then '' else ' ' || md5((p_model -> 'input_defaults')::text) end
$$;

-- The embeddings models, as private.models_for with "vector_space".
create function private.models_for_embedding() returns jsonb
language sql stable set search_path = '' as $$
  select coalesce(jsonb_agg(
    m.model || jsonb_build_object('vector_space', private.vector_space(m.model)) order by m.place), '[]')
  from jsonb_array_elements(private.models_for('embedding')) with ordinality m (model, place)
$$;

-- Creates the table of embeddings, if the extension is installed. Returns whether it is. Calling it
-- again changes nothing.
create function private.install_embeddings() returns boolean
language plpgsql set search_path = '' as $install$
declare
  v_schema text := (
    select n.nspname from pg_catalog.pg_extension e join pg_catalog.pg_namespace n on n.oid = e.extnamespace
    where e.extname = 'vector');
begin
  if v_schema is null then
    return false;
  end if;
  execute format($table$
    create table if not exists private.message_embeddings (
      message_id uuid primary key references public.messages (id) on delete cascade,
      conversation_id uuid not null,
      position bigint not null,
      model text not null,
      -- Null: this model must not or cannot read the message. All others of a conversation and a model have one size.
      embedding %1$I.halfvec
    )$table$, v_schema);
  create index if not exists message_embeddings_by_conversation
    on private.message_embeddings (conversation_id, position desc);
  alter table private.message_embeddings enable row level security;
  revoke all on private.message_embeddings from public, anon, authenticated;
  execute format($function$
    create or replace function private.nearest(
      p_conversation_id uuid, p_before bigint, p_own bigint, p_hidden int8multirange, p_embedding jsonb)
    returns table (found_at bigint, place bigint)
    language sql stable rows 40 set search_path = ''
    -- In the order of the index: sorting would take longer than everything else.
    set enable_seqscan = off set enable_sort = off as $nearest$
      with asked as materialized (
        select r.embedding, r.model
        from jsonb_populate_record(null::private.message_embeddings, p_embedding) r),
      -- One pass, the newest first: `all_of_them` are the similarities, and `positions` whose they are.
      measured as materialized (
        select array_agg(m.position) as positions, array_agg(m.similarity) as all_of_them,
               avg(m.similarity) as mean, max(m.similarity) as best
        from (
          select e.position, 1 - (e.embedding operator(%1$I.<=>) (select a.embedding from asked a)) as similarity
          from private.message_embeddings e
          where e.conversation_id = p_conversation_id and e.position < p_before
            and e.position is distinct from p_own and e.embedding is not null
            and not e.position <@ p_hidden
            and e.model = (select a.model from asked a)
            and %1$I.vector_dims(e.embedding) = (select %1$I.vector_dims(a.embedding) from asked a)
          order by e.position desc limit 2500) m),
      -- Each with the better one of the messages beside it, and of those one further. Materialized, so that
      -- the arrays are not sorted with each.
      spread as materialized (
        select m.positions[o.number] as position, o.number, m.best - m.mean as best,
               greatest(o.similarity - m.mean, 0)
               + 0.7 * greatest(m.all_of_them[o.number - 1] - m.mean, m.all_of_them[o.number + 1] - m.mean, 0)
               + 0.2 * greatest(m.all_of_them[o.number - 2] - m.mean, m.all_of_them[o.number + 2] - m.mean, 0) as score
        from measured m cross join lateral unnest(m.all_of_them) with ordinality o (similarity, number)
        -- The share of the way from the average to the same meaning.
        where m.best - m.mean >= 0.32 * (1 - m.mean) and m.best > m.mean)
      select s.position, row_number() over (order by s.score desc, s.number)
      from spread s where s.score >= 0.3 * s.best
      order by 2 limit 120
    $nearest$ $function$, v_schema);
  create or replace function private.embedding_at(p_conversation_id uuid, p_position bigint, p_models jsonb)
  returns jsonb
  language sql stable set search_path = '' as $embedding_at$
    select jsonb_build_object('model', e.model, 'embedding', e.embedding::text)
    from private.message_embeddings e
    where e.conversation_id = p_conversation_id and e.position = p_position and e.embedding is not null
      and e.model in (select m.model ->> 'vector_space' from jsonb_array_elements(p_models) m (model))
    limit 1
  $embedding_at$;
  -- So that undoing an adoption removes it, too.
  if to_regclass('private.adopted_objects') is not null then
    insert into private.adopted_objects (kind, name) values ('table', 'private.message_embeddings');
  end if;
  return true;
end $install$;

create function private.has_embeddings() returns boolean
language sql stable set search_path = '' as $$
  select to_regclass('private.message_embeddings') is not null
$$;

-- Forgets the embeddings of messages that were changed.
create function private.forget_embeddings(p_message_ids uuid[]) returns void
language plpgsql set search_path = '' as $$
begin
  if private.has_embeddings() then
    delete from private.message_embeddings e where e.message_id = any (p_message_ids);
  end if;
end $$;

-- Saves embeddings of messages of a turn's conversation, and the calls for them; returns the newest
-- p_limit messages that have none of this model yet: [{"id", "speaker", "content", "digest"}]. None are
-- returned of a conversation that is not remembered.
--
-- p_model is the model's private.vector_space. p_embeddings has rows of {"message_id", "digest", "embedding"}:
-- the MD5 of the content that was embedded, and a list of numbers, or null for a message that the model must not
-- or cannot read. p_usage has all calls of this turn for embeddings, also those of an earlier call of this function.
create function public.embed_messages(
  p_turn_id uuid, p_model text, p_embeddings jsonb, p_usage jsonb, p_limit integer) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  v_turn public.turns;
  v_model constant text := left(p_model, 300);
begin
  perform private.hold_account(t.user_id) from public.turns t where t.id = p_turn_id;
  select * into v_turn from public.turns t where t.id = p_turn_id;
  perform private.record_usage(p_turn_id, v_turn, p_usage);
  if v_turn.conversation_id is null or not private.has_embeddings() then
    return '[]';
  end if;
  -- A server may change the size of its embeddings. Those of another size cannot be compared, so they are made anew.
  if exists (
      select from (
        select jsonb_array_length(g.embedding) as size
        from jsonb_to_recordset(p_embeddings) g (embedding jsonb)
        where jsonb_typeof(g.embedding) = 'array' limit 1) given
      cross join (
        select jsonb_array_length(e.embedding::text::jsonb) as size
        from private.message_embeddings e
        where e.conversation_id = v_turn.conversation_id and e.model = v_model and e.embedding is not null
        order by e.position desc limit 1) stored
      where given.size <> stored.size) then
    delete from private.message_embeddings e
    where e.conversation_id = v_turn.conversation_id and e.model = v_model and e.embedding is not null;
  end if;
  insert into private.message_embeddings as e (message_id, conversation_id, position, model, embedding)
  select m.id, m.conversation_id, m.position, v_model, given.embedding
  from jsonb_array_elements(p_embeddings) row (columns)
  cross join lateral jsonb_populate_record(null::private.message_embeddings, row.columns) given
  join shared.messages m on m.id = given.message_id
  where m.conversation_id = v_turn.conversation_id and m.is_active and m.is_speech
    and md5(m.content) = row.columns ->> 'digest'
  on conflict (message_id) do update
  set model = excluded.model, embedding = excluded.embedding, position = excluded.position;
  return (
    select coalesce(jsonb_agg(to_jsonb(n)), '[]')
    from (
      select m.id, left(m.content, 8000) as content, md5(m.content) as digest,
             coalesce(case m.sender when 'character' then ch.name else p.display_name end, m.sender) as speaker
      from shared.messages m
      join shared.conversations c on c.id = m.conversation_id and c.remembers
      left join shared.characters ch on ch.id = coalesce(m.character_id, c.character_id)
      left join shared.profiles p on p.id = c.user_id
      where m.conversation_id = v_turn.conversation_id and m.is_active and m.is_speech
        and not exists (
          select from public.hidden_messages h
          where h.conversation_id = m.conversation_id and h.position = m.position)
        and not exists (
          select from private.message_embeddings e where e.message_id = m.id and e.model = v_model)
      order by m.position desc limit p_limit) n);
end $$;

-- Records calls for the embedding of a message that began no turn. A repetition with the same id changes
-- nothing.
create function public.record_query(p_id uuid, p_user_id uuid, p_usage jsonb) returns void
language plpgsql security definer set search_path = '' as $$
declare
  v_turn public.turns;
begin
  -- Somebody may have deleted the account meanwhile.
  select u.id into v_turn.user_id from auth.users u where u.id = p_user_id for key share;
  perform private.record_usage(p_id, v_turn, p_usage);
end $$;

-- Copies the embeddings of the messages that a branch has.
create function private.branch_embeddings(p_parent_id uuid, p_branch_id uuid) returns void
language plpgsql set search_path = '' as $$
begin
  if private.has_embeddings() then
    insert into private.message_embeddings (message_id, conversation_id, position, model, embedding)
    select copy.id, p_branch_id, copy.position, e.model, e.embedding
    from shared.messages copy
    join shared.messages original on original.conversation_id = p_parent_id and original.position = copy.position
      and original.content = copy.content and original.is_active
    join private.message_embeddings e on e.message_id = original.id
    where copy.conversation_id = p_branch_id and copy.is_active
    on conflict do nothing;
  end if;
end $$;

revoke execute on function private.nearest(uuid, bigint, bigint, int8multirange, jsonb), private.install_embeddings(),
  private.embedding_at(uuid, bigint, jsonb), private.vector_space(jsonb), private.models_for_embedding(),
  private.has_embeddings(), private.forget_embeddings(uuid[]), private.branch_embeddings(uuid, uuid),
  public.embed_messages(uuid, text, jsonb, jsonb, integer), public.record_query(uuid, uuid, jsonb)
  from public, anon, authenticated;
grant execute on function
  public.embed_messages(uuid, text, jsonb, jsonb, integer), public.record_query(uuid, uuid, jsonb)
  to service_role;

select private.install_embeddings();
