// The catalogue of public characters, reports, and blocked authors.

import { data, supabase } from "./backend.js";
import { readable } from "./character-rows.js";
import { plural, t } from "./language.js";
import { legible } from "./legible.js";
import { newestOf } from "./newest.js";
import { drawn, focusUnlessTyping, openDialog, set } from "./page.js";
import { knowPortraits } from "./portrait.js";
import { state } from "./state.js";

const PAGE = 30;
const LOOKS = 5; // pages without a hit before the person is asked

const newest = newestOf();
const isOpen = () => state.dialog?.name === "catalogue";

let last = null; // {search, tags}

/** Opens the catalogue. */
export async function showCatalogue(choice = { search: "", tags: [] }) {
  openDialog("catalogue", { ...choice, rows: [], next: null, allTags: [], phase: "loading" });
  await Promise.all([loadTags(), find(choice)]);
}

/** Opens the catalogue again with the last search. */
export const resumeCatalogue = () => showCatalogue(last ?? undefined);

async function loadTags() {
  const allTags = (await data(supabase.rpc("catalogue_tags"))).map(({ tag }) => tag);
  if (isOpen()) set({ dialog: { ...state.dialog, allTags } });
}

/** Searches again. */
export async function find(changes) {
  const { search, tags } = { ...state.dialog, ...changes };
  last = { search, tags };
  set({ dialog: { ...state.dialog, search, tags, phase: "loading" }, trouble: null });
  await show([], () => pageAfter({ search, tags }, null));
}

export async function findMore() {
  const { search, tags, rows, next } = state.dialog;
  set({ dialog: { ...state.dialog, phase: "loading" }, trouble: null });
  await show(rows, () => pageAfter({ search, tags }, next));
  await drawn();
  focusUnlessTyping(document.querySelector(`dialog [data-character="${state.dialog?.rows?.[rows.length]?.id}"]`));
}

async function show(before, load) {
  try {
    const page = await newest(load, isOpen);
    if (!page) return;
    const { characters, next } = page;
    knowPortraits(characters.map(({ id, portrait }) => [id, portrait]));
    const ids = new Set(before.map(({ id }) => id));
    const rows = [...before, ...characters.map(readable).filter(({ id }) => !ids.has(id))];
    set({ dialog: { ...state.dialog, rows, next, phase: "ready" }, said: plural(rows.length, { one: "One character is shown.", other: "{n} characters are shown." }) });
  } catch (error) {
    set({ dialog: { ...state.dialog, rows: before, phase: "failed" } });
    throw error;
  }
}

/** The next page that has any character: a page looks at a bounded number, and may have none. */
async function pageAfter({ search, tags }, after) {
  let page = { characters: [], next: after };
  for (let looks = 0; looks < LOOKS && !page.characters.length && (looks === 0 || page.next); looks += 1) {
    page = await data(
      supabase.rpc("search_catalogue", { p_search: search, p_tags: tags, p_after: page.next, p_limit: PAGE }),
    );
  }
  return page;
}

export function chooseTag(tag) {
  const { tags } = state.dialog;
  return find({ tags: tags.includes(tag) ? tags.filter((each) => each !== tag) : [...tags, tag] });
}

// --- reports --------------------------------------------------------------------------------

export const reportCharacter = ({ id }, reason, details) =>
  data(supabase.rpc("report_character", { p_character_id: id, p_reason: reason, p_details: details }));

/** The person's newest report of a character: {created_at, outcome}; null if there is none. */
export async function ownReport(id) {
  const rows = supabase.from("character_reports").select("created_at, outcome").eq("character_id", id);
  return (await data(rows.order("created_at", { ascending: false }).limit(1)))[0] ?? null;
}

// --- blocked authors ------------------------------------------------------------------------

export const blockAuthor = ({ id }) => data(supabase.rpc("block_author", { p_character_id: id }));

/** Loads the authors whom the person blocked: {author_id, character_name, created_at}, the newest first. */
export async function loadBlocked() {
  const rows = await data(
    supabase.from("blocked_authors").select("author_id, character_name, created_at").order("created_at", { ascending: false }),
  );
  set({ blocked: rows.map((row) => ({ ...row, character_name: legible(row.character_name) })) });
}

export async function unblockAuthor(author_id) {
  await data(supabase.from("blocked_authors").delete().eq("author_id", author_id));
  await loadBlocked();
  set({ said: t("The author is no longer blocked.") });
}
