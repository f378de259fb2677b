// Loads the list of conversations a page at a time, and changes how one appears in it.

import { data, supabase } from "./backend.js";
import { legible, line } from "./legible.js";
import { set } from "./page.js";
import { withFirstPage } from "./paging.js";
import { state } from "./state.js";
import { announce } from "./tabs.js";

const PAGE = 100; // the most that a page may have

async function listed(parameters) {
  const { conversations, next } = await data(supabase.rpc("list_conversations", { p_limit: PAGE, ...parameters }));
  return { rows: conversations.map(readable), next };
}

const readable = (row) => ({
  ...row,
  title: row.title && legible(row.title),
  names: [row.character_name, ...row.other_names].filter(Boolean).map(legible),
  last_line: row.last_line && line(row.last_line),
});

let asked = 0;
let answered = 0;

/** Loads the first page; null if the answer to a later request came before. */
async function firstPage() {
  const mine = ++asked;
  const page = await listed({});
  if (mine < answered) return null;
  answered = mine;
  return page;
}

/** Loads the list from its beginning. */
export async function loadList() {
  const page = await firstPage();
  if (page) set({ conversations: page.rows, nextConversations: page.next });
}

export async function showMoreConversations() {
  const after = state.nextConversations;
  const { rows, next } = await listed({ p_after: after });
  if (state.nextConversations !== after) return;
  const ids = new Set(state.conversations.map(({ id }) => id));
  set({ conversations: [...state.conversations, ...rows.filter(({ id }) => !ids.has(id))], nextConversations: next });
}

const isBefore = (row, last) =>
  row.is_pinned === last.is_pinned ? Date.parse(row.updated_at) > Date.parse(last.updated_at) : row.is_pinned;

/** Loads the first page again, and keeps the others that were loaded. */
export async function refreshList() {
  const page = await firstPage();
  if (!page) return;
  const { rows, next } = page;
  const conversations = withFirstPage(state.conversations, rows, !next, isBefore);
  const isLonger = next && conversations.length > rows.length;
  set({ conversations, nextConversations: isLonger ? state.nextConversations : next });
}

/** The conversations that can be restored, the last deleted first. */
export const findDeleted = async () => (await listed({ p_deleted: true })).rows;

/** Changes the title, the pin or the deletion of a conversation, and tells other tabs. */
export async function changeEntry(conversation_id, changes) {
  await data(supabase.from("conversation_entries").upsert({ conversation_id, ...changes }));
  announce();
  await refreshList();
}

/** The newest conversation in the list, which pinned ones may stand above; undefined if there is none. */
export const newest = () =>
  state.conversations.reduce((last, row) => (last && Date.parse(last.updated_at) >= Date.parse(row.updated_at) ? last : row), undefined);
