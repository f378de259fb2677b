-- Every other kind of row that their tables allow or hold; on top of rows.sql.

-- People -------------------------------------------------------------------------------------

insert into auth.users (id, email) values
  ('44444444-4444-4444-8444-444444444444', 'without.profile@example.com'),
  ('55555555-5555-4555-8555-555555555555', 'verified@example.com'),
  ('66666666-6666-4666-8666-666666666666', 'nulls@example.com'),
  ('77777777-7777-4777-8777-777777777777', 'without.role@example.com');

alter table public.profiles disable trigger user;
insert into public.profiles
  (id, username, subscription_status, token_balance, created_at, updated_at, age_verified, birth_date, age_verification_date)
values
  -- From before the check broke.
  ('55555555-5555-4555-8555-555555555555', 'verified', 'pro', 900, '2025-08-01', '2025-08-01', true, '1980-05-05', '2025-08-01'),
  ('66666666-6666-4666-8666-666666666666', null, null, null, null, null, null, null, null),
  ('77777777-7777-4777-8777-777777777777', 'without.role', 'creator', -5, '2025-09-01', '2025-09-01', false, null, null);
alter table public.profiles enable trigger user;

insert into public.user_roles (user_id, role, created_at) values
  ('44444444-4444-4444-8444-444444444444', 'basic_user', null),
  ('55555555-5555-4555-8555-555555555555', 'premium_user', now()),
  ('55555555-5555-4555-8555-555555555555', 'moderator', now()),
  ('66666666-6666-4666-8666-666666666666', 'guest', now());

-- Characters ---------------------------------------------------------------------------------

-- House characters: nobody's. The third only admins can read.
insert into public.characters
  (id, user_id, name, description, traits, is_public, content_rating, gender, role, voice_tone, mood, persona,
   base_prompt, system_prompt, voice_examples, forbidden_phrases, scene_behavior_rules, appearance_tags) values
  ('aaaaaaaa-0000-4000-8000-000000000011', null, 'Captain Ilse', 'Sails a ferry that has no harbour. Fifty-two years old.',
   'dry, patient', true, 'sfw', 'female', 'ai', 'low and slow', 'watchful', 'Lost a ship once.',
   'Bring everybody across.', 'Answer in two sentences.', array['Tide waits.', '', null, 'Hold the rail.'],
   array['as an AI', ''], '{"pace": "slow", "rules": ["no maps", 7, null]}', array['grey coat', 'scar']),
  ('aaaaaaaa-0000-4000-8000-000000000012', null, 'Marquise', 'A widow of forty-five who collects letters.',
   null, true, 'nsfw', 'female', 'ai', null, null, null, null, null, null, null, null, null),
  ('aaaaaaaa-0000-4000-8000-000000000013', null, 'Draft', '', '', false, 'sfw', 'unspecified', 'narrator',
   '', '', '', '', '', '{}', '{}', '[]', '{}'),
  -- A persona by its role, and one whom the person may not see.
  ('aaaaaaaa-0000-4000-8000-000000000014', '11111111-1111-4111-8111-111111111111', 'Jo', 'A tall visitor.', 'curious',
   false, 'nsfw', 'male', 'user', null, null, 'Looks for a lost brother.', null, null, null, null, null, array['tall']),
  ('aaaaaaaa-0000-4000-8000-000000000015', '22222222-2222-4222-8222-222222222222', 'Hidden', 'Nobody else sees me.', null,
   false, 'sfw', 'non-binary', 'ai', null, null, null, null, null, null, null, '"a text"', null),
  -- What the hard limit refuses.
  ('aaaaaaaa-0000-4000-8000-000000000016', '22222222-2222-4222-8222-222222222222', 'Pupil', 'Aged 16.', null,
   true, 'nsfw', 'unspecified', 'ai', null, null, null, null, null, null, null, null, null),
  -- Longer than our limits.
  ('aaaaaaaa-0000-4000-8000-000000000017', '55555555-5555-4555-8555-555555555555', repeat('Long name ', 30),
   repeat('She counts the stairs of the tower. ', 1000), repeat('patient, ', 4000), true, 'nsfw', 'female', 'ai',
   null, repeat('calm ', 8), repeat('Born by the sea. ', 2000), repeat('Reach the roof. ', 2000), repeat('Count aloud. ', 2000),
   array[repeat('One more step. ', 2000)], null, null, null),
  -- Placeholders of theirs and of ours where an author wrote them.
  ('aaaaaaaa-0000-4000-8000-000000000018', '66666666-6666-4666-8666-666666666666', 'Echo {{mood}}',
   '{{character_name}} repeats what {{user_name}} says. {{char}} and {{user}} as well.', '{{character_quirks}}',
   true, 'sfw', 'non-binary', 'ai', '{{voice_tone}}', 'playful', '{{character_background}}', '{{unknown_word}}',
   'Speak of {{character_pronoun_they}} and {{user_pronoun_their}}.', array['{{char}}: Hello, {{user}}!'], null, null, null);
