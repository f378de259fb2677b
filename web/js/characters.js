// Loads, saves, exports and deletes characters.

import { config } from "../config.js";
import { UserError, act, data, supabase } from "./backend.js";
import { EDITED, changes, pattern, placed, readable, tagsIn } from "./character-rows.js";
import { fileName, saveFile } from "./files.js";
import { t } from "./language.js";
import { legible } from "./legible.js";
import { once, redraw, set, tell } from "./page.js";
import { after } from "./paging.js";
import { state } from "./state.js";

const COLUMNS = "id, user_id, name, description, first_message, alternate_greetings, age, content_rating, is_public";
const NO_SUCH_COLUMN = "42703";
const PAGE = 50;
const TAGS = 1000; // rows of a response

let columns = COLUMNS;

/** Characters as pages show them. `narrowed` makes the query: filters, order and range. */
export async function readCharacters(narrowed) {
  const asked = columns;
  try {
    return (await data(narrowed(supabase.from("characters").select(asked)))).map(readable);
  } catch (error) {
    // An existing product's table has other columns. Its rows are small: books are elsewhere.
    if (error.code !== NO_SUCH_COLUMN || asked === "*") throw error;
    columns = "*";
    return readCharacters(narrowed);
  }
}

/**
 * A character by id: {...character, tags, isOwn, takenDown: why or null}; null if there is none to see.
 * `listed`: its row in the catalogue, whose tags only the catalogue has. Where an existing product does not
 * let people read characters of others, that row is all there is.
 */
export async function readCharacter({ id, tags = [], ...listed }) {
  const [own, [seen], rows, [takeDown]] = await Promise.all([
    data(supabase.from("my_characters").select(["id", "updated_at", ...EDITED].join()).eq("id", id).maybeSingle()),
    readCharacters((query) => query.eq("id", id)),
    data(supabase.from("character_tags").select("tag").eq("character_id", id).order("tag")),
    data(supabase.from("own_take_downs").select("reason").eq("character_id", id)),
  ]);
  const shown = own ?? seen ?? (listed.author_id ? { id, ...listed } : null);
  if (!shown) return null;
  const isOwn = Boolean(own);
  return {
    ...readable(shown),
    user_id: isOwn ? state.me.id : (shown.user_id ?? shown.author_id ?? null),
    row: own,
    isOwn,
    tags: isOwn ? rows.map(({ tag }) => tag) : tags,
    takenDown: takeDown?.reason ?? null,
  };
}

/** One page of the person's own characters by name: {rows, hasMore}. `last`: the last row of the page before. */
export async function ownPage({ search, tag }, last = null) {
  const narrowed = tag ? ", chosen:character_tags!inner(tag)" : "";
  let query = supabase
    .from("characters")
    .select(`id, user_id, name, content_rating, is_public, character_tags(tag)${narrowed}`)
    .eq("user_id", state.me.id);
  if (search.trim()) query = query.ilike("name", pattern(search));
  if (tag) query = query.eq("chosen.tag", tag);
  query = staying(query);
  if (last) query = query.or(after(last, "given", true).replaceAll("given.", "name."));
  const rows = await data(query.order("name").order("id").limit(PAGE));
  return { rows: rows.map(listed), hasMore: rows.length === PAGE };
}

// `given`: as it is in the database, where the next page begins.
const listed = (row) => ({ ...readable(row), given: row.name, tags: row.character_tags.map(({ tag }) => tag).sort() });

/** The tags of the person's own characters. */
export async function ownTags() {
  const rows = await data(supabase.from("character_tags").select("tag").order("tag").limit(TAGS));
  return [...new Set(rows.map(({ tag }) => tag))];
}

export async function ownTakeDowns() {
  const rows = await data(supabase.from("own_take_downs").select("character_id, reason"));
  return new Map(rows.map(({ character_id, reason }) => [character_id, reason]));
}

// --- saving ---------------------------------------------------------------------------------

const EXISTS = "23505";

/**
 * Saves the columns that a form changes, of a row of my_characters or, if that is null, of a new
 * character with this id. A repeated request after a lost answer finds the character made already.
 */
export async function saveRow(id, row, form) {
  const changed = changes(row, form);
  if (!row) {
    const made = await supabase.from("my_characters").insert({ id, ...changed }).select("id");
    if (made.error?.code !== EXISTS) return void (await data(made));
  }
  if (Object.keys(changed).length) await updateRow(id, changed, row?.updated_at);
}

