-- Messages anywhere in a conversation that share words with a person's message.

-- The language of a message at p_before: a short message may not reveal its language, but the messages
-- before it do.
create function private.spoken_language(p_conversation_id uuid, p_before bigint) returns regconfig
language plpgsql stable set search_path = '' as $$
begin
  return (
    select private.text_language(lower(left(string_agg(m.content, ' '), 400)))
    from (
      select left(m.content, 200) as content from shared.messages m
      where m.conversation_id = p_conversation_id and m.is_active and m.is_speech and m.position < p_before
      order by m.position desc limit 2) m);
end $$;

-- Further terms of a query, besides those in the languages p_known:
--   - the terms in English, because a message without words that tell its language counts as English;
--   - capitalised words as they are written: they are often names, which are stemmed by the language of the text around
--     them;
--   - names with an umlaut or a Nordic letter in their other spelling: Müller and Mueller, Åse and Aase.
create function private.more_terms(p_conversation_id uuid, p_query text, p_known regconfig[]) returns bigint[]
language plpgsql immutable set search_path = '' as $$
declare
  c_english constant regconfig := 'pg_catalog.english';
  c_simple constant regconfig := 'pg_catalog.simple';
  v_names text;
  v_spelled text;
  v_language regconfig;
  v_terms bigint[] := '{}';
begin
  if c_english <> all (p_known) then
    v_terms := private.terms_in(p_conversation_id, p_query, c_english);
  end if;
  select lower(normalize(string_agg(n.found[1], ' '), nfc)) into v_names
  from regexp_matches(p_query, '\m([[:upper:]]\w+)', 'g') n (found);
  if v_names is null then
    return v_terms;
  end if;
  v_terms := v_terms || private.terms_in(p_conversation_id, v_names, c_simple);
  v_spelled := concat_ws(' ',
    case when v_names ~ '[äöüøå]' then
      replace(replace(replace(replace(replace(v_names, 'ä', 'ae'), 'ö', 'oe'), 'ü', 'ue'), 'ø', 'oe'), 'å', 'aa') end,
    case when v_names ~ '[aou]e|aa' then regexp_replace(v_names, '([aou])e|a(?=a)', '\1', 'g') end);
  if v_spelled <> '' then
    foreach v_language in array p_known || c_english || c_simple loop
      v_terms := v_terms || private.terms_in(p_conversation_id, v_spelled, v_language);
    end loop;
  end if;
  return v_terms;
end $$;

-- Finds messages that share terms with a query, and the messages beside them. Returns their `positions`, the best
-- first, and their `scores`; both are null if nothing is found. It skips hidden messages, messages at p_before or
-- later, and the message that asks, at p_own. p_terms are the query's terms in its own language, p_spoken those in the
-- language of the messages before it, and p_more those of private.more_terms.
--
-- A message's score is the sum of the weights of its terms; rarer terms weigh more. An answer often repeats no word of
-- its question, so the messages beside a match get a share of its score. Nothing is found if the best match has hardly
-- any of the terms, and none as rare as a name: then the query relates to nothing in particular. The best match for the
-- rarest term comes first: it may be the only message with a name, while many others share more of the other words.
--
-- However long the conversation is, it reads a bounded number of rows: the samples of the index
-- (private.search_terms) tell which terms are common, and those are not looked for.
create function private.recall_by_words(
  p_conversation_id uuid, p_before bigint, p_own bigint, p_terms bigint[], p_spoken bigint[], p_more bigint[],
  p_hidden int8multirange,
  out positions bigint[], out scores double precision[])
language plpgsql stable set search_path = ''
-- begin_turn plans without bitmap scans, and an index of terms has no other scan. A cached plan from when there were
-- few messages must not read all of them later.
set enable_bitmapscan = on set enable_seqscan = off as $$
declare
  -- As many as messages of a thousand characters have. Each costs two searches of the index.
  c_most_terms constant integer := 128;
  -- For one term: a word that is in more messages means nothing.
  c_most_hits constant integer := 300;
  -- Messages in 64 that have a term, and that have any of the terms: so many more may be read.
  c_most_sampled constant integer := 9;
  c_most_sampled_of_all constant integer := 24;
  c_most_found constant integer := 32;
  -- Of the weight of all terms, and of the best score.
  c_least_share constant double precision := 0.1;
  -- That of a term in two messages, which suffices however many other terms there are.
  c_enough_weight constant double precision := ln(1 + 150.0 / 2);
  v_rarest bigint;
