// The message that somebody is changing: its text is kept on this device, one for each conversation, until it is saved,
// given up, or its person signs out.

import { editKey } from "./draft-keys.js";
import { drawn, set } from "./page.js";
import { activeMessages, state } from "./state.js";

const key = (conversation_id) => editKey(state.me.id, conversation_id);

/** {id, text} of the message that was being changed in a conversation, or null. */
function keptEdit(conversation_id) {
  try {
    return JSON.parse(localStorage.getItem(key(conversation_id)));
  } catch {
    return null;
  }
}

/** Opens the editor of a message of the open conversation, with what was written there before, and gives it the focus. */
export async function beginEdit({ id, content }) {
  const kept = keptEdit(state.conversation.id);
  set({ editing: kept?.id === id ? kept : { id, text: content } });
  await drawn();
  document.querySelector(".editor textarea")?.focus();
}

/** Keeps what is in the open editor. */
export function changeEdit(text) {
  const editing = { ...state.editing, text };
  try {
    localStorage.setItem(key(state.conversation.id), JSON.stringify(editing));
  } catch {
    // There is no room. The text lasts as long as the editor.
  }
  set({ editing });
}

/** Closes the open editor, and forgets what is in it. */
export const cancelEdit = () => endEdit(state.conversation.id, state.editing.id);

/** Forgets what was written in a message's editor, and closes it. */
export function endEdit(conversation_id, id) {
  if (!state.me) return; // They signed out meanwhile.
  if (keptEdit(conversation_id)?.id === id) localStorage.removeItem(key(conversation_id));
  if (state.conversation?.id === conversation_id && state.editing?.id === id) set({ editing: null });
}

/** Opens the editor again that was left open in the conversation, if its message is shown. */
export function showEdit() {
  const kept = keptEdit(state.conversation.id);
  const isShown = kept && activeMessages().some(({ message }) => message.id === kept.id);
  if (isShown && !state.turn && !state.editing) set({ editing: kept });
}
