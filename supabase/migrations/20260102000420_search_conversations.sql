-- Search in the caller's own conversations, over titles, names and messages. It uses the index of terms
-- with which turns find old messages (20260101000140_search_terms.sql): each term is hashed together with
-- its conversation, so a search goes through the conversations, the newest first, until it has enough.

-- The parts of a query.
--   words   the words in lower case, without accents, for titles and snippets
--   parts   at most four, [["<lexeme>", ...], ...]: a message has one of each. A word has its stem in
--           every language, because messages are stemmed by their own; of scripts without spaces each
--           pair of letters is a part
--   runs    texts of scripts without spaces, which have to occur as they are
create function private.search_query(p_query text, out words text[], out parts jsonb, out runs text[])
language plpgsql stable set search_path = '' as $$
declare
  -- As in private.terms_in.
  c_unspaced constant text := '[\u0E00-\u0EFF\u1000-\u109F\u1780-\u17FF\u3040-\u30FF\u3400-\u9FFF\uAC00-\uD7AF]';
  c_languages constant text[] := '{english,german,french,spanish,portuguese,italian,dutch,swedish,danish,finnish,hungarian,romanian,turkish,russian,greek,arabic,hindi,armenian,tamil}';
  v_query constant text := private.without_katakana(
    replace(private.without_marks(lower(left(p_query, 200))), U&'\200C', ''));
  v_spaced constant text := regexp_replace(v_query, c_unspaced || '+', ' ', 'g');
  v_language constant regconfig := private.text_language(v_query);
  v_said text[];
begin
  runs := array(select distinct r.found[1] from regexp_matches(v_query, c_unspaced || '+', 'g') r (found) limit 4);
  select array_agg(l.lexeme order by l.positions[1]) into v_said
  from unnest(to_tsvector('pg_catalog.simple', v_spaced)) l;
  -- Stop words are in no index of their language.
  words := array(
    select s.word from unnest(v_said) with ordinality s (word, place)
    where to_tsvector(v_language, s.word) <> '' order by s.place limit 8);
  if cardinality(words) = 0 then
    words := coalesce(v_said[:8], '{}');
  end if;
  select coalesce(jsonb_agg(p.lexemes order by p.kind, p.place), '[]') into parts
  from (
    select o.* from (
      select 1 as kind, w.place, (
          select jsonb_agg(distinct l.lexeme)
          from unnest(c_languages) language,
               -- With the usual letters for full-width and fancy ones, as in the index.
               unnest(private.lexemes(('pg_catalog.' || language)::regconfig, normalize(w.word, nfkc))) l (lexeme)
        ) as lexemes
      from unnest(words) with ordinality w (word, place)
      union all
      select 2, r.place * 1000 + n, jsonb_build_array(substr(r.run, n::integer, 2))
      from unnest(runs) with ordinality r (run, place), generate_series(1, char_length(r.run) - 1) n) o
    where o.lexemes is not null
    order by o.kind, o.place limit 4) p;
  words := array(select private.without_accents(w) from unnest(words) w) || runs;
end $$;

-- A pattern that finds any of these texts as private.without_accents leaves them, with accents too. No text has a line
-- break.
create function private.any_of(p_texts text[]) returns text
language sql immutable set search_path = '' as $$
  select string_agg(case
    when l.letter = E'\n' then '|'
    when l.letter !~ '\w' then '\' || l.letter
    when l.letter = 'ß' then '(?:ss|ß)'
    when l.letter = 'þ' then '(?:th|þ)'
    when l.letter = 'æ' then '(?:[aàáâãäå][eèéêë]|æ)'
    when l.letter = 'œ' then '(?:[oòóôõö][eèéêë]|œ)'
    else coalesce('[' || l.letter || a.forms || ']', l.letter) end, '' order by l.place)
  from string_to_table(replace(replace(replace(replace(
    array_to_string(p_texts, E'\n'), 'ss', 'ß'), 'th', 'þ'), 'ae', 'æ'), 'oe', 'œ'), null)
    with ordinality l (letter, place)
  left join (
    select private.without_accents(chr(c.code)) as letter, string_agg(chr(c.code), '') as forms
    -- Of the Latin, the Greek and the Cyrillic script.
    from unnest(array[int4range(224, 592), int4range(940, 975), int4range(1072, 1120), int4range(7681, 7930)]) r (codes),
         generate_series(lower(r.codes), upper(r.codes) - 1) c (code)
    where chr(c.code) <> private.without_accents(chr(c.code))
    group by 1) a on a.letter = l.letter
$$;

