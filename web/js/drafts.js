// What somebody writes: a draft for each conversation, kept on this device until it is sent or its person signs out.

import { draftKey, replacedKey } from "./draft-keys.js";
import { t } from "./language.js";
import { set } from "./page.js";
import { state } from "./state.js";

const key = (conversation_id) => draftKey(state.me.id, conversation_id);
const draftOf = (conversation_id) => localStorage.getItem(key(conversation_id)) ?? "";

/** What a model's draft took the place of; null if there is none. */
const replacedOf = (conversation_id) => localStorage.getItem(replacedKey(state.me.id, conversation_id));

/** Keeps a conversation's draft, and shows it if the conversation is open. What it was before is forgotten. */
export function keepDraft(conversation_id, text) {
  if (!state.me) return; // They signed out meanwhile.
  localStorage.removeItem(replacedKey(state.me.id, conversation_id));
  write(conversation_id, text);
}

function write(conversation_id, text) {
  try {
    if (text) localStorage.setItem(key(conversation_id), text);
    else localStorage.removeItem(key(conversation_id));
  } catch {
    // There is no room. The draft lasts as long as the page.
  }
  if (state.conversation?.id === conversation_id) set({ draft: text, replaced: replacedOf(conversation_id) });
}

export const changeDraft = (text) => write(state.conversation.id, text);

// Another tab has the same conversation open: what is written there is shown here, so that neither overwrites the other.
addEventListener("storage", ({ key: name }) => {
  if (state.me && state.conversation && name === key(state.conversation.id)) showDraft();
});

/** Shows the draft of the conversation that was opened. */
export function showDraft() {
  const { id } = state.conversation;
  set({ draft: draftOf(id), replaced: replacedOf(id) });
}

/** Writes a model's draft; what stood there can be brought back. */
export function replaceDraft(conversation_id, text) {
  if (!state.me) return;
  const before = draftOf(conversation_id) || (state.conversation?.id === conversation_id ? state.draft : "");
  try {
    localStorage.setItem(replacedKey(state.me.id, conversation_id), before);
  } catch {
    // There is no room. It cannot be brought back.
  }
  write(conversation_id, text);
}

/** Brings back what a model's draft took the place of. */
export function undoDraft() {
  const { id } = state.conversation;
  keepDraft(id, replacedOf(id) ?? "");
  set({ said: t("Your own text is back.") });
}

/** Gives back a message that was not saved, unless something new was written meanwhile. */
export function giveBackDraft(conversation_id, text) {
  if (state.me && !draftOf(conversation_id)) keepDraft(conversation_id, text);
}
