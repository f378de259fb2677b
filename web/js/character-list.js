// Loads the characters that a conversation can begin with, those of the open one, and the names of all in the list.

import { data, supabase } from "./backend.js";
import { readCharacters, staying } from "./characters.js";
import { legible } from "./legible.js";
import { set } from "./page.js";
import { state } from "./state.js";

const CHARACTERS = 200;
const COMPANIONS = 1000;

/** Loads the first page of characters, and the names. */
export async function loadCharacters() {
  const [characters, companions] = await Promise.all([characterPage(), loadCompanions()]);
  set({ characters, hasMoreCharacters: characters.length === CHARACTERS, companions });
}

const readable = (rows) => rows.map((row) => ({ ...row, name: legible(row.name) }));

/** A page by name, without the character whose deletion can be undone. */
const characterPage = (from = 0) =>
  readCharacters((query) => staying(query).order("name").order("id").range(from, from + CHARACTERS - 1));

/** The names of all characters in the conversations. */
async function loadCompanions() {
  const all = [];
  for (let more = true; more; ) {
    const query = supabase.from("companions").select("character_id, name").order("character_id").limit(COMPANIONS);
    const last = all.at(-1);
    const page = await data(last ? query.gt("character_id", last.character_id) : query);
    all.push(...page);
    more = page.length === COMPANIONS;
  }
  return readable(all);
}

const known = (rows) => new Set(rows.map(({ id }) => id));

export async function showMoreCharacters() {
  const page = await characterPage(state.characters.length);
  const ids = known(state.characters);
  const characters = [...state.characters, ...page.filter(({ id }) => !ids.has(id))];
  set({ characters, hasMoreCharacters: page.length === CHARACTERS });
}

/** Loads the characters of a conversation that are on later pages. */
export async function loadMembers({ character_id, conversation_characters }) {
  const loaded = known([...state.characters, ...state.others]);
  const ids = [character_id, ...conversation_characters.map((row) => row.character_id)].filter((id) => id && !loaded.has(id));
  if (!ids.length) return;
  const rows = await readCharacters((query) => query.in("id", ids));
  set({ others: [...state.others, ...rows] });
}