-- Null in all that may be null.
insert into public.characters (
  id, user_id, name, description, created_at, updated_at, likes_count, interaction_count, is_public, gender, role)
values ('aaaaaaaa-0000-4000-8000-000000000019', '66666666-6666-4666-8666-666666666666', '', '',
        null, null, null, null, null, null, null);
update public.characters set creator_id = '55555555-5555-4555-8555-555555555555', likes_count = 12, interaction_count = 80
where id = 'aaaaaaaa-0000-4000-8000-000000000002';

alter table public.profiles disable trigger user;
update public.profiles set default_user_character_id = 'aaaaaaaa-0000-4000-8000-000000000014'
where id = '11111111-1111-4111-8111-111111111111';
alter table public.profiles enable trigger user;

-- Conversations and messages -----------------------------------------------------------------

insert into public.projects (id, user_id, title) values
  ('90000000-0000-4000-8000-000000000001', '11111111-1111-4111-8111-111111111111', 'Coast');

insert into public.conversations
  (id, user_id, project_id, title, conversation_type, status, character_id, user_character_id, memory_tier, memory_data,
   created_at, updated_at) values
  ('bbbbbbbb-0000-4000-8000-000000000011', '11111111-1111-4111-8111-111111111111', null, 'A scene with Ilse', 'scene_roleplay',
   'active', 'aaaaaaaa-0000-4000-8000-000000000011', 'aaaaaaaa-0000-4000-8000-000000000014', 'character',
   '{"scene_id": "95000000-0000-4000-8000-000000000001", "scene_name": "The night ferry", "user_role": "passenger",
     "user_character_id": "aaaaaaaa-0000-4000-8000-000000000014"}', '2026-01-05', '2026-01-05'),
  -- key_facts as a hand wrote them; not all of them are texts, and some have nothing to see.
  ('bbbbbbbb-0000-4000-8000-000000000012', '11111111-1111-4111-8111-111111111111', null, '', 'character_roleplay', 'archived',
   'aaaaaaaa-0000-4000-8000-000000000001', null, 'profile',
   '{"key_facts": ["Robin owes Mara a compass.", "", " \n\t", "\u200b\u00a0", 7, null, {"a": 1},
     "Robin owes Mara a compass.\n"]}', '2026-01-06', '2026-01-06'),
  ('bbbbbbbb-0000-4000-8000-000000000013', '55555555-5555-4555-8555-555555555555', null, repeat('A long title ', 50),
   'character_roleplay', 'active', 'aaaaaaaa-0000-4000-8000-000000000012', null, null,
   '{"key_facts": "not a list"}', '2026-01-07', '2026-01-07'),
  -- Null where null is allowed, and of a person without profile.
  ('bbbbbbbb-0000-4000-8000-000000000014', '44444444-4444-4444-8444-444444444444', null, 'No profile', 'character_roleplay',
   'active', 'aaaaaaaa-0000-4000-8000-000000000002', null, null, null, '2026-01-08', '2026-01-08'),
  -- Of nobody who is in auth.users.
  ('bbbbbbbb-0000-4000-8000-000000000015', '99999999-9999-4999-8999-999999999999', null, 'Nobody', 'character_roleplay', 'active',
   'aaaaaaaa-0000-4000-8000-000000000002', null, 'conversation', '[]', '2026-01-09', '2026-01-09'),
  -- With a character that its person may not see, as an update allows.
  ('bbbbbbbb-0000-4000-8000-000000000016', '11111111-1111-4111-8111-111111111111', null, 'Pointed elsewhere', 'character_roleplay',
   'active', 'aaaaaaaa-0000-4000-8000-000000000015', null, 'conversation', '{}', '2026-01-10', '2026-01-10'),
  ('bbbbbbbb-0000-4000-8000-000000000017', '55555555-5555-4555-8555-555555555555', null, 'Refused', 'character_roleplay', 'active',
   'aaaaaaaa-0000-4000-8000-000000000016', null, 'conversation', '{}', '2026-01-11', '2026-01-11'),
  ('bbbbbbbb-0000-4000-8000-000000000018', '66666666-6666-4666-8666-666666666666', null, 'Long', 'roleplay', 'active',
   'aaaaaaaa-0000-4000-8000-000000000017', 'aaaaaaaa-0000-4000-8000-000000000019', 'conversation', 'null', '2026-01-12', '2026-01-12'),
  ('bbbbbbbb-0000-4000-8000-000000000019', '33333333-3333-4333-8333-333333333333', null, 'Admin', 'admin', 'active',
   null, null, 'conversation', '{}', '2026-01-13', '2026-01-13'),
  ('bbbbbbbb-0000-4000-8000-000000000020', '22222222-2222-4222-8222-222222222222', null, 'Ideas', 'creative', 'deleted',
   null, null, 'conversation', '{}', '2026-01-14', '2026-01-14'),
  ('bbbbbbbb-0000-4000-8000-000000000021', '11111111-1111-4111-8111-111111111111', '90000000-0000-4000-8000-000000000001', 'Plot',
   'story_development', 'active', null, null, 'conversation', '{"scene_id": null}', '2026-01-15', '2026-01-15');

