-- Memories by scope: one conversation, all conversations with one character, or all of the user's
-- (profile).

create table public.memories (
  id uuid primary key default gen_random_uuid(),
  user_id uuid not null references auth.users (id) on delete cascade,
  tier text not null check (tier in ('conversation', 'character', 'profile')),
  conversation_id uuid references public.conversations (id) on delete cascade,
  character_id uuid references public.characters (id) on delete cascade,
  interaction_count integer not null default 0,
  last_interaction_at timestamptz,
  created_at timestamptz not null default now(),
  constraint memories_reach check (
    (conversation_id is not null) = (tier = 'conversation')
    and (character_id is not null) = (tier = 'character')),
  unique nulls not distinct (user_id, tier, conversation_id, character_id)
);
create index memories_by_conversation on public.memories (conversation_id);
create index memories_by_character on public.memories (character_id);

-- The words by which duplicate facts are found: without case, spaces, and the punctuation of sentences, quotes and
-- brackets. Signs that may be all that differs stay, as in memory/words.py: "C#", 5 %, -5 and emoji. Text of
-- punctuation only is unchanged.
create function private.plain_words(p_content text) returns text
language sql immutable set search_path = '' as $$
  select coalesce(
    nullif(btrim(regexp_replace(
      -- U+2212 is the minus sign.
      translate(lower(normalize(p_content, nfkc)), U&'\2212', '-'),
      -- Listed, because what is punctuation depends on a database's locale.
      '(?:[][!"''()*,./:;?@\\^_`{|}~\s\u00a1\u00ab\u00b7\u00bb\u00bf\u055a-\u055f\u0589\u05be\u05f3\u05f4'
      '\u060c\u061b\u061f\u066b-\u066d\u06d4\u0964\u0965\u104a\u104b\u1362-\u1368\u17d4-\u17d6'
      '\u2000-\u2043\u2045-\u2051\u2053-\u206f\u3001-\u3003\u3008-\u3011\u3014-\u301f\u30fb\ufe00-\ufe0f]'
      '|(?<=\w)-|-(?!\d))+', ' ', 'g')), ''),
    p_content)
$$;
revoke execute on function private.plain_words(text) from public, anon, authenticated;
grant execute on function private.plain_words(text) to authenticated, service_role;

-- Whether a text has nothing to see: spaces, control characters and invisible marks.
create function private.is_blank(p_text text) returns boolean
language sql immutable strict parallel safe set search_path = '' as $$
  select private.without_marks(p_text)
    !~ '[^[:cntrl:][:space:]\u0080-\u00A0\u115F\u1160\u1680\u2000-\u200C\u2028\u2029\u202F\u205F\u2800\u3000\u3164\uFFA0]'
$$;
revoke execute on function private.is_blank(text) from public, anon, authenticated;
grant execute on function private.is_blank(text) to authenticated, service_role;

-- Whether a text is a JSON list or object: the Data API turns one into text if a request has it in place of a text.
create function private.is_list_or_object(p_text text) returns boolean
language plpgsql immutable set search_path = '' as $$
begin
  return p_text ~ '^\s*[[{].*[]}]\s*$' and jsonb_typeof(p_text::jsonb) in ('array', 'object');
exception
  when data_exception or program_limit_exceeded then
    return false;
end $$;
revoke execute on function private.is_list_or_object(text) from public, anon, authenticated;

