-- A version of a reply that is not shown leaves the product's messages and keeps its id, so turns
-- refer to messages without foreign keys. private.remove_message empties what refers to a deleted one.
alter table public.turns
  drop constraint turns_user_message_id_fkey,
  drop constraint turns_replaces_message_id_fkey,
  drop constraint turns_reply_message_id_fkey;
