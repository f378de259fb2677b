// Loads, opens, begins and changes conversations.

import { addressed, write } from "./address.js";
import { UserError, act, data, supabase } from "./backend.js";
import { loadCharacters, loadMembers } from "./character-list.js";
import { findDeleted, loadList, refreshList } from "./conversation-list.js";
import { showDraft } from "./drafts.js";
import { showEdit } from "./edits.js";
import { t } from "./language.js";
import { legible } from "./legible.js";
import { loadMessages, loadMessagesAround } from "./messages.js";
import { loadModels } from "./models.js";
import { closePanels, once, set, tell } from "./page.js";
import { loadPortraits } from "./portrait.js";
import { state } from "./state.js";
import { announce } from "./tabs.js";
import { follow } from "./turns.js";
import { isOpen, leaveDialog, setOut, whereabouts } from "./whereabouts.js";

const CONVERSATION = "*, conversation_characters(character_id, position), conversation_entries(title, is_deleted)";
const EMPTY = 20; // of the newest conversations with a character, one of which may be empty

export async function loadAll() {
  await Promise.all([loadCharacters(), loadList(), loadModels(), loadPortraits()]);
}

/** A conversation by id, with the title that it has in the list; null if there is none, or it was deleted. */
export async function findConversation(id) {
  const row = await data(supabase.from("conversations").select(CONVERSATION).eq("id", id).maybeSingle());
  if (!row || (entryOf(row).is_deleted && (await isDeleted(id)))) return null;
  return titled(row);
}

/** What its owner made of a conversation in the list; {} if nothing. */
const entryOf = ({ conversation_entries: entry }) => [entry].flat()[0] ?? {};
const titled = (row) => {
  const title = entryOf(row).title || row.title;
  return { ...row, title: title && legible(title) };
};

/** Whether a conversation is still deleted: writing in it restores it. */
const isDeleted = async (id) => (await findDeleted()).some((row) => row.id === id);

/**
 * Opens a conversation. Replies that are being written in others go on. `instead`: in place of this address.
 * `place`: {message_id, position}, the message to show; else the newest one is shown.
 */
export async function open(conversation, instead = false, place = null) {
  setOut();
  leaveDialog(conversation.id);
  set({
    conversation,
    messages: [],
    hasEarlier: false,
    hasLater: false,
    found: null,
    answers: new Map(),
    hidden: new Set(),
    away: false,
    fresh: false,
    newFrom: null,
    toEnd: true,
    trouble: null,
    notice: "",
    editing: null,
    greeting: 0,
    memory: null,
    speaker: "",
    tier: localStorage.getItem(`tier:${conversation.id}`) ?? "sfw",
  });
  showDraft();
  write(conversation.id, instead);
  await loadOpen(place);
}

/** Loads the open conversation, or says that this failed. */
export async function loadOpen(place = null) {
  const { conversation } = state;
  set({ phase: "loading" });
  try {
    await Promise.all([place ? loadMessagesAround(place) : loadMessages(), loadRow(conversation)]);
  } catch (error) {
    if (!isOpen(conversation.id)) return;
    set({ phase: "failed" });
    return tell(error);
  }
  if (!isOpen(conversation.id)) return;
  showEdit();
  follow().catch(tell);
}

/** Loads the characters of a conversation, and its row if only that of the list is known. */
async function loadRow(conversation) {
  const { id, isListed } = conversation;
  const show = isListed ? shower(id) : () => {};
  const row = isListed ? await findConversation(id) : conversation;
  if (!isOpen(id)) return;
  if (!row) return leave(t("This conversation was deleted."));
  show(row);
  await loadMembers(row);
}

let asked = 0;
let answered = 0;

/** Returns a function that shows the row of a conversation that is read next, if no later one is shown. */
function shower(id) {
  const mine = ++asked;
  return (row) => {
    if (!isOpen(id) || mine < answered) return;
    answered = mine;
    set({ conversation: row });
  };
}

/** The known columns of a listed conversation until its row is loaded. */
const fromList = ({ id, character_id, user_character_id }) =>
  ({ id, character_id, user_character_id, title: "", conversation_characters: [], isListed: true });