create table public.memory_facts (
  id uuid primary key default gen_random_uuid(),
  memory_id uuid not null references public.memories (id) on delete cascade,
  content text not null check (char_length(content) between 1 and 2000),
  constraint memory_facts_content_is_not_blank check (not private.is_blank(content)),
  -- Lets a client change or delete exactly the text that it has read.
  digest text not null generated always as (md5(content)) stored,
  -- For finding facts with the same words.
  plain_digest text not null generated always as (md5(private.plain_words(content))) stored,
  -- The same for nearly equal texts: computed by memory/comparison.py, and for a user's text by private.plain_gist.
  gist text check (char_length(gist) <= 32),
  pinned boolean not null default false,
  -- Whether prompts may contain it. A user can turn a fact off without deleting it; models do
  -- neither.
  is_active boolean not null default true,
  -- Who wrote the current text. Models never overwrite or drop a user's text.
  written_by text not null default 'person' check (written_by in ('person', 'model')),
  -- nsfw: from a conversation that had turns in the adult tier.
  content_tier text not null default 'sfw' check (content_tier in ('sfw', 'nsfw')),
  -- 5: names, family, promises, limits, which are dropped last; 1: of little use later.
  -- Null in a request: the user does not choose it.
  importance integer not null check (importance between 1 and 5),
  -- The user chose the importance: no model changes it.
  is_rated boolean not null default false,
  -- The user moved it: no model notes it in a wider tier.
  is_moved boolean not null default false,
  -- The user wrote this text, and no notes were taken since: a turn tells its importance by its words.
  is_unread boolean not null default false,
  -- Whom it is about, and in what respect, such as "Ada" and "home": both have one current fact.
  subject text check (char_length(subject) between 1 and 80),
  topic text check (char_length(topic) between 1 and 80),
  slot text generated always as (
    md5(private.plain_words(subject)) || md5(private.plain_words(topic))) stored,
  -- The message that it was drawn from. If the model named none, the id is null and the positions are
  -- those of all messages that it read. A fact that a user wrote has none, only a time.
  source_conversation_id uuid references public.conversations (id) on delete set null,
  source_message_id uuid,
  source_from bigint,
  source_to bigint,
  -- The last message there that repeated it: of private.fact_repeats, for every turn reads it.
  repeated_to bigint,
  -- When it was last said.
  said_at timestamptz default now(),
  last_used_at timestamptz not null default now(),
  -- Since when it has held, if it replaced a fact that did not agree.
  since timestamptz,
  -- The newer fact that replaced it. This one is then history, and current again when the newer one is deleted.
  replaced_by uuid,
  -- Facts of wider tiers that do not hold where this one does. They hold elsewhere.
  hides uuid[] not null default '{}',
  -- Not a fact, but a note that the facts it replaced no longer hold.
  is_withdrawal boolean not null default false,
  created_at timestamptz not null default now()
);
-- Current facts are those that are shown.
create unique index memory_facts_current on public.memory_facts (memory_id, plain_digest)
  where replaced_by is null and not is_withdrawal;
create index memory_facts_by_memory on public.memory_facts (memory_id);
create index memory_facts_shaped on public.memory_facts (plain_digest) where is_moved or is_rated or not is_active;
create index memory_facts_shaped_gist on public.memory_facts (gist) where is_moved or is_rated or not is_active;
create index memory_facts_hiding on public.memory_facts (memory_id) where hides <> '{}';
create index memory_facts_by_source on public.memory_facts (source_conversation_id, source_to);
create index memory_facts_by_replacement on public.memory_facts (replaced_by) where replaced_by is not null;

-- Further messages that say a fact, the newest twenty. If the message that it was drawn from goes, one of another
-- conversation takes its place.
create table private.fact_repeats (
  fact_id uuid not null references public.memory_facts (id) on delete cascade,
  conversation_id uuid not null references public.conversations (id) on delete cascade,
  position bigint not null,
  -- A branch has it with the messages that it copied.
  is_copied boolean not null default false,
  primary key (conversation_id, fact_id, position)
);
create index fact_repeats_by_fact on private.fact_repeats (fact_id);
alter table private.fact_repeats enable row level security;
revoke all on private.fact_repeats from public, anon, authenticated;

-- What users decided about facts that no longer exist, by the facts' plain digests and gists.
create table private.forgotten_facts (
  id uuid primary key default gen_random_uuid(),
  user_id uuid not null references auth.users (id) on delete cascade,
  plain_digest text not null,
  -- The user deleted it, reworded it or turned it off: models do not store it again, unless the user says it after
  -- this time. Null: they moved or rated it.
  unwanted_until timestamptz,
  -- They moved it: models store it in this tier (for the tier `character`, of that character).
  tier text check (tier in ('conversation', 'character', 'profile')),
  character_id uuid,
  -- They rated it: models store it with this importance.
  importance integer,
  -- The user deleted or reworded it in this conversation's own memory. Others may store it, a branch for example, but
  -- only for themselves.
  conversation_id uuid references public.conversations (id) on delete cascade,
  unique nulls not distinct (user_id, plain_digest, conversation_id)
);
create index forgotten_facts_by_conversation on private.forgotten_facts (conversation_id)
  where conversation_id is not null;
alter table private.forgotten_facts enable row level security;
revoke all on private.forgotten_facts from public, anon, authenticated;

-- A row for each user with a memory, which is locked by whatever changes it.
create table private.memory_locks (
  user_id uuid primary key references auth.users (id) on delete cascade
);
alter table private.memory_locks enable row level security;
revoke all on private.memory_locks from public, anon, authenticated;

