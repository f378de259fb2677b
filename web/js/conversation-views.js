// The templates of the listed conversations and of their menu.

import { html, nothing } from "lit-html";
import { repeat } from "lit-html/directives/repeat.js";
import { exportChat, pin, remove, showDeleted, showRename } from "./conversation-actions.js";
import { showMoreConversations } from "./conversation-list.js";
import { choose } from "./conversations.js";
import { dateFormat, t } from "./language.js";
import { closeMenu, moveInMenu, openMenu } from "./menus.js";
import { doing, set } from "./page.js";
import { portrait } from "./portrait.js";
import { findCharacter } from "./state.js";

const day = dateFormat({ dateStyle: "medium" });
const clock = dateFormat({ timeStyle: "short" });

/** When something was said: the time of today, else the day. */
export function when(time) {
  const at = new Date(time);
  return at.toDateString() === new Date().toDateString() ? clock.format(at) : day.format(at);
}

/** The title of a listed conversation. */
export const titleOf = ({ title, names }) => title ?? (names.join(", ") || t("Somebody"));

/** The picture of the first character of a listed conversation. */
export const pictureOf = ({ character_id, names: [name = t("Somebody")] }) =>
  portrait(findCharacter(character_id) ?? { id: character_id, name });

export const conversationList = (state) => html`
  <h2>${t("Conversations")}</h2>
  ${state.conversations.length
    ? html`<ul>${repeat(state.conversations, ({ id }) => id, (each) => entry(state, each))}</ul>`
    : html`<p class="quiet">${t("None yet. Choose a character below.")}</p>`}
  ${state.nextConversations
    ? html`<button class="link more" @click=${doing(showMoreConversations)}>${t("Show more conversations")}</button>`
    : nothing}
  <button class="link more" @click=${doing(showDeleted)}>${t("Deleted conversations")}</button>`;

function entry(state, row) {
  const isOpen = state.conversation?.id === row.id;
  const facts = [
    row.is_pinned ? t("Pinned") : "",
    row.is_branch ? t("Branch") : "",
    row.title === null ? "" : row.names.join(", "),
    when(row.updated_at),
  ];
  return html`
    <li class="entry">
      <button aria-current=${isOpen ? "page" : "false"} @click=${doing(() => choose(row.id))}>
        ${pictureOf(row)}
        <span dir="auto">${titleOf(row)}
          <small>${facts.filter(Boolean).join(" · ")}</small>
          ${row.last_line ? html`<small dir="auto">${row.last_sender === "user" ? t("You: {words}", { words: row.last_line }) : row.last_line}</small>` : nothing}
        </span>
      </button>
      <button class="options" aria-haspopup="menu" aria-expanded=${state.menuOf?.id === row.id}
        aria-label=${t("Options for {title}", { title: titleOf(row) })} @click=${({ currentTarget }) => openMenu(row, currentTarget)}>
        <svg viewBox="0 0 24 24" aria-hidden="true"><path d="M12 5v.01M12 12v.01M12 19v.01" /></svg>
      </button>
    </li>`;
}

/** The menu of the listed conversation that it was opened for. */
export function conversationMenu({ menuOf: row }) {
  if (!row) return nothing;
  const item = (text, action, isDangerous = false) => html`
    <button role="menuitem" class=${isDangerous ? "danger" : ""} @click=${doing(() => closeMenu() ?? action(row))}>${text}</button>`;
  return html`
    <div popover id="conversation-menu" class="menu-items" role="menu" aria-label=${t("Options for {title}", { title: titleOf(row) })}
      @keydown=${moveInMenu} @toggle=${({ newState }) => newState === "closed" && set({ menuOf: null })}>
      ${item(t("Rename"), showRename)}
      ${item(row.is_pinned ? t("Unpin") : t("Pin"), pin)}
      ${item(t("Export the chat"), exportChat)}
      ${item(t("Delete"), remove, true)}
    </div>`;
}

/** The last action, with a button that undoes it. */
export const undoNotice = ({ undo }) => undo
  ? html`
      <section class="undo" data-refuge=".shell button" aria-label=${t("Undo")}>
        <p>${undo.sentence}</p>
        <button class="primary" @click=${doing(undo.action)}>${t("Undo")}</button>
        <button @click=${() => set({ undo: null })}>${t("Dismiss")}</button>
      </section>`
  : nothing;