insert into public.messages (id, conversation_id, sender, content, message_type, created_at) values
  -- One time for four rows: a person's message comes before the reply to it, else the id decides.
  ('cccccccc-0000-4000-8000-000000000011', 'bbbbbbbb-0000-4000-8000-000000000011', 'assistant', 'All aboard.', 'scene_kickoff', '2026-01-05 20:00+00'),
  ('cccccccc-0000-4000-8000-000000000015', 'bbbbbbbb-0000-4000-8000-000000000011', 'user', 'Where to?', 'text', '2026-01-05 20:01+00'),
  ('cccccccc-0000-4000-8000-000000000012', 'bbbbbbbb-0000-4000-8000-000000000011', 'assistant', 'Across.', 'roleplay_chat', '2026-01-05 20:01+00'),
  ('cccccccc-0000-4000-8000-000000000014', 'bbbbbbbb-0000-4000-8000-000000000011', 'user', 'Across what?', 'text', '2026-01-05 20:01+00'),
  ('cccccccc-0000-4000-8000-000000000013', 'bbbbbbbb-0000-4000-8000-000000000011', 'assistant', 'The dark.', 'roleplay_chat', '2026-01-05 20:01+00'),
  -- The reply to an image call: not to be told from a real one, and nobody's message before it.
  ('cccccccc-0000-4000-8000-000000000016', 'bbbbbbbb-0000-4000-8000-000000000011', 'assistant',
   'The lanterns swing over black water while the captain turns the wheel.', 'roleplay_chat', '2026-01-05 20:02+00'),
  -- Twice the same, unanswered; and what is not speech.
  ('cccccccc-0000-4000-8000-000000000017', 'bbbbbbbb-0000-4000-8000-000000000012', 'user', 'Hello?', 'text', '2026-01-06 08:00+00'),
  ('cccccccc-0000-4000-8000-000000000018', 'bbbbbbbb-0000-4000-8000-000000000012', 'user', 'Hello?', 'text', '2026-01-06 08:00:01+00'),
  ('cccccccc-0000-4000-8000-000000000019', 'bbbbbbbb-0000-4000-8000-000000000012', 'assistant', 'https://images.example.com/1.png', 'image', '2026-01-06 08:00:02+00'),
  ('cccccccc-0000-4000-8000-000000000020', 'bbbbbbbb-0000-4000-8000-000000000012', 'assistant', 'Conversation archived.', 'system', '2026-01-06 08:00:03+00'),
  ('cccccccc-0000-4000-8000-000000000021', 'bbbbbbbb-0000-4000-8000-000000000012', 'user', '', 'text', '2026-01-06 08:00:04+00'),
  ('cccccccc-0000-4000-8000-000000000022', 'bbbbbbbb-0000-4000-8000-000000000012', 'assistant', E' \n ', 'roleplay_chat', '2026-01-06 08:00:05+00'),
  ('cccccccc-0000-4000-8000-000000000023', 'bbbbbbbb-0000-4000-8000-000000000013', 'user', E'  Good evening.\n', 'text', '2026-01-07 20:00+00'),
  ('cccccccc-0000-4000-8000-000000000024', 'bbbbbbbb-0000-4000-8000-000000000014', 'user', 'What time is it?', 'text', '2026-01-08 09:00+00'),
  ('cccccccc-0000-4000-8000-000000000025', 'bbbbbbbb-0000-4000-8000-000000000014', 'assistant', 'Which of them do you ask?', 'roleplay_chat', '2026-01-08 09:00:07+00'),
  ('cccccccc-0000-4000-8000-000000000026', 'bbbbbbbb-0000-4000-8000-000000000015', 'user', 'Is anybody there?', 'text', '2026-01-09 09:00+00'),
  ('cccccccc-0000-4000-8000-000000000027', 'bbbbbbbb-0000-4000-8000-000000000017', 'user', 'Hello.', 'text', '2026-01-11 09:00+00'),
  ('cccccccc-0000-4000-8000-000000000028', 'bbbbbbbb-0000-4000-8000-000000000018', 'user', repeat('How many stairs are left? ', 1000), 'text', '2026-01-12 09:00+00'),
  ('cccccccc-0000-4000-8000-000000000029', 'bbbbbbbb-0000-4000-8000-000000000018', 'assistant', repeat('One more. ', 4000), 'roleplay_chat', '2026-01-12 09:01+00'),
  -- Both senders of the playground are texts.
  ('cccccccc-0000-4000-8000-000000000030', 'bbbbbbbb-0000-4000-8000-000000000020', 'user', 'A title?', 'text', '2026-01-14 09:00+00'),
  ('cccccccc-0000-4000-8000-000000000031', 'bbbbbbbb-0000-4000-8000-000000000020', 'assistant', 'Low Water.', 'text', '2026-01-14 09:00:03+00');