-- Locks a user's memory until the transaction ends, because a change touches several facts, and two changes may touch
-- them in different orders. It is the last lock, after those of the user, the conversations and their versions. It is a
-- row, not an advisory lock, because one statement of a product may delete messages of more users than the database has
-- room for advisory locks.
create function private.lock_memory(p_user_id uuid) returns void
language plpgsql set search_path = '' as $$
begin
  -- Runs twice if another transaction creates the row meanwhile.
  loop
    perform from private.memory_locks l where l.user_id = p_user_id for no key update;
    exit when found;
    insert into private.memory_locks (user_id) select u.id from auth.users u where u.id = p_user_id
    on conflict (user_id) do nothing;
    -- Without an account there is no memory.
    exit when found or not exists (select from auth.users u where u.id = p_user_id);
  end loop;
end $$;
revoke execute on function private.lock_memory(uuid) from public, anon, authenticated;

-- A hash that users' facts share if they differ only in an article, the place of an adverb, the order of the last two
-- things ("likes tea and coffee"), or an end that comes first ("In Oslo Ada lives"). Otherwise the order of words
-- counts: who hates whom.
create function private.plain_gist(p_text text) returns text
language plpgsql immutable strict set search_path = '' as $$
declare
  -- As in memory/words.py.
  c_skipped constant text[] := '{"",a,an,the,now,currently,still,also,very,really,just,do,does,did}';
  c_adverbs constant text[] := '{often,always,sometimes,usually,yesterday,today,tomorrow,tonight,alone,again,together}';
  c_joining constant text[] := '{with,in,on,at,for,or,but,because,from,since,near,of,to,by,as,while,after,before}';
  v_words text[];
  v_adverbs text[];
  v_last integer;
  v_first integer;
begin
  select coalesce(array_agg(w.word order by w.place) filter (where w.word <> all (c_adverbs)), '{}'),
         coalesce(array_agg(w.word order by w.word) filter (where w.word = any (c_adverbs)), '{}')
  into v_words, v_adverbs
  from regexp_split_to_table(private.plain_words(p_text), ' ') with ordinality w (word, place)
  where w.word <> all (c_skipped);
  v_last := cardinality(v_words);
  if v_words[v_last - 1] = 'and' and (v_last = 5 or v_words[v_last - 3] = any (c_joining)) then
    v_words := v_words[:v_last - 3] || array[least(v_words[v_last - 2], v_words[v_last]), 'and',
                                             greatest(v_words[v_last - 2], v_words[v_last])];
  end if;
  select w.place into v_first from unnest(v_words) with ordinality w (word, place) order by w.word, w.place limit 1;
  return md5(nullif(array_to_string(v_words[v_first:] || v_words[:v_first - 1] || v_adverbs, ' '), ''));
end $$;

-- Records what a user decided about a fact that is about to be deleted: that models must not store it again, or where
-- the user had it.
create function private.keep_choice(p_fact public.memory_facts, p_is_unwanted boolean) returns void
language sql set search_path = '' as $$
  insert into private.forgotten_facts as g (
    user_id, plain_digest, unwanted_until, tier, character_id, importance, conversation_id)
  select distinct m.user_id, d.plain_digest,
         -- What was off stays off.
         case when p_is_unwanted and p_fact.is_active then now() when p_is_unwanted then 'infinity' end,
         case when p_fact.is_moved and not p_is_unwanted then m.tier end, m.character_id,
         case when p_fact.is_rated and not p_is_unwanted then p_fact.importance end,
         -- What a user turned off, or moved there, they want nowhere.
         case when p_is_unwanted and p_fact.is_active and not p_fact.is_moved then m.conversation_id end
  from public.memories m cross join unnest(array[p_fact.plain_digest, p_fact.gist]) d (plain_digest)
  where m.id = p_fact.memory_id and d.plain_digest is not null
  on conflict (user_id, plain_digest, conversation_id) do update
  set unwanted_until = greatest(g.unwanted_until, excluded.unwanted_until), tier = excluded.tier,
      character_id = excluded.character_id, importance = excluded.importance
$$;