/** Changes columns of a character, if it is still as it was at a time. Resolves to the time of the change. */
export async function updateRow(id, changed, updated_at = null) {
  const query = supabase.from("my_characters").update(changed).eq("id", id);
  const [row] = await data((updated_at ? query.eq("updated_at", updated_at) : query).select("updated_at"));
  if (!row) {
    throw new UserError(t("This character was changed or deleted somewhere else. Copy what you need, then open it again."));
  }
  return row.updated_at;
}

/** Saves the tags of a form. `before`: those that the character has. */
export async function saveTags(character_id, before, text) {
  const wanted = tagsIn(text);
  const gone = before.filter((tag) => !wanted.includes(tag));
  const added = wanted.filter((tag) => !before.includes(tag));
  try {
    if (gone.length) await data(supabase.from("character_tags").delete().eq("character_id", character_id).in("tag", gone));
    if (added.length) await data(supabase.from("character_tags").insert(added.map((tag) => ({ character_id, tag }))));
  } catch (error) {
    error.field = "tags";
    throw error;
  }
}

/** Updates a character in the lists. */
export async function refreshCharacter(id) {
  const [character] = await readCharacters((query) => query.eq("id", id));
  if (!character) return;
  const isListed = state.characters.some((each) => each.id === id) || !state.hasMoreCharacters;
  const list = isListed ? "characters" : "others";
  set({ [list]: placed(state[list], character) });
}

// --- export ---------------------------------------------------------------------------------

const TYPES = { json: "application/json", png: "image/png", charx: "application/zip" };

/** Saves a character as a file: "json", "png" or "charx". Returns sentences about what was left out. */
export async function exportCard({ id, name }, format) {
  const { card, card_base64, warnings } = await act({ action: "export_card", character_id: id, format });
  const content = card ? JSON.stringify(card, null, 2) : Uint8Array.from(atob(card_base64), (char) => char.charCodeAt(0));
  saveFile(`${fileName(name, "Character")}.${format}`, new Blob([content], { type: TYPES[format] }));
  set({ said: t("The character was exported.") });
  return warnings.map(legible);
}

// --- deletion -------------------------------------------------------------------------------
//
// A deleted row cannot be brought back with its card, its picture and its place in conversations. So the
// deletion waits, and goes through at the latest when the page is left.

const UNDO_MS = 10_000;
let leaving = null; // {id, name, token, timer}

/** The character whose deletion can be undone: {id, name}; null if there is none. */
export const leavingCharacter = () => leaving;

/** A query of characters without that one. */
export const staying = (query) => (leaving ? query.neq("id", leaving.id) : query);

/** Takes a character from the lists, and deletes it in a moment. */
export const removeCharacter = ({ id, name }) => once(`delete ${id}`, () => remove({ id, name }));

async function remove({ id, name }) {
  if (leaving?.id === id) return;
  await deleteNow();
  const { session } = await data(supabase.auth.getSession());
  leaving = { id, name, token: session.access_token, timer: setTimeout(() => deleteNow().catch(tell), UNDO_MS) };
  set({ ...without(id), said: t("{name} will be deleted.", { name }) });
}

function without(id) {
  const rest = (list) => list.filter((each) => each.id !== id);
  return { characters: rest(state.characters), others: rest(state.others) };
}

export async function keepCharacter() {
  if (!leaving) return; // It was kept already, or its time was over.
  const { id, name, timer } = leaving;
  clearTimeout(timer);
  leaving = null;
  await refreshCharacter(id);
  set({ said: t("{name} is back.", { name }) });
}

/** Deletes the character that waits for it, if there is one. */
async function deleteNow() {
  if (!leaving) return;
  const { id, name, token, timer } = leaving;
  clearTimeout(timer);
  leaving = null;
  redraw();
  try {
    await data(deletion(id, token));
    // A list that was loaded meanwhile may have it.
    set({ ...without(id), said: t("{name} was deleted.", { name }) });
  } catch (error) {
    if (state.me) await refreshCharacter(id);
    throw error;
  }
}

/** A request that goes on after the page is left. In the form of the Supabase client's. */
async function deletion(id, token) {
  const headers = { apikey: config.publishableKey, Authorization: `Bearer ${token}` };
  const url = `${config.supabaseUrl || location.origin}/rest/v1/my_characters?id=eq.${id}`;
  try {
    const response = await fetch(url, { method: "DELETE", headers, keepalive: true });
    return { data: null, error: response.ok ? null : await response.json(), status: response.status };
  } catch (error) {
    return { data: null, error, status: 0 };
  }
}

addEventListener("pagehide", () => deleteNow().catch(() => {}));
