// Loads and changes the lorebooks beside those of characters.

import { UserError, data, supabase } from "./backend.js";
import { read, withEntry, withoutEntry } from "./entries.js";
import { t } from "./language.js";
import { legible, line } from "./legible.js";
import { changeDialog, drawn, openDialog, openWhenLoaded, set, watchDialog } from "./page.js";
import { state } from "./state.js";
import { forget, openForm } from "./unsaved.js";

const ROW = "id, name, scope, conversation_id, persona_id, is_enabled, updated_at";
const MOST = 400; // 200 of a person, and for admins 200 of everybody
const MAX_BYTES = 524_288; // The database counts some more: spaces between values.
const TOO_LARGE = ["23514", "413"]; // from the database, and from a server before it

/** Opens the list. Admins see the books of everybody as well. */
export const showBooks = () => openWhenLoaded("lorebooks", async () => {
  const [books, personas] = await Promise.all([
    data(supabase.from("lorebooks").select(ROW).order("created_at").limit(MOST)),
    data(supabase.from("characters").select("id, name").eq("user_id", state.me.id).order("name").limit(500)),
  ]);
  return { books, personas: personas.map(({ id, name }) => ({ id, name: legible(name) })) };
});

/** Opens one book of the list. */
export async function showBook({ id }) {
  const { personas } = state.dialog;
  const isShown = await openWhenLoaded("lorebook", async () => {
    const book = await data(supabase.from("lorebooks").select(`${ROW}, content`).eq("id", id).maybeSingle());
    if (!book) throw new UserError(t("This lorebook was deleted. Close the dialog and open it again."));
    return { personas, book, entry: null };
  });
  if (isShown) await focusOn("#book-name");
}

/** The name of a book for display. */
export const bookName = ({ name }) => (name.trim() ? line(name) : t("Lorebook"));

/** The places of a book, as a form has them: the value is split again by `columns`. */
export const placeOf = ({ scope, conversation_id, persona_id }) =>
  [scope, conversation_id ?? persona_id].filter(Boolean).join(" ");

function columns(place) {
  const [scope, id = null] = place.split(" ");
  return { conversation_id: scope === "conversation" ? id : null, persona_id: scope === "persona" ? id : null };
}

export async function addBook(name, place) {
  const user_id = place === "everyone" ? null : state.me.id;
  const row = { user_id, name, content: { name, entries: [] }, ...columns(place) };
  const isStill = watchDialog();
  const { id } = await data(supabase.from("lorebooks").insert(row).select("id").single());
  set({ said: t("The lorebook was added.") });
  if (isStill()) await showBook({ id });
}

export async function moveBook(book, place) {
  await save(book, columns(place));
  set({ said: t("Saved.") });
}

/** Turns a book on or off from the list. */
export async function switchBook(book) {
  const isStill = watchDialog();
  await save(book, { is_enabled: !book.is_enabled });
  if (isStill()) await showBooks();
}

/** Saves changed columns of the open book. It shows them at once, and the old ones if that fails. */
export async function changeBook(book, changes) {
  const before = Object.fromEntries(Object.keys(changes).map((name) => [name, book[name]]));
  showChanges(book, changes);
  try {
    await save(book, changes);
  } catch (error) {
    showChanges(book, before);
    throw error;
  }
  set({ said: t("Saved.") });
}

function showChanges(book, changes) {
  if (isOpen(book)) changeDialog({ book: { ...state.dialog.book, ...changes } });
}

let saving = Promise.resolve();

/** Saves one change after the other: pressing a button while a name is changed makes two. */
function save(book, changes) {
  const saved = saving.then(() => write(book, changes));
  saving = saved.catch(() => {});
  return saved;
}

/** Changes a book unless it was changed elsewhere since it was read, because all its entries are one column. */
async function write(book, changes) {
  if (new Blob([JSON.stringify(changes)]).size > MAX_BYTES) explain({ code: TOO_LARGE[0] });
  const { id, updated_at } = isOpen(book) ? state.dialog.book : book;
  const query = supabase.from("lorebooks").update(changes).match({ id, updated_at }).select("scope, updated_at");
  const [row] = await data(query).catch(explain);
  if (!row) {
    throw new UserError(t("This lorebook was changed somewhere else. Close it and open it again, then repeat your change."));
  }
  showChanges(book, { ...changes, scope: row.scope, updated_at: row.updated_at });
}

const isOpen = ({ id }) => state.dialog?.book?.id === id;

function explain(error) {
  if (!TOO_LARGE.includes(error.code)) throw error;
  throw new UserError(
    t("This is too much for one lorebook: it has room for 512 KiB. Shorten or delete entries, or add a second lorebook."),
    error.code,
  );
}

export async function deleteBook({ id }) {
  const isStill = watchDialog();
  await data(supabase.from("lorebooks").delete().eq("id", id));
  set({ said: t("The lorebook was deleted.") });
  if (isStill()) await showBooks();
}

// --- entries --------------------------------------------------------------------------------

/**
 * Opens the form of an entry, with what was not saved last time. `place` is its place in the book, null that of a new
 * one.
 */
export async function openEntry(place) {
  const { book } = state.dialog;
  const { depth, ...values } = read(book.content.entries[place] ?? undefined);
  const form = openForm(subject(book, place), { ...values, depth: String(depth) });
  set({ dialog: { ...state.dialog, entry: { place, form } }, trouble: null });
  await focusOn("#entry-keys");
}

/**
 * What an entry's form is about. The entry's own text is part of it, because its place is another's as soon as one
 * before it is deleted.
 */
const subject = ({ id, content }, place) => `entry ${id} ${place === null ? "new" : sum(JSON.stringify(content.entries[place]))}`;

const sum = (text) => [...text].reduce((total, char) => (Math.imul(total, 31) + char.codePointAt(0)) | 0, 0);

/** Shows the open entry with another form. */
export const changeEntry = (form) => changeDialog({ entry: { ...state.dialog.entry, form } });

/** Closes an entry's form, and discards its changes. */
export async function giveEntryUp({ form }) {
  forget(form);
  await closeEntry();
}

async function closeEntry() {
  const place = state.dialog.entry?.place ?? null;
  set({ dialog: { ...state.dialog, entry: null }, trouble: null });
  await focusOn(place === null ? "#add-entry" : `[data-entry="${place}"]`);
}

/** Saves an entry with the values of its form. */
export async function saveEntry(book, { place, form }, values) {
  const isStill = watchDialog();
  const content = withEntry(book.content, place, values);
  if (content !== book.content) {
    await save(book, { content });
    set({ said: t("Saved.") });
  }
  forget(form);
  // The form of another entry may be open by now.
  if (isStill() && state.dialog.entry?.place === place) await closeEntry();
}

export async function deleteEntry(book, place) {
  const isStill = watchDialog();
  await save(book, { content: withoutEntry(book.content, place) });
  forget({ subject: subject(book, place) });
  set({ said: t("The entry was deleted.") });
  if (isStill()) await keepBook();
}

/** Goes back to the open book. */
export async function keepBook() {
  const { book, personas } = state.dialog;
  openDialog("lorebook", { book, personas, entry: null });
  await focusOn("#add-entry");
}

async function focusOn(selector) {
  await drawn();
  document.querySelector(`dialog ${selector}`)?.focus();
}
