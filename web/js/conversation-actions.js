// The actions in the menu of a listed conversation: rename, pin, delete, restore, and write to a file.

import { act } from "./backend.js";
import { changeEntry, findDeleted } from "./conversation-list.js";
import { leave, openById, reread } from "./conversations.js";
import { saveFile } from "./files.js";
import { t } from "./language.js";
import { drawn, focusUnlessTyping, openDialog, openWhenLoaded, set, watchDialog } from "./page.js";
import { state } from "./state.js";
import { isOpen, whereabouts } from "./whereabouts.js";

export const showRename = ({ id, title }) => openDialog("rename", { id, title: title ?? "" });

/** Gives a conversation a title; "" removes it. */
export async function rename(id, title) {
  await changeEntry(id, { title });
  if (isOpen(id)) await reread(id);
  set({ said: t("The conversation was renamed.") });
}

export async function pin({ id, is_pinned }) {
  await changeEntry(id, { is_pinned: !is_pinned });
  set({ said: is_pinned ? t("The conversation was unpinned.") : t("The conversation was pinned.") });
}

/** Deletes a conversation, which can be undone. The draft stays for that. */
export async function remove({ id }) {
  await changeEntry(id, { is_deleted: true });
  const wasOpen = isOpen(id);
  state.running.get(id)?.abort();
  state.running.delete(id);
  const sentence = t("The conversation was deleted.");
  if (wasOpen) leave(sentence);
  set({ said: sentence, undo: { sentence, action: () => restore(id, wasOpen) } });
  await drawn();
  focusUnlessTyping(document.querySelector(".undo button"));
}

/** Undoes a deletion. */
export async function restore(id, isShown = false) {
  const { undo } = state;
  const isStill = whereabouts();
  await changeEntry(id, { is_deleted: false });
  if (isShown && isStill()) await openById(id);
  // Another one may have been deleted meanwhile.
  if (state.undo === undo) set({ undo: null });
  set({ ...(isStill() ? { notice: "" } : {}), said: t("The conversation was restored.") });
}

export const showDeleted = () => openWhenLoaded("deleted", async () => ({ deleted: await findDeleted() }));

/** Restores a conversation from the list of deleted ones, which stays open. */
export async function restoreListed({ id }) {
  const isStill = watchDialog();
  await restore(id);
  if (isStill()) await showDeleted();
}

/** Saves a conversation as a chat file. */
export async function exportChat({ id, title }) {
  const { chat } = await act({ action: "export_chat", conversation_id: id });
  const name = (title ?? "").replace(/[^\p{L}\p{N} -]/gu, "").trim() || t("Conversation");
  saveFile(`${name}.jsonl`, new Blob([chat], { type: "application/jsonl" }));
  set({ said: t("The chat was exported.") });
}
