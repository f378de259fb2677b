-- For tests of an adopted database alone: lets them write what production never writes through the
-- views of `shared`, as tests of a new installation do. Runs after the adoption, as postgres. What
-- production writes has its triggers in supabase/adoption; these stand beside them.

-- Decisions of the owner, made here: the two functions that raise on every profile are mended, so
-- that people can have one.
create or replace function public.verify_user_age(birth_date date) returns boolean
language sql stable set search_path = '' as $$
  select birth_date <= current_date - interval '18 years'
$$;
create or replace function public.audit_profile_access() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  perform public.log_user_activity(new.id, 'profile_' || lower(tg_op), 'profile', new.id::text);
  return new;
end $$;

create schema tests;

-- People -------------------------------------------------------------------------------------

create function tests.write_profile() returns trigger language plpgsql as $$
begin
  if tg_op = 'DELETE' then
    delete from public.profiles p where p.id = old.id;
    delete from private.person_details d where d.user_id = old.id;
    return old;
  end if;
  insert into public.profiles (id) values (new.id) on conflict do nothing;
  insert into private.person_details (user_id, display_name, age_verified)
  values (new.id, new.display_name, coalesce(new.age_verified, false))
  on conflict (user_id) do update set display_name = excluded.display_name, age_verified = excluded.age_verified;
  return new;
end $$;
create trigger a_test instead of insert or update or delete on shared.profiles
  for each row execute function tests.write_profile();

create function tests.add_role() returns trigger language plpgsql as $$
begin
  insert into public.user_roles (user_id, role) values (new.user_id, new.role::public.app_role);
  return new;
end $$;
create trigger a_test instead of insert on shared.user_roles for each row execute function tests.add_role();

-- Providers and models -----------------------------------------------------------------------

create function tests.write_provider() returns trigger language plpgsql as $$
begin
  if tg_op = 'DELETE' then
    delete from public.api_providers p where p.id = old.id;
    return old;
  end if;
  new.id := coalesce(new.id, gen_random_uuid());
  new.is_active := coalesce(new.is_active, true);
  if tg_op = 'INSERT' then
    insert into public.api_providers (id, name, display_name, is_active)
    values (new.id, new.name, new.display_name, new.is_active);
  else
    update public.api_providers p set name = new.name, display_name = new.display_name, is_active = new.is_active
    where p.id = old.id;
  end if;
  if coalesce(new.is_approved, true) then
    insert into private.provider_keys as k (provider_id, base_url, auth_scheme, auth_header_name, secret_name)
    values (new.id, new.base_url, coalesce(new.auth_scheme, 'bearer'),
            coalesce(new.auth_header_name, 'Authorization'), new.secret_name)
    on conflict (provider_id) do update
    set base_url = excluded.base_url, auth_scheme = excluded.auth_scheme,
        auth_header_name = excluded.auth_header_name, secret_name = excluded.secret_name;
  else
    delete from private.provider_keys k where k.provider_id = new.id;
  end if;
  return new;
end $$;
create trigger a_test instead of insert or update or delete on shared.api_providers
  for each row execute function tests.write_provider();

-- The product's name of a task of ours. Storytelling takes what roleplay has.
create function tests.task_of(p_task text) returns text language sql immutable as $$
  select case p_task when 'prompt_enhancement' then 'enhancement' else 'roleplay' end
$$;

-- From April on a model has several tasks; until then one, the first that was asked for.
create function tests.has_tasks() returns boolean language sql stable as $$
  select exists (
    select from pg_attribute a
    where a.attrelid = 'public.api_models'::regclass and a.attname = 'tasks' and not a.attisdropped)
$$;

-- A key is unique there: a model of several of our tasks is one row, with the columns of the first. A
-- model of one task alone has another key for enhancement.
create function tests.add_model() returns trigger language plpgsql as $$
declare
  v_task text := tests.task_of(new.task);
  v_default boolean := coalesce(new.is_default, false);
