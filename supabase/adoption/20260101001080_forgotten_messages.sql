-- Messages that change or go take along what was noted from them, also where the product's own client
-- deletes them. What other conversations say, too, outlives a deleted one.

create trigger a_forget_deleted after delete on public.messages
  for each row execute function private.forget_message();
create trigger a_forget_edited after update of content on public.messages
  for each row when (old.content is distinct from new.content) execute function private.forget_message();
create trigger a_forget_conversation before delete on public.conversations
  for each row execute function private.forget_conversation();
