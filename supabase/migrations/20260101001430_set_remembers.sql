-- Turns the memory of a conversation on or off for its user: whether summaries and facts are written.
-- For installations whose clients have no such column in their table of conversations.
create function public.set_remembers(p_conversation_id uuid, p_remembers boolean) returns void
language plpgsql security definer set search_path = '' as $$
begin
  if private.why_account_blocked((select auth.uid())) is not null then
    raise exception 'This account is suspended.' using errcode = 'PT403';
  end if;
  update shared.conversations c set remembers = p_remembers
  where c.id = p_conversation_id and c.user_id = (select auth.uid());
  if not found then
    raise exception 'There is no such conversation.' using errcode = 'PT404';
  end if;
end $$;
revoke execute on function public.set_remembers(uuid, boolean) from public, anon, authenticated;
grant execute on function public.set_remembers(uuid, boolean) to authenticated;