begin
  new.id := coalesce(new.id, gen_random_uuid());
  new.is_active := coalesce(new.is_active, true);
  new.priority := coalesce(new.priority, 100);
  new.input_defaults := coalesce(new.input_defaults, '{}');
  new.capabilities := coalesce(new.capabilities, '{}');
  new.pricing := coalesce(new.pricing, '{}');
  if new.task = 'moderation' then
    insert into private.moderation_models (id, provider_id, model_key, display_name, input_defaults, capabilities,
                                           pricing, is_active, is_default, priority)
    values (new.id, new.provider_id, new.model_key, new.display_name, new.input_defaults, new.capabilities,
            new.pricing, new.is_active, v_default, new.priority);
  elsif new.task = 'embedding' then
    insert into private.embedding_models (id, provider_id, model_key, display_name, pricing, is_active, priority)
    values (new.id, new.provider_id, new.model_key, new.display_name, new.pricing, new.is_active, new.priority);
  elsif tests.has_tasks() then
    insert into public.api_models as m (id, provider_id, model_key, display_name, model_family, input_defaults,
                                        capabilities, pricing, is_active, priority, modality, tasks, default_for_tasks)
    values (new.id, new.provider_id, new.model_key, new.display_name, new.model_family, new.input_defaults,
            new.capabilities, new.pricing, new.is_active, new.priority, 'chat', array[v_task],
            case when v_default then array[v_task] else '{}' end)
    on conflict (model_key) do update
    set tasks = array(select distinct unnest(m.tasks || excluded.tasks)),
        default_for_tasks = array(select distinct unnest(m.default_for_tasks || excluded.default_for_tasks))
    returning m.id into new.id;
  else
    if v_task = 'enhancement' then
      new.model_key := 'enhancement/' || new.model_key;
    end if;
    insert into public.api_models as m (id, provider_id, model_key, display_name, model_family, input_defaults,
                                        capabilities, pricing, is_active, priority, modality, task, is_default)
    values (new.id, new.provider_id, new.model_key, new.display_name, new.model_family, new.input_defaults,
            new.capabilities, new.pricing, new.is_active, new.priority,
            case v_task when 'roleplay' then 'roleplay' else 'prompt' end, v_task, v_default)
    on conflict (model_key) do update set model_key = excluded.model_key
    returning m.id into new.id;
  end if;
  return new;
end $$;

-- Only what changed: the view adds to what the product's row says.
create function tests.change_model() returns trigger language plpgsql as $$
declare
  v_task text := tests.task_of(new.task);
begin
  if new.task = 'moderation' then
    update private.moderation_models m
    set provider_id = new.provider_id, model_key = new.model_key, input_defaults = new.input_defaults,
        capabilities = new.capabilities, is_active = new.is_active, is_default = new.is_default, priority = new.priority
    where m.id = old.id;
    return new;
  elsif new.task = 'embedding' then
    update private.embedding_models m
    set input_defaults = new.input_defaults, capabilities = new.capabilities, is_active = new.is_active
    where m.id = old.id;
    return new;
  end if;
  update public.api_models m
  set provider_id = new.provider_id, model_key = new.model_key, display_name = new.display_name,
      model_family = new.model_family, is_active = new.is_active, priority = new.priority,
      input_defaults = case when new.input_defaults is distinct from old.input_defaults then new.input_defaults
                            else m.input_defaults end,
      capabilities = case when new.capabilities is distinct from old.capabilities then new.capabilities
                          else m.capabilities end
  where m.id = old.id;
  if new.is_default is distinct from old.is_default then
    if tests.has_tasks() then
      update public.api_models m
      set default_for_tasks = array_remove(m.default_for_tasks, v_task)
        || case when new.is_default then array[v_task] else '{}' end
      where m.id = old.id;
    else
      update public.api_models m set is_default = new.is_default where m.id = old.id;
    end if;
  end if;
  return new;
end $$;

create function tests.remove_model() returns trigger language plpgsql as $$
begin
  delete from public.api_models m where m.id = old.id;
  delete from private.moderation_models m where m.id = old.id;
  return old;
end $$;
create trigger a_test instead of insert on shared.api_models for each row execute function tests.add_model();
create trigger a_test_change instead of update on shared.api_models for each row execute function tests.change_model();
create trigger a_test_remove instead of delete on shared.api_models for each row execute function tests.remove_model();

-- Characters, conversations, messages, templates ---------------------------------------------

