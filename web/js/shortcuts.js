// Keys for what is done often, and the list of them.

import { html } from "lit-html";
import { choosePartner } from "./conversations.js";
import { beginEdit } from "./edits.js";
import { t } from "./language.js";
import { isMenuOpen } from "./menus.js";
import { openDialog } from "./page.js";
import { modal } from "./parts.js";
import { showNewest } from "./scrolling.js";
import { focusSearch } from "./search.js";
import { activeMessages, state } from "./state.js";

const LIST = [
  ["?", t("Show this list")],
  ["n", t("Start a new conversation")],
  ["/", t("Search your conversations")],
  ["m", t("Go to the message box")],
  ["Enter", t("Send the message; with Shift, start a new line")],
  ["↑", t("Edit your last message, from the empty message box")],
  ["Escape", t("Stop the reply, or close what is open")],
];

export const shortcuts = (state) => modal(t("Keyboard shortcuts"), html`
  <dl class="keys">${LIST.map(([key, what]) => html`<div><dt><kbd>${key}</kbd></dt><dd>${what}</dd></div>`)}</dl>
  <p class="quiet">${t("Shortcuts that are letters or symbols work while you are not typing in a field.")}</p>`, state);

export const showShortcuts = () => openDialog("shortcuts");

const focus = (selector) => document.querySelector(selector)?.focus();

const KEYS = {
  "?": showShortcuts,
  n: () => choosePartner(),
  "/": () => focusSearch(),
  m: () => focus("#message"),
};

const isTyping = (element) => element.closest?.("input, textarea, select, [contenteditable]");

// The browser closes a dialog on Escape before it tells the page.
const isCovered = () => state.dialog && !document.querySelector("dialog:not([open])");

/** Does what a key stands for, unless somebody is typing, or a dialog or a menu is open. */
export function press(event) {
  const { key, target, ctrlKey, metaKey, altKey, isComposing } = event;
  if (ctrlKey || metaKey || altKey || isComposing || !state.me || !state.ready) return;
  if (isCovered() || isMenuOpen() || isTyping(target)) return;
  if (!Object.hasOwn(KEYS, key)) return;
  event.preventDefault();
  KEYS[key]();
}

/** Opens the editor of the person's last message. */
export async function editLast() {
  if (state.hasLater) await showNewest();
  const mine = activeMessages().filter(({ message }) => message.sender === "user").at(-1);
  if (mine && !state.turn) await beginEdit(mine.message);
}
