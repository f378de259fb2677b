-- Conversations and messages of a product that runs already, as functions see them.

create table private.conversation_details (
  conversation_id uuid primary key references public.conversations (id) on delete cascade,
  content_tier text check (content_tier in ('sfw', 'nsfw')),
  always_sfw boolean not null default false,
  remembers boolean not null default true,
  parent_conversation_id uuid,
  -- No foreign key: a second one between conversations and messages would make the product's own
  -- embedding ambiguous.
  branched_from uuid,
  client_message_id text check (char_length(client_message_id) between 1 and 128)
);
create index conversation_details_by_parent on private.conversation_details (parent_conversation_id);
alter table private.conversation_details enable row level security;
revoke all on private.conversation_details from public, anon, authenticated;

create view shared.conversations as
select c.id, c.user_id, c.character_id, c.user_character_id, left(c.title, 200) as title, d.content_tier,
       coalesce(d.always_sfw, false) as always_sfw, coalesce(d.remembers, true) as remembers,
       d.parent_conversation_id, d.branched_from, d.client_message_id, c.created_at, c.updated_at
from public.conversations c left join private.conversation_details d on d.conversation_id = c.id;

-- Keeps a conversation from being deleted until the transaction ends. Returns whether it exists. The product's
-- trigger changes the row before private.note_change locks the conversation's version, so that whoever does
-- both locks this row first.
create function shared.hold_conversation(p_conversation_id uuid) returns boolean
language plpgsql volatile set search_path = '' as $$
begin
  perform from public.conversations c where c.id = p_conversation_id for no key update;
  return found;
end $$;

-- See own_shared. The product titles each conversation so, until its person renames it.
create function shared.given_title(p_title text) returns text
language sql immutable set search_path = '' as $$
  select nullif(nullif(btrim(p_title), ''), 'New Conversation')
$$;

-- See own_shared. Its messages go with it. One that something else of the product's refers to stays.
create function shared.delete_conversation(p_conversation_id uuid) returns boolean
language plpgsql volatile set search_path = '' as $$
begin
  delete from public.conversations c where c.id = p_conversation_id;
  return true;
exception when others then
  raise warning 'conversation % not deleted: % %', p_conversation_id, sqlstate, sqlerrm;
  return false;
end $$;

-- Deletes our rows about conversations that stay although their person is gone: all that would go with
-- these conversations and their messages.
create function shared.forget_conversations(p_conversation_ids uuid[]) returns void
language plpgsql volatile set search_path = '' as $$
declare
  v_messages constant uuid[] := array(
    select m.id from public.messages m where m.conversation_id = any (p_conversation_ids));
  v_ours record;
begin
  for v_ours in
    select c.conrelid::regclass as name, a.attname as column,
           case c.confrelid when 'public.messages'::regclass then v_messages else p_conversation_ids end as gone
    from pg_catalog.pg_constraint c
    join pg_catalog.pg_attribute a on a.attrelid = c.conrelid and a.attnum = c.conkey[1]
    where c.contype = 'f' and c.confdeltype = 'c'
      and c.confrelid in ('public.conversations'::regclass, 'public.messages'::regclass)
      and shared.is_ours(c.conrelid)
  loop
    execute format('delete from %s where %I = any ($1)', v_ours.name, v_ours.column) using v_ours.gone;
  end loop;
end $$;
revoke execute on function shared.forget_conversations(uuid[]) from public, anon, authenticated;

-- A branch is listed where its parent is: it takes over what the product's lists filter by.
create function private.add_conversation() returns trigger
language plpgsql set search_path = '' as $$
begin
  new.id := coalesce(new.id, gen_random_uuid());
  insert into public.conversations (id, user_id, character_id, user_character_id, title, conversation_type, status,
                                    memory_tier, memory_data, project_id)
  select new.id, new.user_id, new.character_id, new.user_character_id, new.title,
         coalesce(parent.conversation_type, 'character_roleplay'), coalesce(parent.status, 'active'),
         coalesce(parent.memory_tier, 'conversation'), coalesce(parent.memory_data, '{}'), parent.project_id
  from (values (new.parent_conversation_id)) branch (parent_id)
  left join public.conversations parent on parent.id = branch.parent_id;
  insert into private.conversation_details (conversation_id, content_tier, always_sfw, remembers,
                                            parent_conversation_id, branched_from, client_message_id)
  values (new.id, new.content_tier, coalesce(new.always_sfw, false), coalesce(new.remembers, true),
          new.parent_conversation_id, new.branched_from, new.client_message_id);
  return new;
