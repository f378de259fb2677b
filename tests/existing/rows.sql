-- The rows that requests.json expects, and no others: the numbers of rows there count these.

insert into auth.users (id, email) values
  ('11111111-1111-4111-8111-111111111111', 'person@example.com'),
  ('22222222-2222-4222-8222-222222222222', 'another@example.com'),
  ('33333333-3333-4333-8333-333333333333', 'admin@example.com');

-- A profile can be inserted only while its audit, which always raises, is off.
alter table public.profiles disable trigger audit_profile_access;
insert into public.profiles (id, username) values
  ('11111111-1111-4111-8111-111111111111', 'person'),
  ('22222222-2222-4222-8222-222222222222', 'another'),
  ('33333333-3333-4333-8333-333333333333', 'admin');
alter table public.profiles enable trigger audit_profile_access;

insert into public.user_roles (user_id, role) values
  ('11111111-1111-4111-8111-111111111111', 'basic_user'),
  ('22222222-2222-4222-8222-222222222222', 'basic_user'),
  ('33333333-3333-4333-8333-333333333333', 'basic_user'),
  ('33333333-3333-4333-8333-333333333333', 'admin');

-- The person's own, a public one, a persona (made with the ordinary form, so its role is ai), and a
-- public adult one.
insert into public.characters (id, user_id, name, description, is_public, content_rating, gender, persona) values
  ('aaaaaaaa-0000-4000-8000-000000000001', '11111111-1111-4111-8111-111111111111', 'Mara',
   'A cartographer who draws coasts from memory.', false, 'sfw', 'female', 'Grew up on a lightship.'),
  ('aaaaaaaa-0000-4000-8000-000000000002', '22222222-2222-4222-8222-222222222222', 'Olin',
   'A clockmaker of sixty who talks to his clocks.', true, 'sfw', 'male', null),
  ('aaaaaaaa-0000-4000-8000-000000000003', '11111111-1111-4111-8111-111111111111', 'Robin',
   'A traveller of thirty with a worn coat.', false, 'sfw', 'non-binary', 'Asks more than they tell.'),
  ('aaaaaaaa-0000-4000-8000-000000000004', '22222222-2222-4222-8222-222222222222', 'Vera',
   'The owner of a bar, forty years old.', true, 'nsfw', 'female', null);

insert into public.conversations
  (id, user_id, character_id, conversation_type, title, created_at, updated_at) values
  ('bbbbbbbb-0000-4000-8000-000000000001', '11111111-1111-4111-8111-111111111111',
   'aaaaaaaa-0000-4000-8000-000000000001', 'character_roleplay', 'Roleplay with Mara',
   '2026-03-01 10:00:00+00', '2026-03-01 10:00:00+00'),
  ('bbbbbbbb-0000-4000-8000-000000000002', '22222222-2222-4222-8222-222222222222',
   'aaaaaaaa-0000-4000-8000-000000000002', 'character_roleplay', 'Roleplay with Olin',
   '2026-03-02 10:00:00+00', '2026-03-02 10:00:00+00'),
  ('bbbbbbbb-0000-4000-8000-000000000003', '11111111-1111-4111-8111-111111111111',
   null, 'general', 'New Playground Chat', '2026-03-03 10:00:00+00', '2026-03-03 10:00:00+00');

insert into public.messages (id, conversation_id, sender, content, message_type, created_at) values
  ('cccccccc-0000-4000-8000-000000000001', 'bbbbbbbb-0000-4000-8000-000000000001', 'assistant',
   'Mind the ink, it is still wet.', 'scene_kickoff', '2026-03-01 10:00:00+00'),
  ('cccccccc-0000-4000-8000-000000000002', 'bbbbbbbb-0000-4000-8000-000000000001', 'user',
   'Which coast is this?', 'text', '2026-03-01 10:01:00+00'),
  ('cccccccc-0000-4000-8000-000000000003', 'bbbbbbbb-0000-4000-8000-000000000001', 'assistant',
   'The one I was born on.', 'roleplay_chat', '2026-03-01 10:01:09+00');

-- As the migration of December leaves it: without the name of a key.
insert into public.api_providers (id, name, display_name, base_url) values
  ('dddddddd-0000-4000-8000-000000000001', 'openrouter', 'OpenRouter', 'https://openrouter.ai/api/v1');

do $$ begin
  if exists (select from information_schema.columns where table_name = 'api_models' and column_name = 'task') then
    insert into public.api_models (id, provider_id, model_key, display_name, modality, task, is_default) values
      ('eeeeeeee-0000-4000-8000-000000000001', 'dddddddd-0000-4000-8000-000000000001', 'm/one', 'One',
       'roleplay', 'roleplay', true),
      ('eeeeeeee-0000-4000-8000-000000000002', 'dddddddd-0000-4000-8000-000000000001', 'm/image', 'Image',
       'image', 'generation', true);
  else
    insert into public.api_models
      (id, provider_id, model_key, display_name, modality, tasks, default_for_tasks, is_default) values
      ('eeeeeeee-0000-4000-8000-000000000001', 'dddddddd-0000-4000-8000-000000000001', 'm/one', 'One',
       'chat', '{roleplay}', '{roleplay}', true),
      ('eeeeeeee-0000-4000-8000-000000000002', 'dddddddd-0000-4000-8000-000000000001', 'm/image', 'Image',
       'image', '{t2i}', '{t2i}', true);
  end if;
end $$;

insert into public.prompt_templates (id, enhancer_model, use_case, content_mode, template_name, system_prompt) values
  ('ffffffff-0000-4000-8000-000000000001', 'qwen_instruct', 'character_roleplay', 'nsfw', 'Universal roleplay',
   'You are {{character_name}}. {{character_description}} Your manner: {{character_personality}}. '
   'You are talking with {{user_name}}. {{scene_context}}');

insert into public.system_config (config) values (
  '{"chatWorkerUrl": "https://worker.example.com",
    "workerHealthCache": {
      "chatWorker": {"isHealthy": true, "lastChecked": "2026-03-01T10:00:00.000Z", "responseTimeMs": 140,
                     "healthError": null, "workerUrl": "https://worker.example.com"},
      "wanWorker": {"isHealthy": false, "lastChecked": "2026-03-01T10:00:00.000Z", "responseTimeMs": 0,
                    "healthError": "No URL configured", "workerUrl": ""}},
    "maxConcurrentJobs": 3}');