create function tests.change_character() returns trigger language plpgsql as $$
begin
  if tg_op = 'DELETE' then
    delete from public.characters ch where ch.id = old.id;
    return old;
  end if;
  update public.characters ch
  set user_id = new.user_id, name = new.name, system_prompt = new.system_prompt, content_rating = new.content_rating,
      is_public = new.is_public,
      description = case when new.description is distinct from old.description then new.description else ch.description end,
      traits = case when new.personality is distinct from old.personality then new.personality else ch.traits end
  where ch.id = old.id;
  insert into private.character_details as d (character_id, age, nickname, scenario, first_message, alternate_greetings,
                                              group_only_greetings, example_messages, post_history_instructions,
                                              depth_prompt, depth_prompt_depth, depth_prompt_role, talkativeness,
                                              character_book, pronouns)
  values (old.id, new.age, new.nickname, new.scenario, new.first_message, new.alternate_greetings,
          new.group_only_greetings, new.example_messages, new.post_history_instructions,
          new.depth_prompt, new.depth_prompt_depth, new.depth_prompt_role, new.talkativeness,
          new.character_book, new.pronouns)
  on conflict (character_id) do update
  set age = excluded.age, nickname = excluded.nickname, scenario = excluded.scenario,
      first_message = excluded.first_message, alternate_greetings = excluded.alternate_greetings,
      example_messages = excluded.example_messages, post_history_instructions = excluded.post_history_instructions,
      group_only_greetings = excluded.group_only_greetings, depth_prompt = excluded.depth_prompt,
      depth_prompt_depth = excluded.depth_prompt_depth, depth_prompt_role = excluded.depth_prompt_role,
      talkativeness = excluded.talkativeness,
      character_book = excluded.character_book, pronouns = excluded.pronouns;
  return new;
end $$;
create trigger a_test instead of update or delete on shared.characters
  for each row execute function tests.change_character();

create function tests.complete_conversation() returns trigger language plpgsql as $$
begin
  new.title := coalesce(new.title, '');
  return new;
end $$;
create trigger a_test instead of insert on shared.conversations
  for each row execute function tests.complete_conversation();

create function tests.change_conversation() returns trigger language plpgsql as $$
begin
  if tg_op = 'DELETE' then
    delete from public.conversations c where c.id = old.id;
    return old;
  end if;
  update public.conversations c
  set title = new.title, user_id = new.user_id, created_at = coalesce(new.created_at, c.created_at),
      updated_at = coalesce(new.updated_at, c.updated_at)
  where c.id = new.id;
  return new;
end $$;
create trigger z_test instead of insert or update or delete on shared.conversations
  for each row execute function tests.change_conversation();

create function tests.change_message() returns trigger language plpgsql as $$
begin
  update public.messages m set created_at = new.created_at, position = new.position where m.id = new.id;
  update private.set_aside_messages s
  set created_at = new.created_at, position = new.position, character_id = new.character_id where s.id = new.id;
  if new.character_id is distinct from old.character_id then
    insert into private.message_details as d (message_id, character_id, parent_id, variant_of)
    values (new.id, new.character_id, new.parent_id, new.variant_of)
    on conflict (message_id) do update set character_id = excluded.character_id;
  end if;
  return new;
end $$;
create trigger z_test instead of update on shared.messages for each row execute function tests.change_message();

create function tests.write_template() returns trigger language plpgsql as $$
begin
  if tg_op = 'DELETE' then
    delete from private.prompt_templates t where t.id = old.id;
    return old;
  end if;
  new.id := coalesce(new.id, gen_random_uuid());
  insert into private.prompt_templates as t (id, name, use_case, content_tier, model_family, system_prompt, is_active)
  values (new.id, new.name, new.use_case, new.content_tier, new.model_family, new.system_prompt,
          coalesce(new.is_active, true))
  on conflict (id) do update
  set name = excluded.name, use_case = excluded.use_case, content_tier = excluded.content_tier,
      model_family = excluded.model_family, system_prompt = excluded.system_prompt, is_active = excluded.is_active;
  return new;
end $$;
create trigger a_test instead of insert or update or delete on shared.prompt_templates
  for each row execute function tests.write_template();
