-- Stores an imported lorebook for a user, where it applies to one conversation or persona of theirs, or
-- everywhere.
--
-- Returns {"outcome": "saved", "lorebook_id"}, or unknown_user, banned_user, conversation_not_found,
-- character_not_found, too_many_lorebooks, too_large.
create function public.import_lorebook(
  p_user_id uuid, p_name text, p_content jsonb, p_conversation_id uuid default null, p_persona_id uuid default null
) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  v_blocked jsonb;
  v_id uuid;
begin
  -- One call at a time per user, so that the count is exact.
  perform private.hold_person(p_user_id);
  v_blocked := private.why_account_blocked(p_user_id);
  if v_blocked is not null then
    return v_blocked;
  elsif p_conversation_id is not null and not exists (
    select from shared.conversations c where c.id = p_conversation_id and c.user_id = p_user_id) then
    return jsonb_build_object('outcome', 'conversation_not_found');
  elsif p_persona_id is not null and not exists (
    select from shared.characters ch where ch.id = p_persona_id and ch.user_id = p_user_id) then
    return jsonb_build_object('outcome', 'character_not_found');
  elsif (select count(*) from public.lorebooks b where b.user_id = p_user_id) >= 200 then
    return jsonb_build_object('outcome', 'too_many_lorebooks');
  end if;

  insert into public.lorebooks (user_id, conversation_id, persona_id, name, content)
  values (p_user_id, p_conversation_id, p_persona_id, p_name, p_content)
  returning id into v_id;
  return jsonb_build_object('outcome', 'saved', 'lorebook_id', v_id);
exception when check_violation then
  -- The database writes numbers such as 1e300 with all their digits.
  return jsonb_build_object('outcome', 'too_large');
end $$;
revoke execute on function public.import_lorebook(uuid, text, jsonb, uuid, uuid) from public, anon, authenticated;
grant execute on function public.import_lorebook(uuid, text, jsonb, uuid, uuid) to service_role;