end $$;

create function private.change_conversation() returns trigger
language plpgsql set search_path = '' as $$
begin
  if (new.character_id, new.user_character_id, new.updated_at)
      is distinct from (old.character_id, old.user_character_id, old.updated_at) then
    update public.conversations c
    set character_id = new.character_id, user_character_id = new.user_character_id, updated_at = new.updated_at
    where c.id = old.id;
  end if;
  if (new.content_tier, new.always_sfw, new.remembers)
      is distinct from (old.content_tier, old.always_sfw, old.remembers) then
    insert into private.conversation_details (conversation_id, content_tier, always_sfw, remembers)
    values (old.id, new.content_tier, new.always_sfw, new.remembers)
    on conflict (conversation_id) do update
    set content_tier = excluded.content_tier, always_sfw = excluded.always_sfw, remembers = excluded.remembers;
  end if;
  return new;
end $$;
revoke execute on function shared.hold_conversation(uuid), shared.given_title(text), shared.delete_conversation(uuid),
  private.add_conversation(), private.change_conversation()
  from public, anon, authenticated;
create trigger conversations_add instead of insert on shared.conversations
  for each row execute function private.add_conversation();
create trigger conversations_change instead of update on shared.conversations
  for each row execute function private.change_conversation();

-- What a reply has beside the product's columns.
create table private.message_details (
  message_id uuid primary key references public.messages (id) on delete cascade,
  -- No foreign key: without its id, what a deleted character said would be the first one's.
  character_id uuid,
  -- The same while the character exists.
  existing_character_id uuid references public.characters (id) on delete set null,
  parent_id uuid,
  variant_of uuid
);
create index message_details_by_character on private.message_details (existing_character_id);
create index message_details_by_parent on private.message_details (parent_id);
alter table private.message_details enable row level security;
revoke all on private.message_details from public, anon, authenticated;

-- Versions of replies that are not shown, and messages that were refused. The product's readers
-- filter nothing, so these are not kept in its table.
create table private.set_aside_messages (
  id uuid primary key,
  conversation_id uuid not null references public.conversations (id) on delete cascade,
  position bigint not null,
  sender text not null check (sender in ('user', 'character')),
  character_id uuid,
  content text not null,
  -- As the product has it.
  message_type text not null,
  parent_id uuid,
  variant_of uuid,
  created_at timestamptz not null,
  edited_at timestamptz
);
create index set_aside_messages_in_order on private.set_aside_messages (conversation_id, position);
create index set_aside_messages_by_character on private.set_aside_messages (character_id);
alter table private.set_aside_messages enable row level security;
revoke all on private.set_aside_messages from public, anon, authenticated;

-- The index of terms is made after old messages have their positions. Whoever of the product's roles
-- writes a message runs this function.
grant execute on function private.search_terms(uuid, bigint, text) to public;

-- Reads messages as the product's own programs do: every sender but the user is the character, and a
-- missing type means text. Rows of other senders are not speech.
-- Messages of people have no details, and looking for them takes as long as reading the message.
create view shared.messages as
select m.id, m.conversation_id, m.position,
       case m.sender when 'user' then 'user' else 'character' end as sender,
       case when m.sender <> 'user' then (
         select d.character_id from private.message_details d where d.message_id = m.id) end as character_id,
       coalesce(m.content, '') as content,
       case when m.message_type in ('text', 'roleplay_chat', 'scene_kickoff') then 'text'
            else coalesce(m.message_type, 'text') end
         as message_type,
       case when m.sender <> 'user' then (
         select d.parent_id from private.message_details d where d.message_id = m.id) end as parent_id,
       case when m.sender <> 'user' then (
         select d.variant_of from private.message_details d where d.message_id = m.id) end as variant_of,
       true as is_active, m.created_at, m.edited_at,
       (m.message_type in ('text', 'roleplay_chat', 'scene_kickoff') or m.message_type is null)
         and m.sender in ('user', 'assistant') and m.content is not null as is_speech
from public.messages m
union all
select s.id, s.conversation_id, s.position, s.sender, s.character_id, s.content, 'text', s.parent_id, s.variant_of,
       false, s.created_at, s.edited_at, true
from private.set_aside_messages s;

-- Whether a message of a character may answer another message than the one before it, although no turn
-- says so. The product's own function does not say what it answers.
create function shared.may_answer_another(p_message_id uuid) returns boolean
language sql stable set search_path = '' as $$
  select not exists (select from private.message_details d where d.message_id = p_message_id)
