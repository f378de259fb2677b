// A person's own characters, one of which they can play in a conversation: their personas.

import { data, supabase } from "./backend.js";
import { updateRow } from "./characters.js";
import { changeConversation, loadAll, reread } from "./conversations.js";
import { t } from "./language.js";
import { legible } from "./legible.js";
import { changeDialog, drawn, openDialog, openWhenLoaded, set, watchDialog } from "./page.js";
import { state } from "./state.js";
import { forget, openForm } from "./unsaved.js";

const PAGE = 50;
const LISTED = "id, name, description, pronouns, age, updated_at";

/** Opens the list from its beginning. */
export const showPersonas = () => openWhenLoaded("personas", () => page(0));

export async function showMorePersonas() {
  const { personas } = state.dialog;
  const isStill = watchDialog();
  const next = await page(personas.length);
  const ids = new Set(personas.map(({ id }) => id));
  if (isStill()) changeDialog({ ...next, personas: [...personas, ...next.personas.filter(({ id }) => !ids.has(id))] });
}

async function page(from) {
  const rows = supabase.from("my_characters").select(LISTED).order("name").order("id").range(from, from + PAGE - 1);
  const found = await data(rows);
  return { personas: found.map((row) => ({ ...row, shownName: legible(row.name) })), hasMore: found.length === PAGE };
}

const NEW = { id: null, name: "", description: "", pronouns: "", age: null };

/** Opens the form of a persona, with what was not saved last time; without one, of a new one. */
export async function showPersona(persona = NEW) {
  const { id, name, description, pronouns, age, updated_at } = persona;
  const saved = { name, description: description ?? "", pronouns: pronouns ?? "", age: String(age ?? "") };
  openDialog("persona", { persona, form: openForm(`persona ${id ?? "new"}`, saved, updated_at) });
  await drawn();
  document.querySelector("dialog [name=name]")?.focus();
}

/** Closes the form, and forgets what was typed there. */
export async function givePersonaUp(form) {
  forget(form);
  await showPersonas();
}

/** Saves a persona: {name, description, pronouns, age}. A new one is played in the open conversation. */
export async function savePersona({ id }, form, columns) {
  const isStill = watchDialog();
  if (id) form.since = await updateRow(id, columns, form.since);
  else await addPersona(columns, state.conversation?.id);
  forget(form);
  await loadAll();
  if (isStill()) await showPersonas();
  set({ said: t("Saved.") });
}

async function addPersona(columns, conversation_id) {
  const id = crypto.randomUUID();
  await data(supabase.from("my_characters").insert({ id, ...columns }));
  if (conversation_id) await changeConversation(conversation_id, { user_character_id: id });
}

export const askToDelete = (persona) => openDialog("delete-persona", { persona });

export async function deletePersona({ id }) {
  const isStill = watchDialog();
  await data(supabase.from("my_characters").delete().eq("id", id));
  await loadAll();
  if (state.conversation?.user_character_id === id) await reread(state.conversation.id);
  if (isStill()) await showPersonas();
  set({ said: t("The persona was deleted.") });
}

/** Plays a persona in the open conversation; null: the person themselves. */
export async function play(id) {
  await changeConversation(state.conversation.id, { user_character_id: id });
  set({ said: t("Saved.") });
}
