// Imports files: character cards, lorebooks, and chats of other programs.

import { act } from "./backend.js";
import { loadMembers } from "./character-list.js";
import { isChat } from "./chat-file.js";
import { loadAll, openById } from "./conversations.js";
import { inBase64, textOf } from "./files.js";
import { t } from "./language.js";
import { legible } from "./legible.js";
import { closePanels, openDialog, openWhenLoaded, set, watchDialog } from "./page.js";
import { findCharacter } from "./state.js";
import { announce } from "./tabs.js";
import { isOpen, whereabouts } from "./whereabouts.js";

/** Imports a card or a lorebook, or asks whose chat a file of messages is. */
export async function importFile(file) {
  if (!isChat(await textOf(file))) return importCard(file);
  openDialog("chat", { file, once: crypto.randomUUID() });
}

async function importCard(file) {
  let name = "";
  const isShown = await openWhenLoaded("imported", async () => {
    const card = await act({ action: "import_card", card_base64: await inBase64(file) });
    await loadAll();
    if (card.character_id && !findCharacter(card.character_id)) await loadMembers({ character_id: card.character_id, conversation_characters: [] });
    name = legible(card.name);
    return { card: { ...card, name } };
  });
  if (!isShown && name) tellOf(t("{name} was imported", { name }));
}

/** Announces an import to somebody who has gone on to something else. */
const tellOf = (sentence) => set({ notice: sentence, said: sentence });

/**
 * Makes a conversation of a file, and opens it unless the person goes elsewhere meanwhile. `once` is the same for
 * a request that is repeated.
 */
export async function importChat(file, character_id, once) {
  const [isHere, isUnmoved] = [whereabouts(), watchDialog()];
  const title = file.name.replace(/\.\w+$/, "").slice(0, 200);
  const chat_base64 = await inBase64(file);
  const made = await act({ action: "import_chat", character_id, title, chat_base64, client_message_id: once });
  await loadAll();
  announce();
  if (!isHere() || !isUnmoved()) return tellOf(t("Chat imported"));
  closePanels();
  openDialog("chat-imported", { chat: { ...made, joined: made.joined.map(legible), warnings: made.warnings.map(legible) } });
  if (!isOpen(made.conversation_id)) await openById(made.conversation_id);
}