$$;

create function shared.next_position() returns bigint
language plpgsql volatile set search_path = '' as $$
begin
  return nextval('private.message_positions');
end $$;

-- The type by which the product's readers know a message that is added.
create function private.type_of_added(p_message shared.messages) returns text
language plpgsql stable set search_path = '' as $$
begin
  return case
    when p_message.message_type <> 'text' then p_message.message_type
    when p_message.sender = 'user' then 'text'
    when p_message.parent_id is not null then 'roleplay_chat'
    -- A copy is of the type that it has in the conversation that this one branched from.
    else coalesce((
      select m.message_type from private.conversation_details d
      join public.messages m on m.conversation_id = d.parent_conversation_id and m.position = p_message.position
      where d.conversation_id = p_message.conversation_id and m.sender = 'assistant' limit 1), 'scene_kickoff')
  end;
end $$;

-- A reply is stored as the product's readers know it. A version of a reply takes the time of the
-- first one: the product orders by time.
create function private.add_message() returns trigger
language plpgsql set search_path = '' as $$
begin
  new.id := coalesce(new.id, gen_random_uuid());
  new.position := coalesce(new.position, shared.next_position());
  new.is_active := coalesce(new.is_active, true);
  new.created_at := coalesce(
    (select s.created_at from private.set_aside_messages s
     where new.variant_of is not null and s.conversation_id = new.conversation_id and s.position = new.position limit 1),
    new.created_at, now());
  if new.is_active then
    insert into public.messages (id, conversation_id, sender, content, message_type, created_at, position, edited_at)
    values (new.id, new.conversation_id, case new.sender when 'character' then 'assistant' else new.sender end,
            new.content,
            private.type_of_added(new), new.created_at, new.position, new.edited_at);
    if not found then
      raise exception 'a trigger of public.messages did not let the message in';
    end if;
    if new.sender = 'character' then
      insert into private.message_details (message_id, character_id, existing_character_id, parent_id, variant_of)
      values (new.id, new.character_id, (select ch.id from public.characters ch where ch.id = new.character_id),
              new.parent_id, new.variant_of);
    end if;
  else
    insert into private.set_aside_messages (id, conversation_id, position, sender, character_id, content, message_type,
                                            parent_id, variant_of, created_at, edited_at)
    values (new.id, new.conversation_id, new.position, new.sender, new.character_id, new.content,
            case when new.sender = 'user' then 'text' else 'roleplay_chat' end,
            new.parent_id, new.variant_of, new.created_at, new.edited_at);
  end if;
  return new;
end $$;

-- See own_shared. The product's trigger changes the conversation's row with each message, and each time finds all its
-- earlier states in the transaction: four times as many messages take nine times as long.
create function shared.most_imported() returns integer
language sql immutable set search_path = '' as 'select 3000';

-- See own_shared. As private.add_message does it one by one.
create function shared.import_messages(p_messages shared.messages[]) returns void
language plpgsql volatile set search_path = '' as $$
declare
  v_added integer;
begin
  insert into public.messages (id, conversation_id, sender, content, message_type, created_at, position, edited_at)
  select m.id, m.conversation_id, case m.sender when 'character' then 'assistant' else m.sender end, m.content,
         private.type_of_added(m), m.created_at, m.position, m.edited_at
  from unnest(p_messages) m where m.is_active;
  get diagnostics v_added = row_count;
  if v_added < (select count(*) from unnest(p_messages) m where m.is_active) then
    raise exception 'a trigger of public.messages did not let the message in';
  end if;
  insert into private.message_details (message_id, character_id, existing_character_id, parent_id, variant_of)
  select m.id, m.character_id, ch.id, m.parent_id, m.variant_of
  from unnest(p_messages) m left join public.characters ch on ch.id = m.character_id
  where m.is_active and m.sender = 'character';
  insert into private.set_aside_messages (id, conversation_id, position, sender, character_id, content, message_type,
                                          parent_id, variant_of, created_at, edited_at)
  select m.id, m.conversation_id, m.position, m.sender, m.character_id, m.content,
         case when m.sender = 'user' then 'text' else 'roleplay_chat' end, m.parent_id, m.variant_of, m.created_at,
         m.edited_at
  from unnest(p_messages) m where not m.is_active;
