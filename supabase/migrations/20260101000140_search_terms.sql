-- The terms for finding messages: stems of words, or pairs of letters in scripts without spaces, each
-- hashed together with its conversation. An index of them finds those of one conversation, however
-- many others use the same words, and needs no extension.

-- The configuration of text search for a text: by its script, if that has about as many letters as the Latin
-- one, else by the language that most of its function words belong to, else English. Languages that share
-- function words may be confused; what counts is that similar texts get the same stemmer.
create function private.text_language(p_text text) returns regconfig
language plpgsql immutable strict parallel safe set search_path = '' as $$
declare
  c_languages constant text[] := '{english,german,french,spanish,portuguese,italian,dutch,swedish,danish,finnish,hungarian,romanian,turkish}';
  c_words constant jsonb := '{
    "the": 1, "and": 1, "you": 1, "is": 1, "my": 1, "it": 1, "that": 1, "what": 1, "with": 1, "have": 1,
    "for": 1, "are": 1, "we": 1, "they": 1, "this": 1, "did": 1, "of": 1, "to": 1, "your": 1,
    "der": 2, "das": 2, "und": 2, "ist": 2, "nicht": 2, "ich": 2, "wir": 2, "sie": 2, "ein": 2, "eine": 2,
    "wo": 2, "hat": 2, "ihr": 2, "war": 2, "mit": 2, "auf": 2, "mein": 2, "meine": 2, "dein": 2, "dem": 2, "den": 2, "zu": 2, "wie": 2, "dir": 2,
    "les": 3, "et": 3, "est": 3, "je": 3, "nous": 3, "vous": 3, "elle": 3, "pas": 3, "dans": 3, "mon": 3,
    "ma": 3, "avec": 3, "sur": 3, "du": 3, "au": 3, "une": 3, "où": 3,
    "el": 4, "los": 4, "las": 4, "y": 4, "yo": 4, "nos": 4, "pero": 4, "cuando": 4, "donde": 4, "del": 4,
    "muy": 4, "está": 4, "qué": 4, "dónde": 4, "mi": 4,
    "os": 5, "uma": 5, "não": 5, "com": 5, "minha": 5, "em": 5, "você": 5, "quando": 5, "onde": 5, "foi": 5,
    "gli": 6, "è": 6, "io": 6, "non": 6, "che": 6, "mio": 6, "mia": 6, "di": 6, "della": 6, "sono": 6,
    "dove": 6, "perché": 6, "il": 6,
    "het": 7, "een": 7, "niet": 7, "ik": 7, "wij": 7, "zij": 7, "mijn": 7, "maar": 7, "waar": 7, "hoe": 7,
    "wat": 7, "van": 7,
    "och": 8, "är": 8, "inte": 8, "jag": 8, "vad": 8, "ett": 8, "att": 8, "hur": 8,
    "og": 9, "er": 9, "ikke": 9, "jeg": 9, "hvor": 9, "hva": 9, "hvad": 9, "på": 9,
    "ja": 10, "ei": 10, "minä": 10, "sinä": 10, "että": 10, "mutta": 10, "oli": 10, "missä": 10, "mikä": 10,
    "az": 11, "és": 11, "nem": 11, "én": 11, "hogy": 11, "egy": 11, "volt": 11, "hol": 11,
    "și": 12, "este": 12, "nu": 12, "cu": 12, "unde": 12, "ce": 12, "pe": 12,
    "ve": 13, "bir": 13, "bu": 13, "ben": 13, "sen": 13, "için": 13, "değil": 13, "nerede": 13}'::jsonb;
  -- A letter of another script has one or two bytes more.
  v_is_other constant boolean := octet_length(p_text) > char_length(p_text)
    and octet_length(p_text) - char_length(p_text) >= char_length(regexp_replace(p_text, '[^a-z]', '', 'g'));
  v_language text := case when v_is_other then case
    when p_text ~ '[\u0400-\u04FF]' then 'russian'
    when p_text ~ '[\u0370-\u03FF]' then 'greek'
    when p_text ~ '[\u0600-\u06FF]' then 'arabic'
    when p_text ~ '[\u0900-\u097F]' then 'hindi'
    when p_text ~ '[\u0530-\u058F]' then 'armenian'
    when p_text ~ '[\u0B80-\u0BFF]' then 'tamil' end end;
begin
  if v_language is null then
    select c_languages[(c_words ->> w.word)::integer] into v_language
    from unnest(tsvector_to_array(to_tsvector('pg_catalog.simple', left(p_text, 400)))) w (word)
    where c_words ? w.word
    group by 1 order by count(*) desc, 1 limit 1;
  end if;
  return 'pg_catalog.' || coalesce(v_language, 'english');
end $$;

