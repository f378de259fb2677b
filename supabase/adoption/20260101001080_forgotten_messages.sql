-- Messages that change or go take along what was noted from them, also where the product's own client
-- deletes them.

create trigger a_forget_deleted after delete on public.messages
  for each row execute function private.forget_message();
create trigger a_forget_edited after update of content on public.messages
  for each row when (old.content is distinct from new.content) execute function private.forget_message();