end $$;
revoke execute on function shared.import_messages(shared.messages[]), shared.most_imported() from public, anon, authenticated;

-- Its text and time of editing may change, and whether it is shown.
create function private.change_message() returns trigger
language plpgsql set search_path = '' as $$
begin
  if old.is_active and not new.is_active then
    insert into private.set_aside_messages (id, conversation_id, position, sender, character_id, content, message_type,
                                            parent_id, variant_of, created_at, edited_at)
    select new.id, new.conversation_id, new.position, new.sender, new.character_id, new.content, m.message_type,
           new.parent_id, new.variant_of, m.created_at, new.edited_at
    from public.messages m where m.id = new.id;
    delete from public.messages m where m.id = new.id;
  elsif new.is_active and not old.is_active then
    insert into public.messages (id, conversation_id, sender, content, message_type, created_at, position, edited_at)
    select s.id, s.conversation_id, case s.sender when 'character' then 'assistant' else s.sender end, new.content,
           s.message_type, s.created_at, s.position, new.edited_at
    from private.set_aside_messages s where s.id = new.id;
    insert into private.message_details (message_id, character_id, existing_character_id, parent_id, variant_of)
    values (new.id, new.character_id, (select ch.id from public.characters ch where ch.id = new.character_id),
            new.parent_id, new.variant_of);
    delete from private.set_aside_messages s where s.id = new.id;
    -- It may stand before the end of the summary. The insert has locked what private.forget_messages locks.
    perform private.lock_memory(c.user_id) from public.conversations c where c.id = new.conversation_id;
    perform private.forget_summary_from(new.conversation_id, new.position);
    perform private.forget_facts_of(new.conversation_id, new.position);
  elsif new.is_active then
    update public.messages m set content = new.content, edited_at = new.edited_at where m.id = new.id;
  else
    update private.set_aside_messages s set content = new.content, edited_at = new.edited_at where s.id = new.id;
  end if;
  return new;
end $$;

-- What foreign keys do in a database of our own: turns no longer name deleted messages, and their variables go.
create function private.detach_messages(p_ids uuid[]) returns void
language plpgsql set search_path = '' as $$
begin
  update public.turns t set user_message_id = null where t.user_message_id = any (p_ids);
  update public.turns t set reply_message_id = null where t.reply_message_id = any (p_ids);
  update public.turns t set replaces_message_id = null where t.replaces_message_id = any (p_ids);
  delete from private.message_variables v where v.message_id = any (p_ids);
end $$;
revoke execute on function private.detach_messages(uuid[]) from public, anon, authenticated;

create function private.remove_message() returns trigger
language plpgsql set search_path = '' as $$
begin
  delete from public.messages m where m.id = old.id;
  delete from private.set_aside_messages s where s.id = old.id;
  perform private.detach_messages(array[old.id]);
  return old;
end $$;
revoke execute on function shared.next_position(), shared.may_answer_another(uuid), private.type_of_added(shared.messages),
  private.add_message(), private.change_message(),
  private.remove_message() from public, anon, authenticated;
create trigger messages_add instead of insert on shared.messages
  for each row execute function private.add_message();
create trigger messages_change instead of update on shared.messages
  for each row execute function private.change_message();
create trigger messages_remove instead of delete on shared.messages
  for each row execute function private.remove_message();

-- See own_shared. As private.remove_message does it one by one: then each message changes the same row of
-- private.conversation_versions, and each time finds all its earlier states.
create function shared.delete_messages(p_conversation_id uuid, p_position bigint, p_onwards boolean) returns integer
language plpgsql volatile set search_path = '' as $$
declare
  v_shown uuid[];
  v_aside uuid[];
  v_gone uuid[];
begin
  -- First, because private.forget_versions deletes them, too, and then nobody would count them.
  with gone as (
    delete from private.set_aside_messages s
    where s.conversation_id = p_conversation_id and (s.position = p_position or p_onwards and s.position > p_position)
    returning s.id)
  select array_agg(g.id) into v_aside from gone g;
  with gone as (
    delete from public.messages m
    where m.conversation_id = p_conversation_id and (m.position = p_position or p_onwards and m.position > p_position)
    returning m.id)
  select array_agg(g.id) into v_shown from gone g;
  v_gone := coalesce(v_shown, '{}') || coalesce(v_aside, '{}');
  perform private.detach_messages(v_gone);
  return cardinality(v_gone);
end $$;
revoke execute on function shared.delete_messages(uuid, bigint, boolean) from public, anon, authenticated;
