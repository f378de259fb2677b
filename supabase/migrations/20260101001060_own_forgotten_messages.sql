-- When messages are changed or deleted, what was noted from them is forgotten. What other conversations say, too,
-- outlives a deleted one.

create trigger messages_forget_deleted after delete on public.messages
  for each row execute function private.forget_message();
create trigger messages_forget_changed after update of content, is_active on public.messages
  for each row when ((old.content, old.is_active) is distinct from (new.content, new.is_active))
  execute function private.forget_message();
create trigger conversations_forget before delete on public.conversations
  for each row execute function private.forget_conversation();