-- A pattern that finds the words of a search in a text, inflected ones too, in one pass.
create function private.search_pattern(p_words text[], p_parts jsonb, p_runs text[]) returns text
language sql immutable set search_path = '' as $$
  select nullif(concat_ws('|',
    '\m(?:' || private.any_of(array_agg(a.start) filter (where not a.is_run)) || ')\w*',
    string_agg(a.start, '|') filter (where a.is_run)), '')
  from (
    select distinct w.start, false as is_run
    from (
      select unnest(p_words) as start
      union all
      -- An ending may change the last letter of a stem, as in happy and happiness.
      select case when char_length(l.lexeme) > 4 then left(l.lexeme, -1) else l.lexeme end
      from jsonb_array_elements(p_parts) part, jsonb_array_elements_text(part) l (lexeme)) w
    where not exists (select from unnest(p_runs) r where position(w.start in r) > 0)
    union all
    -- Hiragana finds Katakana, too: the same letters in the same order, 96 places later.
    select (
      select string_agg(case when ascii(l.letter) between 12353 and 12438
                             then '[' || l.letter || chr(ascii(l.letter) + 96) || ']' else l.letter end, ''
                        order by l.place)
      from string_to_table(r, null) with ordinality l (letter, place)), true
    from unnest(p_runs) r) a
$$;

-- The place of a text that a pattern finds, about 160 characters of plain text, as pieces:
-- [{"text", "is_match"}].
create function private.snippet(p_content text, p_pattern text) returns jsonb
language plpgsql immutable set search_path = '' as $$
declare
  v_text constant text := regexp_replace(left(p_content, 8000), '[[:cntrl:][:space:]]+', ' ', 'g');
  v_start constant integer := coalesce(nullif(regexp_instr(v_text, p_pattern, 1, 1, 0, 'i'), 0), 1);
  v_from constant integer := greatest(1, v_start - 50);
  v_cut constant text := case when v_from > 1 then '…' else '' end || substr(v_text, v_from, 160)
    || case when char_length(v_text) >= v_from + 160 then '…' else '' end;
  v_between constant text[] := regexp_split_to_array(v_cut, p_pattern, 'i');
  v_matches constant text[] := array(
    select m.found[1] from regexp_matches(v_cut, '(' || p_pattern || ')', 'gi') with ordinality m (found, place)
    order by m.place);
begin
  return (
    select jsonb_agg(jsonb_build_object('text', piece.text, 'is_match', piece.is_match) order by piece.place)
    from (
      select b.text, false as is_match, 2 * b.place as place from unnest(v_between) with ordinality b (text, place)
      union all
      select m.text, true, 2 * m.place + 1 from unnest(v_matches) with ordinality m (text, place)) piece
    where piece.text <> '');
end $$;

-- The newest messages of one conversation that have all the parts of a search, at most p_most of them. If a
-- conversation has them everywhere, it reads 300.
create function private.search_messages(p_conversation_id uuid, p_parts jsonb, p_runs text[], p_most integer)
returns table (id uuid, "position" bigint, sender text, content text, said_at timestamptz)
language plpgsql stable set search_path = ''
set plan_cache_mode = force_generic_plan set enable_bitmapscan = on set enable_seqscan = off as $$
declare
  v_first constant bigint[] := private.terms_of_part(p_parts -> 0, p_conversation_id);
  -- A duplicate part costs nothing.
  v_second constant bigint[] := coalesce(private.terms_of_part(p_parts -> 1, p_conversation_id), v_first);
  v_third constant bigint[] := coalesce(private.terms_of_part(p_parts -> 2, p_conversation_id), v_first);
  v_fourth constant bigint[] := coalesce(private.terms_of_part(p_parts -> 3, p_conversation_id), v_first);
begin
  return query
    select f.id, f.position, f.sender, f.content, f.created_at
    from (
      select m.id, m.position, m.sender, m.content, m.created_at, m.is_speech, m.conversation_id
      from shared.messages m
      where private.search_terms(m.conversation_id, m.position, m.content) && v_first
        and private.search_terms(m.conversation_id, m.position, m.content) && v_second
        and private.search_terms(m.conversation_id, m.position, m.content) && v_third
        and private.search_terms(m.conversation_id, m.position, m.content) && v_fourth
        and m.is_active
      limit 300) f
    where f.is_speech and f.conversation_id = p_conversation_id
      and not exists (
        select from unnest(p_runs) r
        where position(r in private.without_katakana(private.without_marks(lower(f.content)))) = 0)
    order by f.position desc limit p_most;
end $$;

