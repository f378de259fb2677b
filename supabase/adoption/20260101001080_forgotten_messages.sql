-- Messages that change or go take along what was noted from them, also where the product's own client
-- deletes them. What other conversations say, too, outlives a deleted one.

create trigger a_forget_deleted after delete on public.messages
  referencing old table as gone for each statement execute function private.forget_messages();
create trigger a_forget_edited after update on public.messages
  referencing old table as gone new table as present for each statement execute function private.forget_messages();
create trigger a_forget_conversation before delete on public.conversations
  for each row execute function private.forget_conversation();