-- Longer than a first prompt holds.
insert into public.messages (id, conversation_id, sender, content, message_type, created_at)
select ('cccccccc-0000-4000-8000-0000001' || lpad(n::text, 5, '0'))::uuid, 'bbbbbbbb-0000-4000-8000-000000000016',
       case when n % 2 = 1 then 'user' else 'assistant' end,
       case when n % 2 = 1 then 'And then?' else 'Then came mile ' || n || ', and the road went on between the fields as before.' end,
       case when n % 2 = 1 then 'text' else 'roleplay_chat' end, timestamptz '2026-01-10' + n * interval '1 minute'
from generate_series(1, 240) n;

-- The trigger on messages has set now().
update public.conversations set updated_at = created_at where id::text > 'bbbbbbbb-0000-4000-8000-000000000010';

-- Providers and models -----------------------------------------------------------------------

insert into public.api_providers (id, name, display_name, base_url, auth_scheme, auth_header_name, secret_name, is_active) values
  ('dddddddd-0000-4000-8000-000000000002', 'replicate', 'Replicate', 'https://images.example.com/v1', 'bearer', 'Authorization', 'REPLICATE_API_TOKEN', true),
  ('dddddddd-0000-4000-8000-000000000003', 'fal', 'fal', null, 'key', 'Authorization', 'FAL_KEY', true),
  ('dddddddd-0000-4000-8000-000000000004', 'other', 'Other', null, 'bearer', null, null, true),
  ('dddddddd-0000-4000-8000-000000000005', 'closed', 'Closed', 'https://closed.example.com', 'bearer', 'Authorization', 'CLOSED_API_KEY', false);