/** Opens the conversation with this id, if there is one, at a place as for `open`. A listed one opens at once. */
export async function openById(id, place = null) {
  const isStill = setOut();
  const listed = state.conversations.find((each) => each.id === id);
  if (listed) return open(fromList(listed), false, place);
  const conversation = await findConversation(id);
  if (!isStill()) return;
  if (!conversation) throw new UserError(t("This conversation was deleted. Reload the page."));
  refreshList().catch(tell);
  await open(conversation, false, place);
}

/** Opens a conversation that somebody chose from a list. */
export function choose(id, place = null) {
  closePanels();
  return openById(id, place);
}

/** Opens an empty conversation with a character: one that is there, or a new one. */
export async function talkWith(character) {
  // At once: what is opened meanwhile stays open.
  closePanels();
  const isStill = setOut();
  const id = await once(`begin ${character.id}`, () => begin(character));
  if (!isStill()) return refreshList();
  await openById(id);
  if (isOpen(id) && !state.dialog) document.getElementById("message")?.focus();
}

async function begin({ id }) {
  const empty = await findEmpty(id);
  if (empty) return empty.id;
  const row = { user_id: state.me.id, character_id: id };
  const made = await data(supabase.from("conversations").insert(row).select("id").single());
  announce();
  return made.id;
}

/** An untitled conversation with this character alone in which nobody has said anything. */
async function findEmpty(character_id) {
  const rows = await data(
    supabase
      .from("conversations")
      .select(
        "id, title, conversation_characters(character_id), conversation_entries(title, is_deleted), messages!messages_conversation_id_fkey(id)",
      )
      .match({ character_id, user_id: state.me.id })
      .order("updated_at", { ascending: false })
      .limit(EMPTY)
      .limit(1, { referencedTable: "messages" }),
  );
  const isUntouched = (row) => !row.title && !entryOf(row).title && !entryOf(row).is_deleted;
  return rows.find(
    (row) => !row.messages.length && !row.conversation_characters.length && isUntouched(row) && !state.running.has(row.id),
  );
}

/** Shows what changed in another tab or on another device. */
export async function refresh() {
  const { conversation } = state;
  await refreshList();
  if (!conversation || !isOpen(conversation.id) || state.phase === "loading") return;
  const show = shower(conversation.id);
  const now = await findConversation(conversation.id);
  if (!isOpen(conversation.id)) return;
  if (!now) return leave(t("This conversation was deleted."));
  show(now);
  if (state.phase === "failed") return loadOpen();
  if (state.turn) return;
  await loadMessages();
  if (isOpen(conversation.id)) await follow();
}

/** Opens the conversation that the address names after back, forward or a changed address. */
export async function followAddress() {
  const id = addressed();
  if (id === (state.conversation?.id ?? null)) return;
  closePanels();
  const isStill = setOut();
  // Not an address of ours: a link to a place in the page.
  if (!id && location.hash && state.conversation) return write(state.conversation.id, true);
  if (!id) return close();
  const conversation = await findConversation(id);
  if (!isStill()) return;
  if (conversation) await open(conversation, true);
  else leave(t("This conversation was deleted."));
}

/** Closes the open conversation because it is gone. */
export function leave(said) {
  write(null, true);
  close(said);
}

/** Shows the characters to choose from. */
export function choosePartner() {
  write(null);
  close();
}

function close(said = "") {
  setOut();
  leaveDialog(null);
  set({ conversation: null, messages: [], editing: null, notice: said, said });
}

export async function changeConversation(id, changes) {
  await data(supabase.from("conversations").update(changes).eq("id", id));
  await reread(id);
}

/** Loads the row of a conversation again, and shows it if it is open. */
export async function reread(id) {
  const show = shower(id);
  const row = titled(await data(supabase.from("conversations").select(CONVERSATION).eq("id", id).single()));
  await loadMembers(row);
  announce(id);
  show(row);
  await refreshList();
}

/** Copies a conversation up to a message, and opens the copy unless the person goes elsewhere meanwhile. */
export async function branch(message) {
  const isStill = whereabouts();
  const request = { action: "branch", message_id: message.id, client_message_id: crypto.randomUUID() };
  const { conversation_id } = await once(`branch ${message.id}`, () => act(request));
  await loadAll();
  announce();
  if (!isStill()) return;
  await openById(conversation_id);
  if (!isOpen(conversation_id)) return;
  set({ notice: t("This is a branch with a copy of the earlier messages. The original conversation is unchanged.") });
}
