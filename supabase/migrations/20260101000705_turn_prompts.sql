-- The composition of a reply's prompt, for the user who asks why a character said something: ids,
-- positions, names and counts. The texts are not copied.

create table public.turn_prompts (
  turn_id uuid primary key references public.turns (id) on delete cascade,
  -- See prompt/composition.py.
  composition jsonb not null check (jsonb_typeof(composition) = 'object' and pg_column_size(composition) <= 32768),
  created_at timestamptz not null default now()
);
-- Compression would take longer than the rest of the insert, and rows are deleted in a few days.
alter table public.turn_prompts alter column composition set storage external;
-- For the retention.
create index turn_prompts_by_time on public.turn_prompts (created_at);

-- Stores a composition. One that violates the table's constraints is left out, because the reply is
-- saved in the same transaction.
create function private.keep_prompt(p_turn_id uuid, p_composition jsonb) returns void
language plpgsql set search_path = '' as $$
begin
  if jsonb_typeof(p_composition) = 'object' and pg_column_size(p_composition) <= 32768 then
    insert into public.turn_prompts (turn_id, composition) values (p_turn_id, p_composition)
    on conflict (turn_id) do nothing;
  end if;
end $$;
revoke execute on function private.keep_prompt(uuid, jsonb) from public, anon, authenticated;

-- The composition is deleted with its reply.
create function private.forget_prompt() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  delete from public.turn_prompts p where p.turn_id = old.id;
  return null;
end $$;
revoke execute on function private.forget_prompt() from public, anon, authenticated;
create trigger turns_forget_prompt after update of reply_message_id, conversation_id on public.turns
  for each row when (
    old.reply_message_id is not null and new.reply_message_id is null
    or old.conversation_id is not null and new.conversation_id is null)
  execute function private.forget_prompt();

alter table public.turn_prompts enable row level security;
revoke all on public.turn_prompts from anon, authenticated;
grant select on public.turn_prompts to authenticated;
-- Not for admins, who only see the numbers of turns.
create policy turn_prompts_select on public.turn_prompts for select to authenticated
  using (exists (select 1 from public.turns t where t.id = turn_id and t.user_id = (select auth.uid())));