do $$ begin
  if exists (select from information_schema.columns where table_name = 'api_models' and column_name = 'task') then
    insert into public.api_models (provider_id, model_key, display_name, modality, task, is_active, is_default, priority, capabilities, input_defaults, pricing) values
      -- A default of each pair, so several for who asks by modality alone.
      ('dddddddd-0000-4000-8000-000000000001', 'm/two', 'Two', 'roleplay', 'chat', true, true, 1, '{"nsfw": true, "speed": "fast"}', '{"temperature": 0.9, "max_tokens": 300}', '{}'),
      ('dddddddd-0000-4000-8000-000000000001', 'm/three:free', 'Three', 'roleplay', 'roleplay', true, false, 1, '{}', '{}', '{}'),
      ('dddddddd-0000-4000-8000-000000000001', 'm/four', 'Four', 'chat', 'roleplay', true, true, 5, '{"nsfw_optimized": true}', '{}', '{}'),
      ('dddddddd-0000-4000-8000-000000000001', 'm/five', 'Five', 'chat', 'chat', true, true, 0, '{}', '{}', '{}'),
      ('dddddddd-0000-4000-8000-000000000001', 'm/six', 'Six', 'chat', 'enhancement', true, true, 0, '{}', '{}', '{}'),
      ('dddddddd-0000-4000-8000-000000000001', 'm/moderation', 'Moderation', 'chat', 'moderation', true, false, 0, '{}', '{}', '{}'),
      ('dddddddd-0000-4000-8000-000000000001', 'm/off', 'Off', 'roleplay', 'roleplay', false, false, 0, '{}', '{}', '{}'),
      ('dddddddd-0000-4000-8000-000000000004', 'm/elsewhere', 'Elsewhere', 'roleplay', 'roleplay', true, false, 9, '{}', '{}', '{}'),
      ('dddddddd-0000-4000-8000-000000000005', 'm/closed', 'Closed', 'roleplay', 'roleplay', true, false, 9, '{}', '{}', '{}'),
      -- No objects.
      ('dddddddd-0000-4000-8000-000000000001', 'm/odd', 'Odd', 'roleplay', 'roleplay', true, false, 9, '[]', '"text"', 'null'),
      ('dddddddd-0000-4000-8000-000000000002', 'm/style', 'Style', 'image', 'style_transfer', true, false, 0, '{"max_images": 2}', '{}', '{"per_image": 0.04, "currency": "USD", "billing_unit": "image"}'),
      ('dddddddd-0000-4000-8000-000000000003', 'm/vectors', 'Vectors', 'embedding', 'embedding', true, false, 0, '{}', '{}', '{"per_generation": 0.01}');
  else
    insert into public.api_models (provider_id, model_key, display_name, modality, tasks, default_for_tasks, is_active, is_default, priority, capabilities, input_defaults, pricing) values
      -- Several defaults of both sorts: rows.sql has one of priority 0.
      ('dddddddd-0000-4000-8000-000000000001', 'm/two', 'Two', 'chat', '{roleplay,reasoning}', '{roleplay}', true, true, 0, '{"nsfw": true, "speed": "fast"}', '{"temperature": 0.9, "max_tokens": 300}', '{}'),
      ('dddddddd-0000-4000-8000-000000000001', 'm/three:free', 'Three', 'chat', '{roleplay}', '{}', true, true, -1, '{}', '{}', '{}'),
      ('dddddddd-0000-4000-8000-000000000001', 'm/four', 'Four', 'chat', '{reasoning,roleplay,enhancement}', '{reasoning}', true, false, 5, '{"nsfw_optimized": true}', '{}', '{}'),
      ('dddddddd-0000-4000-8000-000000000001', 'm/six', 'Six', 'chat', '{enhancement}', '{enhancement}', true, true, 0, '{}', '{}', '{}'),
      ('dddddddd-0000-4000-8000-000000000001', 'm/vision', 'Vision', 'chat', '{vision}', '{}', true, false, 0, '{}', '{}', '{}'),
      ('dddddddd-0000-4000-8000-000000000001', 'm/off', 'Off', 'chat', '{roleplay}', '{roleplay}', false, true, 0, '{}', '{}', '{}'),
      ('dddddddd-0000-4000-8000-000000000004', 'm/elsewhere', 'Elsewhere', 'chat', '{roleplay}', '{}', true, false, 9, '{}', '{}', '{}'),
      ('dddddddd-0000-4000-8000-000000000005', 'm/closed', 'Closed', 'chat', '{roleplay}', '{}', true, false, 9, '{}', '{}', '{}'),
      -- No objects.
      ('dddddddd-0000-4000-8000-000000000001', 'm/odd', 'Odd', 'chat', '{roleplay}', '{}', true, false, 9, '[]', '"text"', 'null'),
      ('dddddddd-0000-4000-8000-000000000002', 'm/style', 'Style', 'image', '{i2i,i2i_multi}', '{i2i}', true, true, 0, '{"max_images": 2}', '{}', '{"per_image": 0.04, "currency": "USD", "billing_unit": "image"}'),
      ('dddddddd-0000-4000-8000-000000000003', 'm/video', 'Video', 'video', '{t2v,i2v,extend}', '{}', true, false, 0, '{}', '{}', '{"cost_per_use": 0.2}');
  end if;
