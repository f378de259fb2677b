-- The names of the characters in a user's conversations. A conversation can continue with a
-- character whose row the user cannot see: a public one rated 'nsfw', without a verified age. Runs
-- with its owner's rights (the default for views).
create view public.companions with (security_barrier = true) as
select there.conversation_id, ch.id as character_id, ch.name
from (
  select c.id as conversation_id, c.character_id from shared.conversations c
  where c.user_id = (select auth.uid())
  union
  select m.conversation_id, m.character_id
  from public.conversation_characters m join shared.conversations c on c.id = m.conversation_id
  where c.user_id = (select auth.uid())) there
join shared.characters ch on ch.id = there.character_id
where ch.user_id = (select auth.uid())
   or ch.is_public and (
     ch.content_rating = 'sfw' or (select private.is_age_verified()) or shared.has_our_policies()
     or exists (
       select from public.turns t
       where t.conversation_id = there.conversation_id and t.character_id = ch.id and t.reply_message_id is not null));
revoke all on public.companions from public, anon, authenticated, service_role;
grant select on public.companions to authenticated;
