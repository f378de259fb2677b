// Drafts: one for each conversation, kept on this device until it is sent or its person signs out.

import { draftKey, keepText, replacedKey } from "./device.js";
import { t } from "./language.js";
import { set } from "./page.js";
import { state } from "./state.js";

const key = (conversation_id) => draftKey(state.me.id, conversation_id);
const draftOf = (conversation_id) => localStorage.getItem(key(conversation_id)) ?? "";

/** The text that a model's draft replaced; null if there is none. */
const replacedOf = (conversation_id) => localStorage.getItem(replacedKey(state.me.id, conversation_id));

/** Keeps a conversation's draft, and shows it if the conversation is open. What it was before is forgotten. */
export function keepDraft(conversation_id, text) {
  if (!state.me) return; // They signed out meanwhile.
  keepText(replacedKey(state.me.id, conversation_id), null);
  write(conversation_id, text);
}

function write(conversation_id, text) {
  keepText(key(conversation_id), text || null);
  if (state.conversation?.id === conversation_id) set({ draft: text, replaced: replacedOf(conversation_id) });
}

export const changeDraft = (text) => write(state.conversation.id, text);

// If another tab has the same conversation open, its draft is shown here, so that neither overwrites the other.
addEventListener("storage", ({ key: name }) => {
  if (state.me && state.conversation && name === key(state.conversation.id)) showDraft();
});

/** Shows the draft of the conversation that was opened. */
export function showDraft() {
  const { id } = state.conversation;
  set({ draft: draftOf(id), replaced: replacedOf(id) });
}

/** Writes a model's draft; the text that stood there can be brought back. */
export function replaceDraft(conversation_id, text) {
  if (!state.me) return;
  const before = draftOf(conversation_id) || (state.conversation?.id === conversation_id ? state.draft : "");
  keepText(replacedKey(state.me.id, conversation_id), before);
  write(conversation_id, text);
}

/** Brings back the text that a model's draft replaced. */
export function undoDraft() {
  const { id } = state.conversation;
  keepDraft(id, replacedOf(id) ?? "");
  set({ said: t("Your own text is back.") });
}

/** Gives back a message that was not saved, unless something new was written meanwhile. */
export function giveBackDraft(conversation_id, text) {
  if (state.me && !draftOf(conversation_id)) keepDraft(conversation_id, text);
}
