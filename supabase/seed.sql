-- What a new installation starts with. Run again, it adds what is missing and leaves the rest alone.

insert into public.api_providers (name, display_name, base_url, auth_scheme, auth_header_name, secret_name)
values ('openrouter', 'OpenRouter', 'https://openrouter.ai/api/v1', 'bearer', 'Authorization', 'OpenRouter_Roleplay_API_KEY')
on conflict do nothing;

-- Free models come and go; docs/configuration.md says how to find current ones.
-- The modality 'roleplay' marks what the roleplay picker offers; other tasks use 'chat'.
insert into public.api_models (provider_id, model_key, display_name, description, modality, task, model_family,
                               input_defaults, capabilities, pricing, is_active, is_default, priority)
select p.id, m.model_key, m.display_name, m.description, m.modality, m.task, m.model_family,
       m.input_defaults::jsonb, m.capabilities::jsonb, m.pricing::jsonb, m.is_active, m.is_default, m.priority
from public.api_providers p
cross join (values
  ('cognitivecomputations/dolphin-mistral-24b-venice-edition:free', 'Venice Dolphin Mistral 24B',
   'Primary roleplay model: follows the user''s direction, no default safety layer. Replies in 4 to 12 s.',
   'roleplay', 'roleplay', 'mistral',
   '{"temperature": 0.9, "max_tokens": 400, "top_p": 0.95}',
   '{"context_tokens": 32768, "nsfw": true, "strengths": ["roleplay"], "response_seconds": [4, 12]}',
   '{"prompt_usd_per_1k": 0, "completion_usd_per_1k": 0}', true, true, 1),
  ('cognitivecomputations/dolphin-3.0-r1-mistral-24b:free', 'Dolphin 3.0 R1 Mistral 24B',
   'Reasons before it answers (800k training traces): for intricate scenarios. Replies in 5 to 15 s.',
   'roleplay', 'roleplay', 'mistral',
   '{"temperature": 0.9, "max_tokens": 400, "top_p": 0.95}',
   '{"context_tokens": 32768, "nsfw": true, "reasoning": true, "strengths": ["reasoning"], "response_seconds": [5, 15]}',
   '{"prompt_usd_per_1k": 0, "completion_usd_per_1k": 0}', true, false, 2),
  ('cognitivecomputations/dolphin-3.0-mistral-24b:free', 'Dolphin 3.0 Mistral 24B',
   'General purpose. Replies in 4 to 10 s.',
   'roleplay', 'roleplay', 'mistral',
   '{"temperature": 0.9, "max_tokens": 400, "top_p": 0.95}',
   '{"context_tokens": 32768, "nsfw": true, "strengths": ["general"], "response_seconds": [4, 10]}',
   '{"prompt_usd_per_1k": 0, "completion_usd_per_1k": 0}', true, false, 3),
  ('meta-llama/llama-3.1-8b-instruct', 'Llama 3.1 8B',
   'Paid. Small and quick.',
   'roleplay', 'roleplay', 'llama',
   '{"temperature": 0.9, "max_tokens": 400, "top_p": 0.95}', '{"context_tokens": 131072}',
   '{"prompt_usd_per_1k": 0.0002, "completion_usd_per_1k": 0.0002}', false, false, 10),
  ('mistralai/mistral-7b-instruct', 'Mistral 7B',
   'Paid. The cheapest of the paid models.',
   'roleplay', 'roleplay', 'mistral',
   '{"temperature": 0.9, "max_tokens": 400, "top_p": 0.95}', '{"context_tokens": 32768}',
   '{"prompt_usd_per_1k": 0.0001, "completion_usd_per_1k": 0.0001}', false, false, 11),
  ('cognitivecomputations/dolphin-mistral-24b-venice-edition:free', 'Venice Dolphin Mistral 24B',
   'Tells stories at length.',
   'chat', 'storytelling', 'mistral',
   '{"temperature": 0.9, "max_tokens": 800, "top_p": 0.95}', '{"context_tokens": 32768, "nsfw": true}',
   '{"prompt_usd_per_1k": 0, "completion_usd_per_1k": 0}', true, true, 1),
  ('cognitivecomputations/dolphin-3.0-mistral-24b:free', 'Dolphin 3.0 Mistral 24B',
   'Tells stories when the first choice is out.',
   'chat', 'storytelling', 'mistral',
   '{"temperature": 0.9, "max_tokens": 800, "top_p": 0.95}', '{"context_tokens": 32768, "nsfw": true}',
   '{"prompt_usd_per_1k": 0, "completion_usd_per_1k": 0}', true, false, 2),
  ('cognitivecomputations/dolphin-3.0-mistral-24b:free', 'Dolphin 3.0 Mistral 24B',
   'Turns a few words into a precise prompt.',
   'chat', 'prompt_enhancement', 'mistral',
   '{"temperature": 0.5, "max_tokens": 200, "top_p": 0.9}', '{"context_tokens": 32768, "nsfw": true}',
   '{"prompt_usd_per_1k": 0, "completion_usd_per_1k": 0}', true, true, 1),
  ('cognitivecomputations/dolphin-mistral-24b-venice-edition:free', 'Venice Dolphin Mistral 24B',
   'Enhances prompts when the first choice is out.',
   'chat', 'prompt_enhancement', 'mistral',
   '{"temperature": 0.5, "max_tokens": 200, "top_p": 0.9}', '{"context_tokens": 32768, "nsfw": true}',
   '{"prompt_usd_per_1k": 0, "completion_usd_per_1k": 0}', true, false, 2)
) as m (model_key, display_name, description, modality, task, model_family,
        input_defaults, capabilities, pricing, is_active, is_default, priority)