-- A text without the invisible marks beside and inside words: marks for the writing direction, for possible word
-- breaks, and for how an emoji or a letter is drawn. U+200C, which Persian words need, stays.
create function private.without_marks(p_text text) returns text
language plpgsql immutable strict parallel safe set search_path = '' as $$
declare
  c_marks constant text := '[\u00AD\u034F\u061C\u180B-\u180E\u200B\u200D-\u200F\u202A-\u202E\u2060-\u206F\uFE00-\uFE0F\uFEFF]+';
begin
  return case when octet_length(p_text) > char_length(p_text) and p_text ~ c_marks
              then regexp_replace(p_text, c_marks, '', 'g') else p_text end;
end $$;

-- A text in lower case without accents, because many people leave them out: Zoë and Zoe are the same name, and so are
-- Łukasz and Lukasz. The letters that remain are composed.
create function private.without_accents(p_text text) returns text
language plpgsql immutable strict parallel safe set search_path = '' as $$
declare
  -- In pieces, because the work grows with the square of a run of accents.
  c_piece constant text := '.{1,200}(?:\s|$)|.{1,200}';
  v_text text;
begin
  if octet_length(p_text) = char_length(p_text) then
    return p_text;
  end if;
  v_text := coalesce((
    select string_agg(normalize(regexp_replace(normalize(piece.found[1], nfd), '[\u0300-\u036F]+', '', 'g'), nfc), ''
                      order by piece.number)
    from regexp_matches(p_text, c_piece, 'g') with ordinality piece (found, number)), '');
  -- Letters that have no accent to Unicode.
  if v_text ~ '[ßæœþøłđðıħŧ]' then
    v_text := translate(replace(replace(replace(replace(
      v_text, 'ß', 'ss'), 'æ', 'ae'), 'œ', 'oe'), 'þ', 'th'), 'øłđðıħŧ', 'olddiht');
  end if;
  return v_text;
end $$;

-- A text with Hiragana for Katakana: the same word may be written in both.
create function private.without_katakana(p_text text) returns text
language sql immutable strict parallel safe set search_path = '' as $$
  select translate(
    p_text,
    'ァアィイゥウェエォオカガキギクグケゲコゴサザシジスズセゼソゾタダチヂッツヅテデトドナニ'
    'ヌネノハバパヒビピフブプヘベペホボポマミムメモャヤュユョヨラリルレロヮワヰヱヲンヴヵヶ',
    'ぁあぃいぅうぇえぉおかがきぎくぐけげこごさざしじすずせぜそぞただちぢっつづてでとどなに'
    'ぬねのはばぱひびぴふぶぷへべぺほぼぽまみむめもゃやゅゆょよらりるれろゎわゐゑをんゔゕゖ')
$$;

-- The stems of the words of a text in lower case, without accents. An English word with accents, often a name, has the
-- stem that it has without them; the stemmers of other languages know the endings that have accents. The Russian one
-- leaves a vowel in some cases of names such as Андрей (Андрея), so final vowels and signs are cut from its stems.
create function private.lexemes(p_language regconfig, p_text text) returns text[]
language plpgsql immutable strict parallel safe set search_path = '' as $$
declare
  v_lexemes text[];
  v_lines text;
begin
  if octet_length(p_text) = char_length(p_text) then
    return tsvector_to_array(to_tsvector(p_language, p_text));
  elsif p_language = 'pg_catalog.english'::regconfig then
    return tsvector_to_array(to_tsvector(p_language, private.without_accents(p_text)));
  end if;
  v_lexemes := tsvector_to_array(to_tsvector(p_language, p_text));
  -- No lexeme has a line break.
  v_lines := private.without_accents(array_to_string(v_lexemes, E'\n'));
  if p_language = 'pg_catalog.russian'::regconfig then
    v_lines := regexp_replace(v_lines, '(\w{3})[аеиоуыэюяьъ]+$', '\1', 'gn');
  end if;
  return string_to_array(v_lines, E'\n');
end $$;

-- Lexemes as terms of a conversation. The upper half of a term identifies the conversation, so its terms are adjacent
-- in an index, and adding a message touches a few pages instead of one for each word.
create function private.hashed_lexemes(p_conversation_id uuid, p_lexemes text[]) returns bigint[]
language plpgsql immutable strict parallel safe set search_path = '' as $$
declare
  c_lower_half constant bigint := 4294967295;
  v_seed constant bigint := hashtextextended(p_conversation_id::text, 0);
begin
  return array(
    select (v_seed & ~c_lower_half) | (hashtextextended(l.lexeme, v_seed) & c_lower_half)
    from unnest(p_lexemes) l (lexeme));
end $$;

