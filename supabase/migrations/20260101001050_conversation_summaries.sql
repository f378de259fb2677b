-- Summaries of the messages up to a position, which the prompt then leaves out.

create table public.conversation_summaries (
  conversation_id uuid primary key references public.conversations (id) on delete cascade,
  content text not null default '' check (char_length(content) <= 8000),
  -- The last message it covers; 0: none.
  covers_position bigint not null default 0,
  -- nsfw: the conversation had turns in the adult tier.
  content_tier text not null default 'sfw' check (content_tier in ('sfw', 'nsfw')),
  -- The earliest time for the next try: a summary is being written, or the last try failed.
  not_before timestamptz,
  updated_at timestamptz not null default now()
);
create trigger conversation_summaries_touch before update on public.conversation_summaries
  for each row execute function private.touch_updated_at();

alter table public.conversation_summaries enable row level security;
revoke all on public.conversation_summaries from anon, authenticated;
grant select, delete on public.conversation_summaries to authenticated;
create policy conversation_summaries_select on public.conversation_summaries for select to authenticated
  using (exists (select 1 from public.conversations c
                 where c.id = conversation_id and c.user_id = (select auth.uid())));
create policy conversation_summaries_delete on public.conversation_summaries for delete to authenticated
  using (exists (select 1 from public.conversations c
                 where c.id = conversation_id and c.user_id = (select auth.uid())));

-- The position up to which a conversation is summarised; 0 without a summary.
create function private.covered(p_conversation_id uuid) returns bigint
language sql stable set search_path = '' as $$
  select coalesce(max(s.covers_position), 0) from public.conversation_summaries s
  where s.conversation_id = p_conversation_id
$$;

-- nsfw if the conversation, or one it was branched from, had a turn in the adult tier.
create function private.tier_of(p_conversation_id uuid) returns text
language sql stable set search_path = '' as $$
  select case when exists (
      select 1 from public.turns t where t.conversation_id = p_conversation_id and t.content_tier = 'nsfw')
    or exists (
      select 1 from public.conversation_summaries s
      where s.conversation_id = p_conversation_id and s.content_tier = 'nsfw')
    then 'nsfw' else 'sfw' end
$$;

-- Bytes of messages that a turn reads at most, beside the newest one: more than most models read.
create function private.most_history_bytes() returns integer
language sql immutable set search_path = '' as 'select 1048576';

-- What a turn needs to know of the summary; null without a conversation, and for a turn before a
-- position that the summary covers: it tells of what came later.
--   summary, covers_position, content_tier
--   may_write   whether the next part may be summarised now
--   backlog     the oldest messages that are in no summary, where the history is cut (p_is_cut): as
--               private.history has them, and perhaps some of the same
create function private.summary_of(p_conversation_id uuid, p_before bigint, p_now timestamptz, p_is_cut boolean)
returns jsonb
language sql stable set search_path = '' as $$
  select jsonb_build_object(
    'summary', coalesce(s.content, ''),
    'covers_position', coalesce(s.covers_position, 0),
    'content_tier', coalesce(s.content_tier, 'sfw'),
    'may_write', c.remembers and coalesce(s.not_before <= p_now, true),
    'backlog', case when p_is_cut then (
        select jsonb_agg(jsonb_build_object(
          'sender', m.sender, 'content', m.content, 'position', m.position) order by m.position)
        from (
          select m.*, sum(octet_length(m.content)) over (order by m.position) as bytes
          from (
            select m.sender, m.content, m.position from shared.messages m
            where m.conversation_id = c.id and m.is_active and m.is_speech
              and m.position > coalesce(s.covers_position, 0)
            order by m.position limit 64) m) m
        where m.bytes <= private.most_history_bytes())
      else '[]' end)
  from shared.conversations c left join public.conversation_summaries s on s.conversation_id = c.id
  where c.id = p_conversation_id and (p_before > s.covers_position) is not false
$$;

-- Forgets the summary when it covers the message at p_position, or a later one: call this when a
-- message was changed, deleted or set aside. It is built anew from the beginning, in steps. A
-- summary that is being written meanwhile is refused by private.remember.
create function private.forget_summary_from(p_conversation_id uuid, p_position bigint) returns void
language sql set search_path = '' as $$
  -- The tier stays: the messages that made it adult may still be there.
  update public.conversation_summaries s
  set content = '', covers_position = 0
  where s.conversation_id = p_conversation_id and s.covers_position >= p_position
$$;

revoke execute on function private.most_history_bytes(), private.covered(uuid), private.tier_of(uuid), private.summary_of(uuid, bigint, timestamptz, boolean),
  private.forget_summary_from(uuid, bigint) from public, anon, authenticated;
