-- What people may add to and change in our own tables through the Data API.

-- The same maximum length as for a message in a turn.
create function private.check_own_message() returns trigger
language plpgsql set search_path = '' as $$
begin
  if char_length(new.content) > 8000 then
    raise exception 'The message is too long: % characters, at most 8000 are allowed.', char_length(new.content)
      using errcode = 'PT413', hint = 'Shorten it, or send it in several messages.';
  end if;
  return new;
end $$;

-- The same maximum as for imports.
create function private.check_own_characters() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  if (select count(*) from shared.characters ch where ch.user_id = new.user_id) >= 1000 then
    raise exception 'You have reached the maximum number of characters. Please delete one first.'
      using errcode = 'PT409', hint = 'The maximum is 1000 characters.';
  end if;
  return new;
end $$;

revoke execute on function private.check_own_message(), private.check_own_characters()
  from public, anon, authenticated;

-- All of them that users can write.
select private.guard_writes('public.profiles', 'insert'),
       private.guard_writes('public.api_providers', 'insert'),
       private.guard_writes('public.api_models', 'insert'),
       private.guard_writes('public.characters', 'insert or update'),
       private.guard_writes('public.conversations', 'insert'),
       private.guard_writes('public.messages', 'insert');
create trigger characters_total before insert on public.characters
  for each row when (current_setting('role', true) = 'authenticated') execute function private.check_own_characters();
create trigger messages_length before insert on public.messages
  for each row when (current_setting('role', true) = 'authenticated') execute function private.check_own_message();