-- The terms of a text in a conversation, by the stemmer of a language, without accents. Reads the first 8,000
-- characters. Combining accents, and full-width or half-width letters, are read as the usual ones, and Katakana as
-- Hiragana. Pairs of letters come first, the last one in the text before the others. A word with U+200C, which
-- joins two parts in Persian, has the terms of both and of the whole, since some people write it together, and others
-- apart.
create function private.terms_in(p_conversation_id uuid, p_text text, p_language regconfig) returns bigint[]
language plpgsql immutable strict parallel safe set search_path = '' as $$
declare
  -- Thai, Lao, Burmese, Khmer, Kana, Han and Hangul (whose particles are attached to words).
  c_unspaced constant text := '[\u0E00-\u0EFF\u1000-\u109F\u1780-\u17FF\u3040-\u30FF\u3400-\u9FFF\uAC00-\uD7AF]';
  -- A single Chinese character among other text is a word, often a name.
  c_one_sign constant text := '(?<![\u3400-\u9FFF])[\u3400-\u9FFF](?![\u3400-\u9FFF])';
  -- Combining accents, parts of Hangul, and other forms of letters: in circles, full-width, and those of fancy names.
  c_odd constant text := '[\u0300-\u036F\u1100-\u11FF\u2460-\u24FF\u3099\u309A\uF900-\uFFEF\U0001D400-\U0001D7FF]';
  -- Where Postgres reads "end.Next" and "1999.Next" as a host, "one/another", "/one" and "~one~" as a file, and
  -- "<name>" as a tag. "..." separates words anyway, and is common.
  c_joint constant text := '(?<!\.)\.(?=[^\s\d.])|[/@](?=[^\s\d.])|[~<>\u200C]';
  c_piece constant text := '.{1,200}(?:\s|$)|.{1,200}';
  v_text text := left(p_text, 8000);
  v_lexemes text[] := '{}';
begin
  if octet_length(v_text) > char_length(v_text) and v_text ~ c_odd then
    -- In pieces, because the work grows with the square of a run of accents.
    v_text := left((
      select string_agg(normalize(piece.found[1], nfkc), '' order by piece.number)
      from regexp_matches(v_text, c_piece, 'g') with ordinality piece (found, number)), 8000);
  end if;
  v_text := private.without_marks(lower(v_text));
  if v_text ~ c_joint then
    -- Their words, too.
    v_text := replace(v_text, U&'\200C', '') || ' ' || regexp_replace(v_text, c_joint, ' ', 'g');
  end if;
  if octet_length(v_text) > char_length(v_text) and v_text ~ c_unspaced then
    v_text := private.without_katakana(v_text);
    v_lexemes := array(
      select pair.letters
      from (
        select run.number, place, letter || lead(letter) over (partition by run.number order by place) as letters
        from regexp_matches(v_text, c_unspaced || '{2,}', 'g') with ordinality run (found, number),
             unnest(string_to_array(run.found[1], null)) with ordinality letters (letter, place)) pair
      where pair.letters is not null
      group by pair.letters order by max(10000 * pair.number + pair.place) desc)
      || array(
      select distinct sign.found[1] from regexp_matches(v_text, c_one_sign, 'g') sign (found));
    v_text := regexp_replace(v_text, c_unspaced || '+', ' ', 'g');
  end if;
  return private.hashed_lexemes(p_conversation_id, v_lexemes || private.lexemes(p_language, v_text));
end $$;

-- The terms of a message. One message in 64 has each of them once more as `term # 1`, and one in 4,096
-- as `term # 2`. In these samples a search recognises a common term without reading all messages that
-- have it. The position is hashed, because a conversation may have only every second one.
--
-- Null without a position. Never raises, because an index calls it for every message that is written. Whoever
-- writes a message runs it, with the rights of its owner: not everybody may use the functions that it calls.
-- The cost is relative to reading an index.
create function private.search_terms(p_conversation_id uuid, p_position bigint, p_content text) returns bigint[]
language plpgsql immutable strict parallel safe security definer cost 10000 set search_path = '' as $$
declare
  v_terms constant bigint[] := private.terms_in(
    p_conversation_id, p_content, private.text_language(lower(left(p_content, 400))));
  v_hash constant integer := hashint8(p_position);
begin
  -- A query, even one in a branch of an expression that is not taken, makes every call of it slower.
  if v_hash & 63 = 0 then
    return v_terms || array(select t.term # 1 from unnest(v_terms) t (term))
      || case when v_hash & 4095 = 0 then array(select t.term # 2 from unnest(v_terms) t (term)) end;
  end if;
  return v_terms;
end $$;
revoke execute on function private.text_language(text), private.without_marks(text), private.without_accents(text),
  private.without_katakana(text), private.lexemes(regconfig, text),
  private.hashed_lexemes(uuid, text[]), private.terms_in(uuid, text, regconfig),
  private.search_terms(uuid, bigint, text)
  from public, anon, authenticated;
grant execute on function private.search_terms(uuid, bigint, text) to authenticated, service_role;
-- Called by a constraint, through private.is_blank.
grant execute on function private.without_marks(text) to authenticated, service_role;
