// Searches the titles and messages of a person's conversations.

import { data, supabase } from "./backend.js";
import { choose } from "./conversations.js";
import { legible, withoutMarks } from "./legible.js";
import { plural } from "./language.js";
import { newestOf } from "./newest.js";
import { drawn, set, tell } from "./page.js";
import { state } from "./state.js";

const PAUSE_MS = 250; // after the last letter
const PAGE = 30;

const newest = newestOf();
let timer = null;

/** Takes what is in the search field, and searches once nothing is typed for a moment. */
export function changeQuery(query) {
  set({ search: { ...state.search, query } });
  clearTimeout(timer);
  timer = setTimeout(() => search().catch(tell), PAUSE_MS);
}

/** Searches for what is in the field; empty, it shows the lists again. */
export async function search() {
  clearTimeout(timer);
  const { query } = state.search;
  if (!query.trim()) return endSearch(query);
  const found = await newest(() => page({ p_query: query }), () => state.search.query === query).catch((error) => {
    endSearch(query); // What is shown was found for other words.
    throw error;
  });
  if (!found) return;
  set({ search: { query, ...found }, said: plural(found.results.length, { one: "One result", other: "{n} results" }) });
}

/** Loads the results after those that are shown. */
export async function showMoreResults() {
  const { query, next } = state.search;
  const isShown = () => state.search.query === query && state.search.next === next;
  const found = await newest(() => page({ p_query: query, p_before: next }), isShown);
  if (!found) return;
  set({ search: { query, results: [...state.search.results, ...found.results], next: found.next } });
}

/** Shows the lists instead of results. */
export function endSearch(query = "") {
  clearTimeout(timer);
  set({ search: { query, results: null, next: null } });
}

async function page(parameters) {
  const { results, next } = await data(supabase.rpc("search_conversations", { p_limit: PAGE, ...parameters }));
  return { results: results.map(readable), next };
}

const readable = (row) => ({
  ...row,
  title: row.title && legible(row.title),
  names: [row.character_name].filter(Boolean).map(legible),
  snippet: row.snippet?.map(({ text, is_match }) => ({ text: withoutMarks(text), is_match })) ?? [],
});

/** Opens a result: its conversation, at its message if it is one. */
export async function openResult({ conversation_id, message_id, position }) {
  await choose(conversation_id, message_id ? { message_id, position } : null);
}

/** Puts the focus into the search field, which a phone has in a menu. */
export async function focusSearch() {
  const field = document.getElementById("search");
  if (!field.checkVisibility({ visibilityProperty: true })) set({ menu: true });
  await drawn();
  field.focus();
}
