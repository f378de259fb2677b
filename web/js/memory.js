// Loads and changes the summary and the facts of a conversation.

import { UserError, all, data, supabase } from "./backend.js";
import { joined, sorted } from "./facts.js";
import { t } from "./language.js";
import { set } from "./page.js";
import { listMembers, state } from "./state.js";
import { anew, forget, keep, openForm } from "./unsaved.js";
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
    data(supabase.from("conversation_summaries").select("content, person_content, person_digest, covers_position").eq("conversation_id", id).maybeSingle()),
    // In pages: those that are history count, too.
    all(() =>
      supabase
        .from("memory_facts")
        .select("id, memory_id, content, digest, pinned, is_active, importance, is_rated, is_unread, written_by, said_at, since, replaced_by, is_withdrawal, hides, memories!inner(tier, character_id)")
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
  const version = { covers: summary?.covers_position ?? 0, digest: summary?.person_content ? summary.person_digest : null };
  const shown = { summary: joined(summary), version, ...sorted(facts, members.length) };
  set({ memory: { ...shown, changing: isDone ? null : changing, form: isDone ? null : form } });
}

/** Opens the form of the fact with this id, or of the "summary", with what was not saved last time; null closes it. */
export function change(changing) {
  const form = changing && openForm(subject(changing), saved(changing), version(changing));
  set({ memory: { ...state.memory, changing, form } });
}

/**
 * The version of what a form changes, which a draft keeps: of the summary the person's words, and the message up to
 * which the one that its writer saw told.
 */
function version(changing) {
  if (changing === "summary") return state.memory.version;
  const { digest, memory_id } = findFact(changing);
  return { digest, memory_id };
}

const findFact = (id) => state.memory.facts.find((fact) => fact.id === id);

const subject = (changing) => (changing === "summary" ? `summary ${state.conversation.id}` : `fact ${changing}`);

function saved(changing) {
  if (changing === "summary") return { content: state.memory.summary };
  const { content, memories } = findFact(changing);
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
  set({ memory: { ...state.memory, form: { ...anew(state.memory.form), newer: null } } });
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

/**
 * Changes the text of a fact, or moves it to another tier, or both, if it is as the form's writer saw it. Otherwise the
 * form stays, with what was typed.
 */
export async function changeFact(fact, content, tier, character_id) {
  const { form } = state.memory;
  const [changes, seen] = [{}, {}];
  if (content !== form.saved.content.trim()) {
    changes.content = content;
    seen.digest = form.since.digest;
  }
  const memory_id = await findMemory(tier, character_id);
  if (memory_id !== form.version.memory_id) {
    changes.memory_id = memory_id;
    seen.memory_id = form.since.memory_id;
  }
  const isChanged = Object.keys(changes).length > 0;
  if (isChanged && !(await update(fact, changes, seen))) {
    // Without its fact the form would close, so what is shown stays.
    if (!(await holds(fact))) throw new UserError(t("This fact is gone. Copy what you need and close the form."));
    await showNewer(fact.id, form);
    throw new UserError(CHANGED);
  }
  forget(form);
  if (isChanged) set({ said: t("The fact was changed.") });
  await loadMemory(fact.id);
}

const CHANGED = t("This was changed elsewhere. The newer text is shown; save again to replace it.");
const NOT_DELETED = t("This was changed elsewhere, so it was not deleted. The newer text is shown; delete it again if it should go.");

/** Whether the fact is still there, and is not replaced. */
async function holds({ id }) {
  const found = await data(supabase.from("memory_facts").select("id").eq("id", id).is("replaced_by", null));
  return found.length > 0;
}

/** Changes a fact that still holds, and is as it was `seen`. Resolves to whether it was. */
async function update({ id }, changes, seen = {}) {
  const query = supabase.from("memory_facts").update(changes).match({ id, ...seen }).is("replaced_by", null);
  return (await data(query.select("id"))).length > 0;
}

/** Shows what was saved elsewhere beside what was typed in an open form, which may replace it from now on. */
async function showNewer(changing, form) {
  await loadMemory();
  if (state.memory?.form !== form || (changing !== "summary" && !findFact(changing))) return;
  const newer = { saved: saved(changing), version: version(changing), since: version(changing), newer: saved(changing).content };
  const shown = { ...form, ...newer };
  keep(shown);
  set({ memory: { ...state.memory, form: shown } });
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

/** Deletes a row whose text is still as it was `seen`, or that is gone already; otherwise shows the newer text. */
async function remove(table, its, seen) {
  const [column] = Object.keys(its);
  const removed = await data(supabase.from(table).delete().match({ ...its, ...seen }).select(column));
  if (removed.length || !(await data(supabase.from(table).select(column).match(its))).length) return;
  await loadMemory();
  throw new UserError(NOT_DELETED);
}

export async function forgetFact({ id, digest }) {
  await remove("memory_facts", { id }, { digest });
  forget({ subject: subject(id) });
  set({ said: t("The fact was deleted.") });
  await loadMemory();
}

/** Writes a summary that no model changes; models go on after what it was written for. */
export async function writeSummary(person_content) {
  const { form } = state.memory;
  const isChanged = person_content !== form.saved.content.trim();
  if (isChanged && !(await replaceSummary(person_content, form.since))) {
    await showNewer("summary", form);
    throw new UserError(CHANGED);
  }
  forget(form);
  if (isChanged) set({ said: t("The summary was changed.") });
  await loadMemory("summary");
}

/** The filter of a summary with the person's words that have this digest; null: with none. */
const seenWords = (digest) => (digest ? { person_digest: digest } : { person_content: "" });

/** Whether the person's words were still those that they saw. What models wrote since is written again, after the new ones. */
async function replaceSummary(person_content, { covers, digest }) {
  const summaries = () => supabase.from("conversation_summaries");
  const conversation_id = state.conversation.id;
  const row = { conversation_id, person_content, seen_position: covers };
  const changed = await data(summaries().update(row).match({ conversation_id, ...seenWords(digest) }).select("conversation_id"));
  if (changed.length || digest) return changed.length > 0;
  // There is none yet, or one that was written elsewhere.
  return (await data(summaries().upsert(row, { ignoreDuplicates: true }).select("conversation_id"))).length > 0;
}

/** Deletes the summary as it is shown. What a model added since is no reason to keep it: it is written anew. */
export async function forgetSummary() {
  const { digest } = state.memory.version;
  await remove("conversation_summaries", { conversation_id: state.conversation.id }, seenWords(digest));
  set({ said: t("The summary was deleted.") });
  await loadMemory("summary");
}
