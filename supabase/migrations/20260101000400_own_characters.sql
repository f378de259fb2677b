-- Fictional characters. user_id null: provided by us.

create table public.characters (
  id uuid primary key default gen_random_uuid(),
  user_id uuid references auth.users (id) on delete cascade,
  name text not null check (char_length(name) between 1 and 120),
  -- Replaces the name in {{char}}.
  nickname text check (char_length(nickname) between 1 and 120),
  description text not null default '' check (char_length(description) <= 20000),
  personality text not null default '' check (char_length(personality) <= 20000),
  scenario text not null default '' check (char_length(scenario) <= 20000),
  first_message text not null default '' check (char_length(first_message) <= 20000),
  -- Alternate greetings.
  alternate_greetings text[] not null default '{}'
    check (cardinality(alternate_greetings) <= 64 and octet_length(alternate_greetings::text) <= 262144
           and array_position(alternate_greetings, null) is null),
  -- Greetings for conversations with several characters.
  group_only_greetings text[] not null default '{}'
    check (cardinality(group_only_greetings) <= 64 and octet_length(group_only_greetings::text) <= 262144
           and array_position(group_only_greetings, null) is null),
  example_messages text not null default '' check (char_length(example_messages) <= 20000),
  -- Replaces the template if set; {{original}} in it inserts the template.
  system_prompt text not null default '' check (char_length(system_prompt) <= 20000),
  post_history_instructions text not null default '' check (char_length(post_history_instructions) <= 8000),
  -- A note among the messages of every prompt, with this many messages after it.
  depth_prompt text not null default '' check (char_length(depth_prompt) <= 8000),
  depth_prompt_depth integer not null default 4 check (depth_prompt_depth between 0 and 1000),
  -- A keyword, because any other text would have to be screened.
  depth_prompt_role varchar not null default 'system' check (depth_prompt_role in ('system', 'user', 'assistant')),
  -- The lorebook in the format of Character Card V2 and V3; matching entries are added to the
  -- prompt.
  character_book jsonb
    check (jsonb_typeof(character_book) = 'object' and octet_length(character_book::text) <= 1048576
           -- Parsers limit the nesting depth; cards have the same limit.
           and not jsonb_path_exists(character_book, '$.**{64}')
           -- Each value becomes an object in every turn; cards have the same limit.
           and char_length(character_book::text) - char_length(replace(character_book::text, ',', '')) <= 120000),
  -- How often it speaks among others, from 0 (only when named) to 1; null: 0.5.
  talkativeness double precision check (talkativeness between 0 and 1),
  pronouns text check (char_length(pronouns) <= 40),
  -- Declared by the author, in years; adult content requires a declared adult age.
  age integer check (age between 0 and 1000000),
  content_rating text not null default 'sfw' check (content_rating in ('sfw', 'nsfw')),
  is_public boolean not null default false,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
create index characters_by_user on public.characters (user_id);
create index characters_public on public.characters (created_at desc, id desc) where is_public;
create trigger characters_touch before update on public.characters
  for each row execute function private.touch_updated_at();

alter table public.characters enable row level security;
revoke all on public.characters from anon, authenticated;
grant select, insert, update, delete on public.characters to authenticated;
create policy characters_select on public.characters for select to authenticated
  using (user_id = (select auth.uid())
         or is_public and (content_rating = 'sfw' or (select private.is_age_verified()))
           and not private.is_taken_down(id));
create policy characters_insert on public.characters for insert to authenticated
  with check (user_id = (select auth.uid()));
create policy characters_update on public.characters for update to authenticated
  using (user_id = (select auth.uid())) with check (user_id = (select auth.uid()));
create policy characters_delete on public.characters for delete to authenticated
  using (user_id = (select auth.uid()));