-- Changes of a fact by a user (new.plain_digest is not computed yet here). Facts deleted with their memory or
-- with their message, by another trigger, do not count as deleted by the user. However a fact goes, one
-- that was turned off does not come back, and one that was moved or rated comes back as the user had it.
create function private.touch_fact() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
  v_is_users boolean := current_setting('role', true) = 'authenticated' and pg_trigger_depth() = 1;
  v_is_reworded boolean :=
    tg_op = 'UPDATE' and v_is_users and md5(private.plain_words(new.content)) <> old.plain_digest;
begin
  if tg_op = 'INSERT' then
    new.is_rated := new.is_rated or v_is_users and new.importance is not null;
    new.importance := coalesce(new.importance, 3);
    new.is_unread := new.is_unread or v_is_users;
  end if;
  -- A client may send the same text again.
  if tg_op = 'UPDATE' and v_is_users and new.content <> old.content then
    new.written_by := 'person';
    new.said_at := now();
    -- What a user writes holds.
    new.is_withdrawal := false;
  end if;
  if v_is_reworded then
    new.is_unread := true;
    -- A model rated the old text.
    if not new.is_rated then
      new.importance := 3;
    end if;
    -- Those of the old text. Plain ones of the new text are found where facts are compared. What it hides stays hidden
    -- until the next notes.
    new.subject := null;
    new.topic := null;
    new.since := null;
    new.replaced_by := null;
  end if;
  if tg_op = 'INSERT' and v_is_users or v_is_reworded then
    new.gist := private.plain_gist(new.content);
  end if;
  -- As what a model notes there.
  if tg_op <> 'DELETE' and v_is_users and 'nsfw' in (
      private.tier_of((select m.conversation_id from public.memories m where m.id = new.memory_id)),
      private.tier_of(new.source_conversation_id)) then
    new.content_tier := 'nsfw';
  end if;
  -- Without a withdrawal, what it withdrew holds again.
  if not old.is_withdrawal
     and (tg_op = 'DELETE' and (v_is_users or not old.is_active or old.is_moved or old.is_rated) or v_is_reworded) then
    perform private.keep_choice(old, v_is_users or not old.is_active);
  end if;
  return case tg_op when 'DELETE' then old else new end;
end $$;
revoke execute on function private.plain_gist(text), private.keep_choice(public.memory_facts, boolean),
  private.touch_fact() from public, anon, authenticated;
create trigger memory_facts_touch before insert or update of content or delete on public.memory_facts
  for each row execute function private.touch_fact();

create function private.shape_fact() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  if current_setting('role', true) = 'authenticated' and pg_trigger_depth() = 1 then
    new.is_moved := old.is_moved or new.memory_id <> old.memory_id;
    if new.importance is null then
      -- The user chooses none any longer.
      new.importance := 3;
      new.is_rated := false;
      new.is_unread := new.written_by = 'person' or new.content <> old.content;
    else
      new.is_rated := true;
    end if;
  end if;
  return new;
end $$;
create trigger memory_facts_shape before update of memory_id, importance on public.memory_facts
  for each row execute function private.shape_fact();

-- The importance that a fact has, sent with other columns or not at all, is no choice. The trigger's name sorts it after
-- the one before.
create function private.keep_rating() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  if current_setting('role', true) = 'authenticated' and pg_trigger_depth() = 1
     and new.importance = old.importance and new.is_rated then
    new.is_rated := old.is_rated;
  end if;
  return new;
end $$;
revoke execute on function private.shape_fact(), private.keep_rating() from public, anon, authenticated;
create trigger memory_facts_shape_kept before update of memory_id, content, pinned, is_active on public.memory_facts
  for each row execute function private.keep_rating();

-- Whether a fact says the same as another in the same words, perhaps with more after them.
create function private.goes_on(p_fact public.memory_facts, p_other public.memory_facts) returns boolean
language sql immutable set search_path = '' as $$
  select coalesce(p_fact.gist = p_other.gist, false)
    or starts_with(private.plain_words(p_fact.content) || ' ', private.plain_words(p_other.content) || ' ')
$$;

-- Lets facts that hide one of these also hide the fact that is now current in its place; with p_also_agreeing, even one
-- that they do not contradict.
create function private.hide_too(p_hidden uuid[], p_id uuid, p_also_agreeing boolean) returns void
language sql set search_path = '' as $$
  update public.memory_facts h
  -- Of those that are gone, only these may have others in their place yet.
  set hides = array(
    select i.id from unnest(h.hides) i (id)
    where i.id = any (p_hidden) or exists (select from public.memory_facts f where f.id = i.id)
    union select p_id order by 1)
  from public.memory_facts own
  join public.memories o on o.id = own.memory_id
  join public.memories m on m.user_id = o.user_id
  where own.id = p_id and h.memory_id = m.id and h.hides <> '{}' and h.hides && p_hidden and h.id <> p_id
    and p_id <> all (h.hides)
    and (p_also_agreeing or exists (
      select from public.memory_facts f
      where f.id = any (p_hidden) and f.id = any (h.hides) and not private.goes_on(h, f)))
