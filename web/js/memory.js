// Loads and changes the summary and the facts of a conversation.

import { UserError, all, data, supabase } from "./backend.js";
import { joined, sorted } from "./facts.js";
import { t } from "./language.js";
import { set } from "./page.js";
import { listMembers, state } from "./state.js";
import { anew, forget, openForm } from "./unsaved.js";
import { isOpen, openAbout } from "./whereabouts.js";

export const showMemory = () => openAbout("memory", async () => {
  set({ memory: null });
  await loadMemory();
  return {};
});

let asked = 0;
let answered = 0;

/**
 * Loads what is remembered in the open conversation. An answer never replaces that of a later request, and a form
 * that is open stays, unless it is the one that was `saved`.
 */
async function loadMemory(saved = null) {
  if (!state.conversation) return;
  const mine = ++asked;
  const { id } = state.conversation;
  const members = listMembers(state.conversation).map((character) => character.id);
  const reach = [`conversation_id.eq.${id}`, "tier.eq.profile"];
  if (members.length) reach.push(`character_id.in.(${members})`);
  const [summary, facts] = await Promise.all([
    data(supabase.from("conversation_summaries").select("content, person_content, covers_position").eq("conversation_id", id).maybeSingle()),
    // In pages: those that are history count, too.
    all(() =>
      supabase
        .from("memory_facts")
        .select("id, memory_id, content, pinned, is_active, importance, is_rated, is_unread, written_by, said_at, since, replaced_by, is_withdrawal, hides, memories!inner(tier, character_id)")
        .or(reach.join(","), { referencedTable: "memories" })
        .order("pinned", { ascending: false })
        .order("importance", { ascending: false })
        .order("created_at")
        .order("id"),
    ),
  ]);
  if (!isOpen(id) || mine < answered) return;
  answered = mine;
  const { changing = null, form = null } = state.memory ?? {};
  const isDone = changing === saved;
  const shown = { summary: joined(summary), covers: summary?.covers_position ?? 0, ...sorted(facts, members.length) };
  set({ memory: { ...shown, changing: isDone ? null : changing, form: isDone ? null : form } });
}

/** Opens the form of the fact with this id, or of the "summary", with what was not saved last time; null closes it. */
export function change(changing) {
  // A draft of the summary knows up to which message the one that its writer saw told.
  const version = changing === "summary" ? state.memory.covers : null;
  set({ memory: { ...state.memory, changing, form: changing && openForm(subject(changing), saved(changing), version) } });
}

const subject = (changing) => (changing === "summary" ? `summary ${state.conversation.id}` : `fact ${changing}`);

function saved(changing) {
  const { summary, facts } = state.memory;
  if (changing === "summary") return { content: summary };
  const { content, memories } = facts.find(({ id }) => id === changing);
  return { content, tier: placeOf(memories) };
}

/** Where a fact counts, as its form has it: the tier, and for the tier `character` whose. */
const placeOf = ({ tier, character_id }) => (tier === "character" ? `character ${character_id}` : tier);

/** Closes the form, and discards its changes. */
export function giveUp() {
  forget(state.memory.form);
  change(null);
}

/** Shows the open form without the unsaved changes of last time. */
export function changeAnew() {
  set({ memory: { ...state.memory, form: anew(state.memory.form) } });
}

async function findMemory(tier, character_id) {
  const whose = {
    user_id: state.me.id,
    tier,
    conversation_id: tier === "conversation" ? state.conversation.id : null,
    character_id: tier === "character" ? character_id : null,
  };
  let query = supabase.from("memories").select("id").eq("tier", tier);
  if (whose.conversation_id) query = query.eq("conversation_id", whose.conversation_id);
  if (whose.character_id) query = query.eq("character_id", whose.character_id);
  const memory =
    (await data(query.maybeSingle())) ??
    (await data(supabase.from("memories").insert(whose).select("id").single()));
  return memory.id;
}

/** Adds a fact to a memory tier; `character_id` is needed for the tier `character`. */
export async function addFact(content, tier, character_id) {
  const memory_id = await findMemory(tier, character_id);
  await data(supabase.from("memory_facts").insert({ memory_id, content }));
  set({ said: t("The fact was added.") });
  await loadMemory();
}

/** Changes the text of a fact, or moves it to another tier, or both. One that is gone keeps its form, with what was typed. */
export async function changeFact(fact, content, tier, character_id) {
  const changes = {};
  if (content !== fact.content) changes.content = content;
  const memory_id = await findMemory(tier, character_id);
  if (memory_id !== fact.memory_id) changes.memory_id = memory_id;
  const isChanged = Object.keys(changes).length > 0;
  if (isChanged && !(await update(fact, changes))) {
    throw new UserError(t("This fact is gone. Copy what you need and close the form."));
  }
  forget({ subject: subject(fact.id) });
  if (isChanged) set({ said: t("The fact was changed.") });
  await loadMemory(fact.id);
}

/** Whether the fact was still there. */
async function update(fact, changes) {
  const changed = await data(supabase.from("memory_facts").update(changes).eq("id", fact.id).select("id"));
  return changed.length > 0;
}

async function markFact(fact, changes) {
  const isThere = await update(fact, changes);
  await loadMemory();
  if (!isThere) throw new UserError(t("This fact is gone."));
}

export const pinFact = (fact) => markFact(fact, { pinned: !fact.pinned });

/** Turns a fact off, so that no prompt has it, or on again. */
export const switchFact = (fact) => markFact(fact, { is_active: !fact.is_active });

/** How important a fact is, from 1 to 5. */
export const rateFact = (fact, importance) => markFact(fact, { importance });

export async function forgetFact(fact) {
  await data(supabase.from("memory_facts").delete().eq("id", fact.id));
  forget({ subject: subject(fact.id) });
  set({ said: t("The fact was deleted.") });
  await loadMemory();
}

/** Writes a summary that no model changes; models go on after what it was written for. */
export async function writeSummary(person_content) {
  const conversation_id = state.conversation.id;
  const { form } = state.memory;
  const seen_position = form.since ?? 0;
  await data(supabase.from("conversation_summaries").upsert({ conversation_id, person_content, seen_position }));
  forget(form);
  set({ said: t("The summary was changed.") });
  await loadMemory("summary");
}

export async function forgetSummary() {
  await data(supabase.from("conversation_summaries").delete().eq("conversation_id", state.conversation.id));
  set({ said: t("The summary was deleted.") });
  await loadMemory("summary");
}