-- A part of a search as terms of a conversation, or null.
create function private.terms_of_part(p_lexemes jsonb, p_conversation_id uuid) returns bigint[]
language sql immutable set search_path = '' as $$
  select private.hashed_lexemes(p_conversation_id, array_agg(l)) from jsonb_array_elements_text(p_lexemes) l
$$;

-- The matches of a query in the caller's conversations, the newest conversation first: {"results": [{"conversation_id",
-- "title", "character_id", "character_name", "message_id", "position", "sender", "said_at", "snippet"}], "next"}. A
-- message has all words of the query; each conversation has at most its newest five. Where its title or its character's
-- name has them, there is a result without a message. snippet is plain text in pieces: [{"text", "is_match"}]. Neither
-- deleted conversations nor versions that are not shown are found.
--
-- A call looks at 500 conversations at most and returns 50 results at most; `next` is p_before for those
-- after them, or null.
create function public.search_conversations(
  p_query text, p_limit integer default 20, p_before jsonb default null) returns json
language plpgsql stable security definer set search_path = '' as $$
declare
  c_most_conversations constant integer := 500;
  v_user_id constant uuid := private.active_caller();
  v_limit constant integer := least(greatest(coalesce(p_limit, 20), 1), 50);
  v_query record;
  v_pattern text;
  v_conversation record;
  v_hits jsonb;
  v_results jsonb := '[]';
  v_seen integer := 0;
  v_next jsonb;
begin
  select * into v_query from private.search_query(p_query);
  v_pattern := private.search_pattern(v_query.words, v_query.parts, v_query.runs);
  if v_pattern is null then
    return json_build_object('results', '[]'::json, 'next', null);
  end if;
  for v_conversation in
    select c.id, c.updated_at, c.title as given, c.character_id, e.title as own, names.name
    from shared.conversations c
    left join public.conversation_entries e on e.conversation_id = c.id
    left join lateral (select o.name from public.companions o
                       where o.conversation_id = c.id and o.character_id = c.character_id limit 1) names on true
    where c.user_id = v_user_id
      and c.updated_at <= coalesce((p_before ->> 'updated_at')::timestamptz, 'infinity')
      and (p_before is null
           or (c.updated_at, c.id) < ((p_before ->> 'updated_at')::timestamptz, (p_before ->> 'id')::uuid))
      and not coalesce(private.stays_deleted(c.id, e.deleted_at), false)
    order by c.updated_at desc, c.id desc limit c_most_conversations + 1
  loop
    if jsonb_array_length(v_results) >= v_limit or v_seen = c_most_conversations then
      v_next := v_next || '{"is_reached": true}';
      exit;
    end if;
    v_seen := v_seen + 1;
    v_next := jsonb_build_object('updated_at', v_conversation.updated_at, 'id', v_conversation.id);
    select coalesce(jsonb_agg(h.hit order by h.place), '[]') into v_hits
    from (
      select 0 as place, jsonb_build_object('message_id', null, 'position', null, 'sender', null, 'said_at', null,
                                            'snippet', null) as hit
      where not exists (
        select from unnest(v_query.words) w
        where position(w in private.without_katakana(private.without_accents(lower(concat_ws(
          ' ', v_conversation.own, shared.given_title(v_conversation.given), v_conversation.name))))) = 0)
      union all
      select row_number() over (order by m.position desc), jsonb_build_object(
        'message_id', m.id, 'position', m.position, 'sender', m.sender, 'said_at', m.said_at,
        'snippet', private.snippet(m.content, v_pattern))
      from private.search_messages(v_conversation.id, v_query.parts, v_query.runs, 5) m
      where v_query.parts <> '[]') h;
    if v_hits <> '[]' then
      v_results := v_results || (
        select jsonb_agg(jsonb_build_object(
          'conversation_id', v_conversation.id, 'character_id', v_conversation.character_id,
          'character_name', v_conversation.name,
          'title', private.conversation_title(v_conversation.id, v_conversation.own, v_conversation.given)) || h.hit
          order by h.place)
        from jsonb_array_elements(v_hits) with ordinality h (hit, place));
    end if;
  end loop;
  return json_build_object('results', v_results,
                           'next', case when v_next ? 'is_reached' then v_next - 'is_reached' end);
end $$;

revoke execute on function private.search_query(text), private.any_of(text[]),
  private.search_pattern(text[], jsonb, text[]),
  private.snippet(text, text), private.terms_of_part(jsonb, uuid),
  private.search_messages(uuid, jsonb, text[], integer), public.search_conversations(text, integer, jsonb)
  from public, anon, authenticated, service_role;
grant execute on function public.search_conversations(text, integer, jsonb) to authenticated;
