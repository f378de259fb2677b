// The page's address names the open conversation, "#<id>": links, back and forward lead to it.

import { t } from "./language.js";
import { listMembers } from "./state.js";

const ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const APP = "Roleplay";

/** The id of the conversation in the address, or null. */
export function addressed() {
  const id = location.hash.slice(1);
  return ID.test(id) ? id : null;
}

/** Writes a conversation, or none, into the address: as a new place to go back from, or instead of this one. */
export function write(id, instead = false) {
  if (id === addressed()) return;
  const address = id ? `#${id}` : location.pathname;
  if (instead) history.replaceState(null, "", address);
  else history.pushState(null, "", address);
}

/** The title of the window. */
export function windowTitle({ conversation }) {
  if (!conversation) return `${t("Talk")} · ${APP}`;
  const names = listMembers(conversation).map(({ name }) => name).join(", ");
  return `${conversation.title || names || t("Somebody")} · ${APP}`;
}
