-- What functions see of the shared tables (see 20260101000100_private.sql), where they are ours. All
-- are simple views: Postgres reads and writes the tables as if they were named.

create view shared.profiles as
select p.id, p.display_name, p.age_verified from public.profiles p;

create view shared.user_roles as
select r.user_id, r.role from public.user_roles r;

create view shared.api_providers as
select p.id, p.name, p.display_name, p.base_url, p.auth_scheme, p.auth_header_name, p.secret_name, p.rate_limits,
       p.is_active, p.is_approved
from public.api_providers p;

create view shared.api_models as
select m.id, m.provider_id, m.model_key, m.display_name, m.description, m.modality, m.task, m.model_family,
       m.endpoint_path, m.input_defaults, m.capabilities, m.pricing, m.is_active, m.is_default, m.priority,
       m.catalog_status, m.catalog_checked_at, m.catalog, m.created_at, m.updated_at
from public.api_models m;

create view shared.characters as
select ch.id, ch.user_id, ch.name, ch.nickname, ch.description, ch.personality, ch.scenario, ch.first_message,
       ch.alternate_greetings, ch.group_only_greetings, ch.example_messages, ch.system_prompt,
       ch.post_history_instructions, ch.depth_prompt, ch.depth_prompt_depth, ch.depth_prompt_role, ch.talkativeness,
       ch.character_book, ch.pronouns, ch.age, ch.content_rating, ch.is_public, ch.created_at, ch.updated_at
from public.characters ch;

create view shared.conversations as
select c.id, c.user_id, c.character_id, c.user_character_id, c.title, c.content_tier, c.always_sfw, c.remembers,
       c.parent_conversation_id, c.branched_from, c.client_message_id, c.created_at, c.updated_at
from public.conversations c;

-- is_speech: not what clients store for themselves. Written like this because the planner knows how
-- many rows match it.
create view shared.messages as
select m.id, m.conversation_id, m.position, m.sender, m.character_id, m.content, m.message_type, m.parent_id,
       m.variant_of, m.is_active, m.created_at, m.edited_at, m.message_type = 'text' as is_speech
from public.messages m;

create view shared.prompt_templates as
select t.id, t.name, t.use_case, t.content_tier, t.model_family, t.system_prompt, t.is_active
from public.prompt_templates t;

create view shared.system_config as
select s.id, s.config, s.updated_at from private.system_settings s;

-- The most messages of an import.
create function shared.most_imported() returns integer
language sql immutable set search_path = '' as 'select 10000';

-- Adds the messages of a new conversation at once: of an import or a branch.
create function shared.import_messages(p_messages shared.messages[]) returns void
language sql volatile set search_path = '' as $$
  insert into public.messages (id, conversation_id, position, sender, character_id, content, message_type, parent_id,
                               variant_of, is_active, created_at, edited_at)
  overriding system value
  select m.id, m.conversation_id, m.position, m.sender, m.character_id, m.content, m.message_type, m.parent_id,
         m.variant_of, m.is_active, m.created_at, m.edited_at
  from unnest(p_messages) m
$$;

-- Deletes the messages at a position with all their versions, or all from there on. Returns the number of rows.
create function shared.delete_messages(p_conversation_id uuid, p_position bigint, p_onwards boolean) returns integer
language plpgsql volatile set search_path = '' as $$
declare
  v_count integer;
begin
  delete from public.messages m
  where m.conversation_id = p_conversation_id and (m.position = p_position or p_onwards and m.position > p_position);
  get diagnostics v_count = row_count;
  return v_count;
end $$;

-- The position of the next message.
create function shared.next_position() returns bigint
language plpgsql volatile set search_path = '' as $$
begin
  return nextval('public.messages_position_seq');
end $$;

-- Whether a character's message may answer another message than the one before it, although no turn
-- records that. Here turns record it for all messages.
create function shared.may_answer_another(p_message_id uuid) returns boolean
language sql immutable set search_path = '' as 'select false';

-- The declared ages of characters, locked until the transaction ends.
create function shared.lock_ages(p_character_ids uuid[]) returns setof integer
language sql volatile set search_path = '' as $$
  select ch.age from public.characters ch where ch.id = any (p_character_ids) for share
$$;

-- Keeps a conversation from being deleted until the transaction ends. Returns whether it exists.
create function shared.hold_conversation(p_conversation_id uuid) returns boolean
language plpgsql volatile set search_path = '' as $$
begin
  perform from public.conversations c where c.id = p_conversation_id for key share;
  return found;
