// The message that somebody is editing: its text is kept on this device until it is saved or cancelled, or its person
// signs out. Editing another message meanwhile keeps the text of the first.

import { editKey, keepText, keptJson } from "./device.js";
import { drawn, set } from "./page.js";
import { activeMessages, state } from "./state.js";

const key = (conversation_id) => editKey(state.me.id, conversation_id);

/** [id, text] of each message that is being changed in a conversation, the newest change last. */
function keptEdits(conversation_id) {
  const kept = keptJson(key(conversation_id));
  return new Map(Array.isArray(kept) ? kept : []);
}

const keep = (conversation_id, edits) => keepText(key(conversation_id), edits.size ? JSON.stringify([...edits]) : null);

/** Opens the editor of a message of the open conversation, with the unsaved text, and gives it the focus. */
export async function beginEdit({ id, content }) {
  set({ editing: { id, text: keptEdits(state.conversation.id).get(id) ?? content } });
  await drawn();
  document.querySelector(".editor textarea")?.focus();
}

/** Keeps the text in the open editor. */
export function changeEdit(text) {
  const { id } = state.editing;
  const edits = keptEdits(state.conversation.id);
  edits.delete(id);
  keep(state.conversation.id, edits.set(id, text));
  set({ editing: { id, text } });
}

/** Closes the open editor, discards its text, and opens the one that was open before it. */
export const cancelEdit = () => endEdit(state.conversation.id, state.editing.id);

/** Discards the text in a message's editor, and closes it. */
export function endEdit(conversation_id, id) {
  if (!state.me) return; // They signed out meanwhile.
  const edits = keptEdits(conversation_id);
  if (edits.delete(id)) keep(conversation_id, edits);
  if (state.conversation?.id !== conversation_id || state.editing?.id !== id) return;
  set({ editing: null });
  showEdit();
}

/** Opens the editor again that was left open in the conversation, if its message is shown. */
export function showEdit() {
  if (state.turn || state.editing) return;
  const shown = new Set(activeMessages().map(({ message }) => message.id));
  const last = [...keptEdits(state.conversation.id)].findLast(([id]) => shown.has(id));
  if (last) set({ editing: { id: last[0], text: last[1] } });
}