$$;
revoke execute on function private.goes_on(public.memory_facts, public.memory_facts),
  private.hide_too(uuid[], uuid, boolean) from public, anon, authenticated;

-- The current fact that makes another one unnecessary when that would become current again: it has the same text, or is
-- a later one of the same subject and topic. Null if there is none.
create function private.holds_instead(p_fact public.memory_facts) returns uuid
language plpgsql stable set search_path = '' as $$
begin
  return (
    select c.id from public.memory_facts c
    where c.memory_id = p_fact.memory_id and c.id <> p_fact.id and c.replaced_by is null and not c.is_withdrawal
      and (c.plain_digest = p_fact.plain_digest
           or c.slot = p_fact.slot and c.is_active and p_fact.written_by = 'model' and not p_fact.pinned
              and private.is_later(c, p_fact))
    order by c.plain_digest = p_fact.plain_digest desc, c.id limit 1);
end $$;

-- A fact that a user moved to a narrower tier no longer replaces facts of wider tiers, but only hides them. Nor does it
-- replace facts of another conversation or character of its tier, where it is not known.
create function private.narrow_fact() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
  c_tiers constant text[] := array['conversation', 'character', 'profile'];
  v_tier constant text := (select m.tier from public.memories m where m.id = new.memory_id);
  v_fact public.memory_facts;
  v_hidden uuid[] := '{}';
begin
  for v_fact in
    select f.* from public.memory_facts f join public.memories m on m.id = f.memory_id
    where f.replaced_by = new.id and not f.is_withdrawal
      and (array_position(c_tiers, m.tier) > array_position(c_tiers, v_tier)
           or m.tier = v_tier and m.id <> new.memory_id)
    -- As in private.restore_facts.
    order by f.said_at desc nulls last, f.source_to desc nulls last, f.created_at desc, f.id
  loop
    update public.memory_facts f set replaced_by = private.holds_instead(v_fact) where f.id = v_fact.id
    returning f.* into v_fact;
    if v_fact.replaced_by is null then
      v_hidden := v_hidden || v_fact.id;
    end if;
  end loop;
  if v_hidden <> '{}' then
    update public.memory_facts f set hides = array(select unnest(f.hides) union select unnest(v_hidden) order by 1)
    where f.id = new.id;
    perform private.hide_too(array[new.id], h.id, true) from unnest(v_hidden) h (id);
  end if;
  return null;
end $$;
revoke execute on function private.holds_instead(public.memory_facts), private.narrow_fact() from public, anon, authenticated;
create trigger memory_facts_narrow after update of memory_id on public.memory_facts
  for each row when (old.memory_id <> new.memory_id) execute function private.narrow_fact();

-- If a user writes or moves a fact to a place that has one with the same text, it replaces the other one, and is the
-- user's, or pinned, if either was. Only one fact with a text can be current, and the same statement may also change
-- the other one, so the new one becomes current only at the end of the statement. The name sorts the trigger after the
-- others.
create function private.unite_facts() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
  v_other public.memory_facts;
  v_plain_digest text;
begin
  if pg_trigger_depth() > 1 or new.replaced_by is not null or new.is_withdrawal then
    return new;
  end if;
  -- Here, and not in the query: a plan that was made for few facts computes it again for each.
  v_plain_digest := md5(private.plain_words(new.content));
  select f.* into v_other from public.memory_facts f join public.memories m on m.id = f.memory_id
  where f.memory_id = new.memory_id and m.user_id = auth.uid() and f.id <> new.id
    and f.plain_digest = v_plain_digest and f.replaced_by is null and not f.is_withdrawal;
  if not found then
    return new;
  elsif tg_op = 'INSERT' and v_other.written_by = 'person' then
    raise exception 'This fact is already there.' using errcode = 'PT409';
  end if;
  new.replaced_by := v_other.id;
  return new;
end $$;