begin
  with wanted as materialized (
    select t.term from unnest(p_terms || p_spoken || p_more) with ordinality t (term, place)
    group by t.term order by min(t.place) limit c_most_terms),
  -- The terms are those of this conversation. Asked for nothing else, no other index fits. The message that
  -- asks would make each of its terms seem common.
  counted as (
    select w.term, sampled.messages
    from wanted w
    cross join lateral (
      select count(*) as messages from (
        select from shared.messages m
        where private.search_terms(m.conversation_id, m.position, m.content) @> array[w.term # 2] and m.is_active
          and m.position is distinct from p_own
        limit c_most_sampled + 1) m) sampled_few
    cross join lateral (
      select count(*) as messages from (
        select from shared.messages m
        where private.search_terms(m.conversation_id, m.position, m.content) @> array[w.term # 1] and m.is_active
          and m.position is distinct from p_own
        limit c_most_sampled + 1) m
      where sampled_few.messages <= c_most_sampled) sampled
    where sampled_few.messages <= c_most_sampled and sampled.messages <= c_most_sampled),
  rare as materialized (
    select c.term
    from (select c.*, sum(c.messages) over (order by c.messages, c.term) as messages_of_all from counted c) c
    where c.messages_of_all <= c_most_sampled_of_all),
  hits as materialized (
    select t.term, m.position
    from rare t
    cross join lateral (
      select m.position, m.is_speech from shared.messages m
      where private.search_terms(m.conversation_id, m.position, m.content) @> array[t.term] and m.is_active
      limit c_most_hits) m
    where m.is_speech and m.position < p_before and m.position is distinct from p_own
      and not m.position <@ p_hidden),
  frequencies as (
    select h.term, count(*) as messages from hits h group by h.term),
  weights as (
    select w.term, ln(1 + 150.0 / coalesce(
      f.messages, case when w.term in (select r.term from rare r) then 1 else c_most_hits end))::double precision as weight
    from wanted w left join frequencies f on f.term = w.term),
  found as (
    select h.position, sum(w.weight) as score,
           row_number() over (order by max(w.weight) desc, sum(w.weight) desc, h.position desc) as place
    from hits h join weights w on w.term = h.term
    group by h.position
    having sum(w.weight) >= least(c_enough_weight, c_least_share * least(
      (select sum(a.weight) from weights a where a.term = any (p_terms)),
      (select sum(a.weight) from weights a where a.term = any (p_spoken)))))
  select array_agg(f.position), array_agg(f.score), min(f.position) filter (where f.place = 1)
  into positions, scores, v_rarest
  from (select * from found f order by f.place = 1 desc, f.score desc, f.position desc limit c_most_found) f;
  -- Most often nothing is found, and preparing the next statement takes longer than this one.
  if positions is null then
    return;
  end if;

  with found as materialized (
    select f.position, f.score from unnest(positions, scores) f (position, score)),
  near as (
    select f.position, f.position as found_at, 0 as distance, f.score from found f
    union all
    select n.position, f.position, n.distance, f.score
    from found f cross join lateral (
      (select m.position, row_number() over (order by m.position desc) as distance from shared.messages m
       where m.conversation_id = p_conversation_id and m.is_active and m.is_speech and m.position < f.position
         and m.position is distinct from p_own and not m.position <@ p_hidden
       order by m.position desc limit 2)
      union all
      (select m.position, row_number() over (order by m.position) from shared.messages m
       where m.conversation_id = p_conversation_id and m.is_active and m.is_speech and m.position > f.position
         and m.position < p_before and m.position is distinct from p_own
         and not m.position <@ p_hidden
       order by m.position limit 2)) n),
  scored as (
    select n.position,
           coalesce(max(n.score) filter (where n.distance = 0), 0)
           + 0.7 * coalesce(max(n.score) filter (where n.distance = 1), 0)
           + 0.2 * coalesce(max(n.score) filter (where n.distance = 2), 0) as score
    from near n group by n.position),
  best as (
    select s.position, max(s.score) over () as best_score,
           case s.position when v_rarest then 1.01 * max(s.score) over () else s.score end as score
    from scored s)
  select array_agg(b.position order by b.score desc, b.position desc),
         array_agg(b.score order by b.score desc, b.position desc)
  into positions, scores
  from best b where b.score >= c_least_share * b.best_score;
end $$;
revoke execute on function private.spoken_language(uuid, bigint), private.more_terms(uuid, text, regconfig[]),
  private.recall_by_words(uuid, bigint, bigint, bigint[], bigint[], bigint[], int8multirange)
  from public, anon, authenticated;