end $$;

-- Templates ----------------------------------------------------------------------------------

insert into public.prompt_templates
  (enhancer_model, use_case, content_mode, template_name, system_prompt, is_active, version, job_type, target_model, metadata, token_limit) values
  -- Every placeholder of theirs.
  ('', 'character_roleplay', 'nsfw', 'All words',
   '{{character_name}} {{character_description}} {{character_personality}} {{character_background}} {{character_speaking_style}} '
   '{{voice_tone}} {{character_goals}} {{character_quirks}} {{character_relationships}} {{character_visual_description}} {{mood}} '
   '{{scene_context}} {{voice_examples}} {{character_pronoun_they}} {{character_pronoun_them}} {{character_pronoun_their}} '
   '{{user_name}} {{user_gender}} {{user_appearance}} {{user_persona}} {{user_pronoun_they}} {{user_pronoun_them}} {{user_pronoun_their}}',
   true, 1, 'roleplay', 'm/one', '{}', 512),
  -- Two for one model: to who asks for a single row, none.
  ('m/two', 'character_roleplay', 'nsfw', 'Two, first', 'You are {{character_name}}.', true, 1, 'roleplay', 'm/two', '{}', 512),
  ('m/two', 'character_roleplay', 'nsfw', 'Two, second', 'You play {{character_name}}.', true, 2, null, 'm/two', '{}', 512),
  -- The only sfw one is off.
  ('qwen_instruct', 'character_roleplay', 'sfw', 'Universal, sfw', 'You are {{character_name}}. Stay polite.', false, 1, 'roleplay', null, '{}', 512),
  ('qwen_instruct', 'character_roleplay', 'sfw', 'Nulls', 'You are {{character_name}}.', null, null, null, 'm/four', null, null),
  ('m/four', 'character_roleplay', 'nsfw', 'Empty', '', true, 1, 'roleplay', 'm/four', '{}', 0),
  ('m/odd', 'character_roleplay', 'nsfw', 'Long', repeat('Stay in the scene. ', 3000), true, 1, 'roleplay', 'm/odd', '{}', 512),
  ('qwen_base', 'enhancement', 'nsfw', 'Enhance', 'Describe it better.', true, 1, 'image', 'sdxl', '{}', 512),
  ('gpt-4o-mini', 'scene_generation', 'nsfw', 'Scene', 'Describe the scene.', true, 1, null, null, '{}', 512),
  ('', 'canon_position', 'sfw', 'Position', 'front', true, 1, null, null, '{"negative": "blurred"}', 512);