-- At the end of the statement, the new fact becomes current and takes over the facts that the other one replaced or
-- hid, and the messages that said it.
create function private.absorb_fact() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
  v_new public.memory_facts;
  v_other public.memory_facts;
  v_later public.memory_facts;
begin
  -- One that was history before with this text waits for none.
  if pg_trigger_depth() > 1
     or tg_op = 'UPDATE' and old.replaced_by is not null and old.plain_digest = new.plain_digest then
    return null;
  end if;
  -- As it is now: another one of the statement may have taken the place of the one that this one waits for.
  select * into v_new from public.memory_facts f where f.id = new.id;
  select * into v_other from public.memory_facts f
  where f.id = v_new.replaced_by and f.memory_id = v_new.memory_id and f.plain_digest = v_new.plain_digest;
  if not found then
    return null;
  end if;
  -- The user does not delete the other one.
  update public.memory_facts f
  set replaced_by = new.id, is_active = true, is_moved = false, is_rated = false
  where f.id = v_other.id;
  update public.memory_facts f
  set replaced_by = null, pinned = f.pinned or v_other.pinned,
      importance = case
        when f.is_rated then f.importance when v_other.is_rated then v_other.importance
        else greatest(f.importance, v_other.importance) end,
      is_rated = f.is_rated or v_other.is_rated, is_moved = f.is_moved or v_other.is_moved,
      subject = coalesce(f.subject, v_other.subject), topic = coalesce(f.topic, v_other.topic),
      since = coalesce(f.since, v_other.since),
      content = case when o.is_theirs then v_other.content else f.content end,
      gist = case when o.is_theirs then v_other.gist else f.gist end,
      is_unread = f.is_unread and v_other.is_unread,
      written_by = case when o.is_theirs then 'person' else f.written_by end,
      content_tier = case
        when o.is_theirs then v_other.content_tier
        -- What the user wrote, a model may have noted of an adult conversation in the same words.
        when v_other.content_tier = 'nsfw' and v_new.written_by = 'model' then 'nsfw' else f.content_tier end,
      said_at = case when o.is_theirs then v_other.said_at else f.said_at end
  from (select v_other.written_by = 'person' and v_new.written_by = 'model' as is_theirs) o
  where f.id = new.id
  returning f.* into v_new;
  update public.memory_facts f set replaced_by = new.id where f.replaced_by = v_other.id;
  update public.memory_facts f
  -- What a text hid that the user has reworded since does not count.
  set hides = array(
    select unnest(case when new.is_unread then '{}' else f.hides end)
    union select unnest(v_other.hides) except select v_other.id order by 1)
  where f.id = new.id;
  perform private.hide_too(array[v_other.id], new.id, true);
  if v_new.written_by = 'model' then
    -- Messages that said the other one say this one. Its source is the first one.
    v_later := v_other;
    if v_other.source_message_id is not null and v_other.source_conversation_id = v_new.source_conversation_id then
      if v_new.source_message_id is not null and v_other.source_to < v_new.source_from then
        v_later := v_new;
        update public.memory_facts f
        set source_message_id = v_other.source_message_id, source_from = v_other.source_from,
            source_to = v_other.source_to
        where f.id = new.id;
      end if;
      update public.memory_facts f
      set repeated_to = nullif(greatest(v_new.repeated_to, v_other.repeated_to, v_later.source_to), f.source_to)
      where f.id = new.id;
    end if;
    insert into private.fact_repeats (fact_id, conversation_id, position, is_copied)
    select new.id, r.conversation_id, r.position, r.is_copied from private.fact_repeats r where r.fact_id = v_other.id
    union
    select new.id, v_later.source_conversation_id, v_later.source_to, false
    where v_later.source_message_id is not null and v_later.source_conversation_id is not null
      and v_other.source_message_id is distinct from v_new.source_message_id
    on conflict do nothing;
  end if;
  delete from public.memory_facts f where f.id = v_other.id;
  return null;
end $$;
-- Lets one request of a user at a time change facts, and no turn meanwhile, because both change several rows in any
-- order. Like begin_turn and finish_turn, it takes the person's lock before it locks a row.
create function private.lock_facts() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  -- What is deleted with its memory has rows locked already.
  if pg_trigger_depth() = 1 then
    perform private.hold_person(auth.uid());
    perform private.lock_memory(auth.uid());
  end if;
  return null;
end $$;
revoke execute on function private.unite_facts(), private.absorb_fact(), private.lock_facts()
  from public, anon, authenticated;
