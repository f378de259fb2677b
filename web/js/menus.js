// The menu of a listed conversation, by mouse and keyboard, and the panels that cover the conversation on a phone.

import { drawn, set } from "./page.js";
import { state } from "./state.js";

const GAP = 8; // pixels between the menu and the edge of the window

const find = () => document.getElementById("conversation-menu");

export async function openMenu(row, button) {
  set({ menuOf: row });
  await drawn();
  const menu = find();
  menu.showPopover();
  const { bottom, right } = button.getBoundingClientRect();
  menu.style.top = `${Math.max(Math.min(bottom, innerHeight - menu.offsetHeight - GAP), GAP)}px`;
  menu.style.left = `${Math.max(Math.min(right, innerWidth - GAP) - menu.offsetWidth, GAP)}px`;
  menu.querySelector("button").focus();
}

/** Closes the menu, which gives the focus back to its button. */
export function closeMenu() {
  find()?.hidePopover();
}

export const isMenuOpen = () => Boolean(find()?.matches(":popover-open"));

const STEPS = { ArrowDown: 1, ArrowUp: -1 };

export function moveInMenu(event) {
  const items = [...event.currentTarget.querySelectorAll("[role=menuitem]")];
  const at = items.indexOf(document.activeElement);
  const to = { Home: 0, End: items.length - 1 }[event.key] ?? (at + STEPS[event.key] + items.length) % items.length;
  if (event.key === "Tab") closeMenu();
  if (Number.isNaN(to)) return;
  event.preventDefault();
  items[to].focus();
}

/** Closes the list or the tools, and gives the focus to the button that opened them. */
export async function closePanel() {
  const opener = state.menu ? ".menu" : ".more-tools";
  set({ menu: false, tools: false });
  await drawn(); // Until then the list keeps it from having the focus.
  document.querySelector(opener)?.focus();
}
