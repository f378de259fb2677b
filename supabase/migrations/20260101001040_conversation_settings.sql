-- A person's settings for one conversation. A turn reads them in begin_turn.

create table public.conversation_settings (
  conversation_id uuid primary key references public.conversations (id) on delete cascade,
  -- The author's note: text about the story among the messages of each prompt, as a message of this
  -- role with this many messages after it.
  note text not null default '' check (char_length(note) <= 8000),
  note_depth integer not null default 4 check (note_depth between 0 and 1000),
  note_role text not null default 'system' check (note_role in ('system', 'user', 'assistant')),
  -- Sampler settings by name: private.check_sampling. A turn keeps them within the model's bounds.
  sampling jsonb not null default '{}' check (jsonb_typeof(sampling) = 'object'),
  updated_at timestamptz not null default now()
);
create trigger conversation_settings_touch before update on public.conversation_settings
  for each row execute function private.touch_updated_at();

-- Refuses sampler settings that no model has, with a reason. null removes one.
create function private.check_sampling() returns trigger
language plpgsql set search_path = '' as $$
declare
  c_names constant text[] := array['temperature', 'top_p', 'top_k', 'min_p', 'frequency_penalty', 'presence_penalty',
                                   'repetition_penalty', 'max_tokens', 'seed'];
  v_setting record;
begin
  if jsonb_typeof(new.sampling) <> 'object' or octet_length(new.sampling::text) > 2000 then
    raise exception 'Sampler settings are an object of at most 2000 bytes.' using errcode = 'PT400';
  end if;
  new.sampling := jsonb_strip_nulls(new.sampling);
  for v_setting in select s.key, s.value from jsonb_each(new.sampling) s loop
    if v_setting.key <> all (c_names) then
      raise exception 'There is no sampler setting named "%".', left(v_setting.key, 40)
        using errcode = 'PT400', hint = 'The settings are ' || array_to_string(c_names, ', ') || '.';
    elsif jsonb_typeof(v_setting.value) <> 'number' or abs(v_setting.value::numeric) > 1000000 then
      raise exception 'The sampler setting % must be a number.', v_setting.key using errcode = 'PT400';
    end if;
  end loop;
  return new;
end $$;
create trigger conversation_settings_sampling before insert or update of sampling on public.conversation_settings
  for each row execute function private.check_sampling();

alter table public.conversation_settings enable row level security;
revoke all on public.conversation_settings from anon, authenticated;
grant select, delete on public.conversation_settings to authenticated;
grant insert (conversation_id, note, note_depth, note_role, sampling),
      update (conversation_id, note, note_depth, note_role, sampling) on public.conversation_settings to authenticated;
create policy conversation_settings_all on public.conversation_settings for all to authenticated
  using (exists (select 1 from public.conversations c
                 where c.id = conversation_id and c.user_id = (select auth.uid())))
  with check (exists (select 1 from public.conversations c
                      where c.id = conversation_id and c.user_id = (select auth.uid())));

-- The settings for a turn; null without any.
create function private.settings_of(p_conversation_id uuid) returns json
language plpgsql stable set search_path = '' as $$
begin
  return (
    select json_build_object(
      'note', s.note, 'note_depth', s.note_depth, 'note_role', s.note_role, 'sampling', s.sampling)
    from public.conversation_settings s where s.conversation_id = p_conversation_id);
end $$;
revoke execute on function private.check_sampling(), private.settings_of(uuid) from public, anon, authenticated;