create trigger memory_facts_lock before insert or update or delete on public.memory_facts
  for each statement when (current_setting('role', true) = 'authenticated') execute function private.lock_facts();
create trigger memories_lock before insert or delete on public.memories
  for each statement when (current_setting('role', true) = 'authenticated') execute function private.lock_facts();
create trigger memory_facts_unite before insert or update of memory_id, content on public.memory_facts
  for each row when (current_setting('role', true) = 'authenticated') execute function private.unite_facts();
create trigger memory_facts_absorb after insert or update of memory_id, content on public.memory_facts
  for each row when (current_setting('role', true) = 'authenticated') execute function private.absorb_fact();

-- Raises PT400 for a fact that a user may not write, with the column as DETAIL, because the errors of table constraints
-- are no sentences for people. It also limits how many facts a user can add, because a turn reads all facts of its
-- memories.
create function private.check_facts() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  if private.is_blank(new.content) is not false or char_length(new.content) > 2000 then
    raise exception 'A fact needs a text of at most 2000 characters.' using errcode = 'PT400', detail = 'content';
  elsif private.is_list_or_object(new.content) then
    raise exception 'A fact is a text.' using errcode = 'PT400', detail = 'content';
  elsif new.importance not between 1 and 5 then
    raise exception 'The importance of a fact is a number from 1 to 5.' using errcode = 'PT400', detail = 'importance';
  elsif new.pinned is null then
    raise exception 'A fact is pinned or not: true or false.' using errcode = 'PT400', detail = 'pinned';
  elsif new.is_active is null then
    raise exception 'A fact is on or off: true or false.' using errcode = 'PT400', detail = 'is_active';
  end if;
  if tg_op = 'UPDATE' and new.id <> old.id then
    raise exception 'The id of a fact never changes.' using errcode = 'PT400', detail = 'id';
  elsif (tg_op = 'INSERT' or new.memory_id is distinct from old.memory_id) and not exists (
      select from public.memories m where m.id = new.memory_id and m.user_id = auth.uid()) then
    -- As the policy refuses it, in a sentence.
    raise exception 'There is no such memory.' using errcode = '42501', detail = 'memory_id';
  end if;
  return new;
end $$;
create trigger memory_facts_check before insert or update on public.memory_facts
  for each row when (current_setting('role', true) = 'authenticated') execute function private.check_facts();

-- Once per statement, after it: counting takes as long as the memory is large.
create function private.count_facts() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
  v_memories uuid[];
begin
  if pg_trigger_depth() > 1 then
    return null;
  elsif tg_op = 'INSERT' then
    v_memories := array(select distinct n.memory_id from added n);
  else
    v_memories := array(select distinct n.memory_id from added n join gone g on g.id = n.id and g.memory_id <> n.memory_id);
  end if;
  if exists (
      select from unnest(v_memories) m (id)
      where (select count(*) from public.memory_facts f where f.memory_id = m.id) > 2000) then
    raise exception 'You have reached the maximum number of facts here. Please delete one first.'
      using errcode = 'PT409', hint = 'The maximum is 2000 facts.';
  end if;
  return null;
end $$;
create trigger memory_facts_total after insert on public.memory_facts
  referencing new table as added for each statement
  when (current_setting('role', true) = 'authenticated') execute function private.count_facts();
create trigger memory_facts_total_moved after update on public.memory_facts
  referencing old table as gone new table as added for each statement
  when (current_setting('role', true) = 'authenticated') execute function private.count_facts();

-- The same for a memory.
create function private.check_memory() returns trigger
language plpgsql set search_path = '' as $$
begin
  if new.tier is null or new.tier not in ('conversation', 'character', 'profile') then
    raise exception 'The tier of a memory is conversation, character or profile.'
      using errcode = 'PT400', detail = 'tier';
  elsif (new.conversation_id is not null) <> (new.tier = 'conversation')
     or (new.character_id is not null) <> (new.tier = 'character') then
    raise exception 'The tier conversation needs a conversation_id, character a character_id, and profile neither.'
      using errcode = 'PT400', detail = 'tier';
  end if;
  return new;
end $$;
create trigger memories_check before insert on public.memories
  for each row when (current_setting('role', true) = 'authenticated') execute function private.check_memory();

