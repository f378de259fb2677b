-- Templates: ours, and the product's own where it has active ones. A tier for which the product has
-- none gets ours.

create table private.prompt_templates (
  id uuid primary key default gen_random_uuid(),
  name text not null unique check (char_length(name) <= 200),
  use_case text not null check (use_case in ('roleplay', 'storytelling', 'prompt_enhancement')),
  content_tier text not null check (content_tier in ('sfw', 'nsfw')),
  model_family text check (char_length(model_family) <= 200),
  system_prompt text not null check (char_length(system_prompt) between 1 and 20000),
  is_active boolean not null default true
);
alter table private.prompt_templates enable row level security;
revoke all on private.prompt_templates from public, anon, authenticated;

-- A template of the product's with its placeholders for long texts taken out: a prompt has these
-- texts in sections of their own. The other placeholders, and other ways to write these, are macros
-- (prompt/macros.py). Cut at the braces, which takes a tenth of the time of an expression: every turn
-- does so for each template.
create function private.translated_template(p_text text) returns text
language sql immutable set search_path = '' as $$
  select string_agg(
    case
      when part.place = 1 then part.words
      when strpos(part.words, '}}') > 0 and lower(btrim(split_part(part.words, '}}', 1))) = any (
        '{character_description,character_personality,character_background,character_visual_description,
          character_quirks,character_goals,character_speaking_style,voice_examples,scene_context,user_persona,
          user_appearance}'::text[])
        then '(see below)' || substr(part.words, strpos(part.words, '}}') + 2)
      else '{{' || part.words
    end, '' order by part.place)
  from unnest(string_to_array(left(p_text, 20000), '{{')) with ordinality part (words, place)
$$;
revoke execute on function private.translated_template(text) from public, anon, authenticated;

-- The newest of several that fit alike. A template for one model is one for a family that this model
-- alone belongs to (shared.api_models).
create view shared.prompt_templates as
with theirs as (
  select distinct on (t.content_mode, t.target_model)
         t.id, left(t.template_name, 200) as name, 'roleplay'::text as use_case, t.content_mode::text as content_tier,
         left(t.target_model, 200) as model_family, private.translated_template(t.system_prompt) as system_prompt,
         true as is_active
  from public.prompt_templates t
  where t.use_case = 'character_roleplay' and t.is_active and t.content_mode in ('sfw', 'nsfw')
    and btrim(t.system_prompt) <> ''
  order by t.content_mode, t.target_model, t.version desc nulls last, t.created_at desc nulls last, t.id)
select * from theirs
union all
select o.id, o.name, o.use_case, o.content_tier, o.model_family, o.system_prompt, o.is_active
from private.prompt_templates o
where not exists (
  select from theirs t
  where o.use_case = 'roleplay' and t.content_tier = o.content_tier
    and t.model_family is not distinct from o.model_family);