end $$;

-- The slow way of shared.hold_character, for a bounded time: see private.wait_for_person.
create function shared.wait_for_character(p_character_id uuid) returns boolean
language plpgsql volatile set search_path = '' set lock_timeout = '3s' as $$
begin
  perform private.take_waiting_place(p_character_id);
  perform from public.characters ch where ch.id = p_character_id for key share;
  return found;
exception when lock_not_available then
  perform private.raise_busy();
end $$;

-- Keeps a character from being deleted until the transaction ends. Returns whether it exists. Raises PT429 while the
-- character is being deleted: many people may talk with it.
create function shared.hold_character(p_character_id uuid) returns boolean
language plpgsql volatile set search_path = '' as $$
begin
  perform from public.characters ch where ch.id = p_character_id for key share skip locked;
  if found then
    return true;
  end if;
  return exists (select from public.characters ch where ch.id = p_character_id)
    and shared.wait_for_character(p_character_id);
end $$;

-- Changes a person's character from its old to its new values. Its id and owner stay.
create function shared.edit_character(p_old shared.characters, p_new shared.characters) returns void
language sql volatile set search_path = '' as $$
  update public.characters ch
  set name = p_new.name, nickname = p_new.nickname, description = p_new.description, personality = p_new.personality,
      scenario = p_new.scenario, first_message = p_new.first_message,
      alternate_greetings = p_new.alternate_greetings, group_only_greetings = p_new.group_only_greetings,
      example_messages = p_new.example_messages, system_prompt = p_new.system_prompt,
      post_history_instructions = p_new.post_history_instructions, depth_prompt = p_new.depth_prompt,
      depth_prompt_depth = p_new.depth_prompt_depth, depth_prompt_role = p_new.depth_prompt_role,
      talkativeness = p_new.talkativeness, character_book = p_new.character_book, pronouns = p_new.pronouns,
      age = p_new.age, content_rating = p_new.content_rating, is_public = p_new.is_public
  where ch.id = p_old.id
$$;

-- Deletes a character. Conversations with it stay.
create function shared.delete_character(p_character_id uuid) returns void
language sql volatile set search_path = '' as $$
  delete from public.characters ch where ch.id = p_character_id
$$;

-- A person's name; null: none.
create function shared.set_display_name(p_user_id uuid, p_name text) returns void
language sql volatile set search_path = '' as $$
  insert into public.profiles (id, display_name) values (p_user_id, p_name)
  on conflict (id) do update set display_name = excluded.display_name
$$;

-- The title given to a conversation; null if it has only the default one.
create function shared.given_title(p_title text) returns text
language sql immutable set search_path = '' as $$
  select nullif(p_title, '')
$$;

-- Deletes a conversation with all that belongs to it. Returns whether it is gone.
create function shared.delete_conversation(p_conversation_id uuid) returns boolean
language plpgsql volatile set search_path = '' as $$
begin
  delete from public.conversations c where c.id = p_conversation_id;
  return true;
end $$;

-- Deletes our rows about conversations that outlive their person. Here none do.
create function shared.forget_conversations(p_conversation_ids uuid[]) returns void
language sql immutable set search_path = '' as 'select';

-- Whether the policies of the shared tables are ours: people choose only characters that they may
-- see, and admins do not see the private ones of others.
create function shared.has_our_policies() returns boolean
language sql immutable set search_path = '' as 'select true';

-- The kind of installation: {"kind": "own"}, or "adopted", with more, for one that moved into a
-- product.
create function shared.installation() returns jsonb
language sql stable set search_path = '' as $$
  select '{"kind": "own"}'::jsonb
$$;

-- Whether a table is ours, and `make verify` judges it.
create function shared.is_ours(p_table oid) returns boolean
language sql stable set search_path = '' as $$
  select true
$$;

revoke execute on function shared.next_position(), shared.may_answer_another(uuid),
  shared.lock_ages(uuid[]), shared.hold_conversation(uuid), shared.wait_for_character(uuid), shared.hold_character(uuid),
  shared.import_messages(shared.messages[]), shared.most_imported(), shared.delete_messages(uuid, bigint, boolean),
  shared.edit_character(shared.characters, shared.characters),
  shared.delete_character(uuid), shared.set_display_name(uuid, text), shared.given_title(text),
  shared.delete_conversation(uuid), shared.forget_conversations(uuid[]), shared.has_our_policies(),
  shared.installation(), shared.is_ours(oid) from public, anon, authenticated;
grant execute on function shared.has_our_policies() to authenticated;