-- A memory never changes. A client may repeat an upsert, which changes nothing.
create function private.keep_memory() returns trigger
language plpgsql set search_path = '' as $$
begin
  if (new.id, new.user_id, new.tier, new.conversation_id, new.character_id)
     is distinct from (old.id, old.user_id, old.tier, old.conversation_id, old.character_id) then
    raise exception 'A memory does not change. Move its facts to another one.' using errcode = 'PT400';
  end if;
  return new;
end $$;
create trigger memories_keep before update on public.memories
  for each row when (current_setting('role', true) = 'authenticated') execute function private.keep_memory();
revoke execute on function private.check_facts(), private.count_facts(), private.check_memory(), private.keep_memory()
  from public, anon, authenticated;

-- Facts whose replacement was deleted are current again, unless that was replaced itself, or there is a
-- current fact with the same text, or a later one of the same subject and topic. A withdrawal of the replacement
-- withdraws them only if it has their words.
--
-- A fact that a user deletes takes what it had replaced along, unless that is pinned or the user's own: they want
-- the matter gone, not its outdated state back.
create function private.restore_facts() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
  v_freed record;
  v_past uuid[];
begin
  if current_setting('role', true) = 'authenticated' and pg_trigger_depth() = 1 then
    with recursive past as (
      select f.id from public.memory_facts f join gone g on g.id = f.replaced_by
      where not g.is_withdrawal and f.written_by = 'model' and not f.pinned
      union
      select f.id from public.memory_facts f join past p on p.id = f.replaced_by
      where f.written_by = 'model' and not f.pinned)
    select array_agg(p.id) into v_past from past p;
    perform private.keep_choice(f, true) from public.memory_facts f where f.id = any (v_past) and not f.is_withdrawal;
    delete from public.memory_facts f where f.id = any (v_past);
  end if;
  for v_freed in
    with recursive freed as (
      select f.id, g.replaced_by as target, array[g.id] as gone, f.said_at, f.source_to, f.created_at
      from public.memory_facts f join gone g on g.id = f.replaced_by
      union
      select r.id, g.replaced_by, r.gone || g.id, r.said_at, r.source_to, r.created_at
      from freed r join gone g on g.id = r.target)
    select r.id, r.gone, case when not exists (
        select from public.memory_facts w join public.memory_facts f on f.id = r.id
        where w.id = r.target and w.is_withdrawal and not private.goes_on(w, f))
      then r.target end as target
    from freed r
    where not exists (select from gone g where g.id = r.target)
    -- The one that was said last is current before the others are compared with it.
    order by r.said_at desc nulls last, r.source_to desc nulls last, r.created_at desc, r.id
  loop
    update public.memory_facts f
    set replaced_by = coalesce(v_freed.target, private.holds_instead(f))
    where f.id = v_freed.id;
    perform private.hide_too(v_freed.gone, v_freed.id, true);
  end loop;
  return null;
end $$;
revoke execute on function private.restore_facts() from public, anon, authenticated;
create trigger memory_facts_restore after delete on public.memory_facts
  referencing old table as gone for each statement execute function private.restore_facts();

alter table public.memories enable row level security;
revoke all on public.memories from anon, authenticated;
grant select, delete on public.memories to authenticated;
grant insert (id, user_id, tier, conversation_id, character_id),
      update (id, user_id, tier, conversation_id, character_id) on public.memories to authenticated;
create policy memories_select on public.memories for select to authenticated
  using (user_id = (select auth.uid()));
create policy memories_insert on public.memories for insert to authenticated
  with check (user_id = (select auth.uid())
              and private.may_meet(character_id)
              and (conversation_id is null
                   or exists (select 1 from public.conversations c
                              where c.id = conversation_id and c.user_id = (select auth.uid()))));
create policy memories_update on public.memories for update to authenticated
  using (user_id = (select auth.uid())) with check (user_id = (select auth.uid()));
create policy memories_delete on public.memories for delete to authenticated
  using (user_id = (select auth.uid()));

alter table public.memory_facts enable row level security;
revoke all on public.memory_facts from anon, authenticated;
grant select, delete on public.memory_facts to authenticated;
-- A user moves a fact to another of their memories.
grant insert (id, memory_id, content, pinned, importance, is_active),
      update (id, memory_id, content, pinned, importance, is_active)
  on public.memory_facts to authenticated;
create policy memory_facts_all on public.memory_facts for all to authenticated
  using (exists (select 1 from public.memories m
                 where m.id = memory_id and m.user_id = (select auth.uid())))
  with check (exists (select 1 from public.memories m
                      where m.id = memory_id and m.user_id = (select auth.uid())));