-- Settings: all that was ever written, health records with and without an address. -----------

update public.system_config set config = config || '{
  "chatWorkerRegistrationInfo": {"auto_registered": true, "last_health_check": "2026-03-01T09:58:00.000Z",
                                 "health_status": "healthy", "last_updated": "2026-03-01T09:58:00.000Z", "response_time_ms": 140},
  "chatWorkerUrlUpdatedAt": "2026-03-01T09:58:00.000Z",
  "workerUrl": "https://video.example.com", "worker_url": "https://video.example.com", "workerUrlUpdatedAt": "2026-02-01T00:00:00.000Z",
  "autoRegistered": true, "auto_registered": true, "registrationMethod": "startup", "registration_method": "startup",
  "detectionMethod": "environment", "detection_method": "environment", "lastRegistrationAttempt": "2026-02-01T00:00:00.000Z",
  "last_health_check": "2026-02-01T00:00:00.000Z", "worker_status": "ready",
  "wanWorkerUrl": "https://video.example.com", "sdxlWorkerUrl": "",
  "workerHealthCache": {
    "chatWorker": {"isHealthy": true, "lastChecked": "2026-03-01T10:00:00.000Z", "responseTimeMs": 140,
                   "healthError": null, "workerUrl": "https://worker.example.com"},
    "wanWorker": {"isHealthy": true, "lastChecked": "2026-02-01T00:00:00.000Z", "responseTimeMs": 90},
    "sdxlWorker": {"isHealthy": false, "lastChecked": "2026-02-01T00:00:00.000Z", "responseTimeMs": 0, "healthError": "timeout"}},
  "lastHealthCheck": "2026-03-01T10:00:00.000Z",
  "promptCache": {"templates": {}, "refreshedAt": "2026-02-20T00:00:00.000Z"},
  "discordWebhookUrl": "", "enableLocalModelHealthCheck": false, "promptScoring": {"enabled": false}}';

-- Scenes and jobs ----------------------------------------------------------------------------

insert into public.jobs (id, user_id, status) values
  ('96000000-0000-4000-8000-000000000001', '11111111-1111-4111-8111-111111111111', 'completed');
insert into public.character_scenes
  (id, character_id, conversation_id, scene_prompt, image_url, job_id, generation_metadata, created_at, updated_at, scene_starters) values
  ('95000000-0000-4000-8000-000000000001', 'aaaaaaaa-0000-4000-8000-000000000011', 'bbbbbbbb-0000-4000-8000-000000000011',
   'A ferry at night, lanterns, rain.', 'https://images.example.com/2.png', '96000000-0000-4000-8000-000000000001',
   '{"setting": "the ferry", "seed": 7}', now(), now(), array['The rope is loose.', 'Somebody coughs.']),
  ('95000000-0000-4000-8000-000000000002', null, null, '', null, null, null, null, null, null),
  -- Two of one character, longer than our limits, and with a placeholder.
  ('95000000-0000-4000-8000-000000000003', 'aaaaaaaa-0000-4000-8000-000000000017', 'bbbbbbbb-0000-4000-8000-000000000018',
   repeat('The stairs wind up. ', 1000), null, null, '[]', now(), now(), '{}'),
  ('95000000-0000-4000-8000-000000000004', 'aaaaaaaa-0000-4000-8000-000000000017', null,
   '{{character_name}} on the roof.', null, null, '{}', now(), now(), null);

-- What only April has ------------------------------------------------------------------------

