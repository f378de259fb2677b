// Where the person is: what was begun in one conversation must not move them away from another.

import { closeDialog, openWhenLoaded } from "./page.js";
import { state } from "./state.js";

let moves = 0; // how often somebody set out for a conversation, or left one

/** Notes that the person goes elsewhere. Returns a function that says whether they went nowhere else since. */
export function setOut() {
  moves += 1;
  return whereabouts();
}

/** The same without going anywhere. */
export function whereabouts() {
  const then = moves;
  return () => then === moves;
}

/** Opens a dialog about the open conversation with what `load` resolves to. It closes with the conversation. */
export function openAbout(name, load = () => ({})) {
  const of = state.conversation.id;
  return openWhenLoaded(name, async () => ({ ...(await load()), of }), () => isOpen(of));
}

/** Closes a dialog that is about another conversation than this one; null: about any. */
export function leaveDialog(id) {
  const { of = null } = state.dialog ?? {};
  if (of !== null && of !== id) closeDialog();
}

export const isOpen = (id) => state.conversation?.id === id;
