-- Takes away what an adoption added to the product's own tables and schemas. `make adopt ARGS=--undo`
-- runs it, then drops what it made in the schema public.
drop trigger if exists a_place_message on public.messages;
drop trigger if exists a_keep_health on public.system_config;
drop schema if exists shared cascade;
drop schema if exists private cascade;
drop index if exists public.messages_by_position;
drop index if exists public.conversations_by_person;
alter table public.messages drop column if exists position, drop column if exists edited_at;