do $$ begin
  if to_regclass('public.api_usage_logs') is null then return; end if;

  update public.characters set
    first_message = 'Mind the step.', alternate_greetings = '["You are late.", "", 7, null, ["nested"], "Sit down."]',
    personality_traits = '{"dry": true, "patience": "endless"}', physical_traits = '{"hair": "grey"}',
    clothing_tags = array['coat'], backstory = 'Thirty years on the water.', bio = 'Captain.', tagline = 'Crossings, one way.',
    avoid_traits = array['cheerful'], locked_traits = array['scar'], portrait_count = 3, scene_count = 1, style_preset = 'oil'
  where id = 'aaaaaaaa-0000-4000-8000-000000000011';
  -- traits is null: the object stands in for it.
  update public.characters set personality_traits = '{"humour": "sharp", "warmth": 0.2, "notes": ["proud", "kind"], "none": null}',
    alternate_greetings = '{"0": "no list"}', backstory = 'She kept every letter.'
  where id = 'aaaaaaaa-0000-4000-8000-000000000012';
  update public.characters set first_message = '', alternate_greetings = null, personality_traits = null, physical_traits = null
  where id = 'aaaaaaaa-0000-4000-8000-000000000013';
  update public.characters set alternate_greetings = '"one text"', personality_traits = '["no", "object"]'
  where id = 'aaaaaaaa-0000-4000-8000-000000000015';
  update public.characters set first_message = repeat('A step, and another. ', 2000), alternate_greetings = 'null',
    backstory = repeat('The tower is old. ', 2000)
  where id = 'aaaaaaaa-0000-4000-8000-000000000017';
  update public.characters set first_message = '{{user_name}}? {{user_name}}? *{{character_name}} is {{mood}}.*',
    alternate_greetings = '["{{character_pronoun_they}} waves at {{user}}."]'
  where id = 'aaaaaaaa-0000-4000-8000-000000000018';

  update public.conversations set last_scene_image = 'https://images.example.com/2.png'
  where id = 'bbbbbbbb-0000-4000-8000-000000000011';
  update public.character_scenes set scene_name = 'The night ferry', scene_type = 'generated', generation_mode = 't2i'
  where id = '95000000-0000-4000-8000-000000000001';
  update public.character_scenes set previous_scene_id = '95000000-0000-4000-8000-000000000003'
  where id = '95000000-0000-4000-8000-000000000004';

  insert into public.scenes (name, description, scene_prompt, scene_starters, creator_id, is_public, content_rating, max_words) values
    ('A quiet library', 'Late, and the lamps are low.', 'A library at night.', array['Somebody has left a note.'], null, true, 'sfw', 120),
    ('Mine', '', null, null, '11111111-1111-4111-8111-111111111111', null, null, null);
  insert into public.character_anchors (character_id, image_url) values
    ('aaaaaaaa-0000-4000-8000-000000000001', null), ('aaaaaaaa-0000-4000-8000-000000000001', 'https://images.example.com/3.png');
  insert into public.user_library (user_id) values ('11111111-1111-4111-8111-111111111111');

  insert into public.api_usage_logs (provider_id, model_id, user_id, request_type, tokens_input, tokens_output, tokens_total,
                                     cost_usd, response_status, response_time_ms, error_message) values
    ('dddddddd-0000-4000-8000-000000000001', 'eeeeeeee-0000-4000-8000-000000000001', '11111111-1111-4111-8111-111111111111',
     'chat', 900, 120, 1020, 0.000700, 200, 3100, null),
    ('dddddddd-0000-4000-8000-000000000001', null, null, 'chat', null, null, null, null, 503, 900, 'unavailable'),
    ('dddddddd-0000-4000-8000-000000000002', 'eeeeeeee-0000-4000-8000-000000000002', null, 'image', null, null, null, 0.04, 200, 8000, null);
  perform public.backfill_usage_aggregates();
  insert into public.api_provider_balances (provider_id, balance_usd, sync_status, sync_method) values
    ('dddddddd-0000-4000-8000-000000000001', 12.5, 'success', 'api');
end $$;