where p.name = 'openrouter'
on conflict do nothing;

insert into public.prompt_templates (name, use_case, content_tier, system_prompt) values
('Roleplay', 'roleplay', 'sfw',
$t$You are {{char}} in a fictional conversation with {{user}}. Stay in character as {{char}} and answer as {{char}} would: in their voice, with their knowledge, in this scene.

Speak and act only as {{char}}. Never write {{user}}'s words, thoughts or actions. Describe what {{char}} does and senses in a few vivid details, and leave {{user}} something to respond to. Keep to what has been said before.

Keep everything suitable for a general audience: affection may be warm, but never explicit.$t$),
('Roleplay for adults', 'roleplay', 'nsfw',
$t$You are {{char}} in a fictional conversation between adults with {{user}}. Stay in character as {{char}} and answer as {{char}} would: in their voice, with their knowledge, in this scene.

Speak and act only as {{char}}. Never write {{user}}'s words, thoughts or actions. Describe what {{char}} does and senses in a few vivid details, and leave {{user}} something to respond to. Keep to what has been said before.

Everyone in this story is an adult and willing. Mature themes are allowed where the story leads there.$t$),
('Storytelling', 'storytelling', 'sfw',
$t$You are a storyteller. Write the next part of the story that {{user}} asks for: concrete scenes, distinct voices, a clear thread from start to end. Write prose only, without headings or remarks about the writing.

Keep everything suitable for a general audience.$t$),
('Storytelling for adults', 'storytelling', 'nsfw',
$t$You are a storyteller for adults. Write the next part of the story that {{user}} asks for: concrete scenes, distinct voices, a clear thread from start to end. Write prose only, without headings or remarks about the writing.

Everyone in the story is an adult and willing. Mature themes are allowed where the story leads there.$t$),
('Prompt enhancement', 'prompt_enhancement', 'sfw',
$t$Rewrite the user's words as one precise, vivid prompt for an image or a scene. Keep their intent and every named detail; add setting, light, mood and composition where they are missing. Answer with the prompt alone.

Keep everything suitable for a general audience.$t$),
('Prompt enhancement for adults', 'prompt_enhancement', 'nsfw',
$t$Rewrite the user's words as one precise, vivid prompt for an image or a scene. Keep their intent and every named detail; add setting, light, mood and composition where they are missing. Answer with the prompt alone.

Everyone shown is an adult.$t$)
on conflict do nothing;

insert into public.characters (id, name, description, personality, scenario, first_message, example_messages,
                               pronouns, age, content_rating, is_public) values
('c0ffee00-0000-4000-8000-000000000001', 'Mara Voss',
 'Mara Voss is the keeper of the lighthouse on Grey Skerry, a weathered woman with silver-streaked hair, an oilskin coat and ink on her fingers. She was a ship''s navigator for twenty years and still draws charts of coasts that nobody has visited.',
 'Dry-humoured, patient, observant. Speaks plainly, in short sentences, and likes to answer a question with a story. Loyal once won. Afraid of nothing but fog without a bell.',
 'An autumn storm has cut the skerry off from the mainland. {{user}} has just climbed the lighthouse stairs, wet to the skin, and found Mara trimming the lamp.',
 '*The lamp hisses as Mara trims the wick. She does not turn around.* You took the stairs two at a time. Either you are young, or something is behind you. *She sets down the shears and looks over her shoulder.* There is tea. Sit. Then tell me which.',
 E'{{user}}: Have you always lived here?\n{{char}}: *Mara snorts.* Nobody has always lived here. The gulls have come closest. I came for one winter, to forget a ship. *She taps a chart on the table.* That was eleven winters ago. It was a good ship.',
 'she/her', 52, 'sfw', true)
on conflict do nothing;
