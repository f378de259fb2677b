-- When messages are changed or deleted, what was noted from them is forgotten. What other conversations say, too,
-- outlives a deleted one.

create trigger messages_forget_deleted after delete on public.messages
  referencing old table as gone for each statement execute function private.forget_messages();
create trigger messages_forget_changed after update on public.messages
  referencing old table as gone new table as present for each statement execute function private.forget_messages();
create trigger conversations_forget before delete on public.conversations
  for each row execute function private.forget_conversation();
