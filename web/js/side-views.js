// The templates of the list at the side.

import { html, nothing } from "lit-html";
import { repeat } from "lit-html/directives/repeat.js";
import { showAccount } from "./account.js";
import { showAppearance } from "./appearance.js";
import { showCatalogue } from "./catalogue.js";
import { showLibrary } from "./character-dialogs.js";
import { showMoreCharacters } from "./character-list.js";
import { conversationList, conversationMenu } from "./conversation-views.js";
import { talkWith } from "./conversations.js";
import { importFile } from "./imports.js";
import { t } from "./language.js";
import { showBooks } from "./lorebooks.js";
import { doing, drawn, set } from "./page.js";
import { alert } from "./parts.js";
import { showPersonas } from "./personas.js";
import { portrait } from "./portrait.js";
import { searchField, searchResults } from "./search-views.js";
import { signOut } from "./session.js";
import { showShortcuts } from "./shortcuts.js";

/** The list of conversations and characters. */
export function side(state) {
  return html`
    <nav class="side" id="side" aria-label=${t("Conversations and characters")} ?data-open=${state.menu}>
      <a class="brand" href="./"><img src="icon.svg" alt="" width="26" height="26" /> ${t("Roleplay")}</a>
      <div class="lists">
        ${state.menu && !state.dialog ? alert(state) : nothing}
        ${searchField(state)}
        ${state.search.results ? searchResults(state) : lists(state)}
      </div>
      <footer>
        <span class="who" dir="auto" title=${state.me.email}>${state.me.name}</span>
        ${state.me.isAdmin ? html`<a href="console.html">${t("Console")}</a>` : nothing}
        <button class="link" @click=${doing(() => showAccount())}>${t("Account")}</button>
        <button class="link" @click=${showAppearance}>${t("Appearance")}</button>
        <button class="link" @click=${showShortcuts}>${t("Keys")}</button>
        <button class="link" @click=${signOut}>${t("Sign out")}</button>
      </footer>
    </nav>
    ${conversationMenu(state)}
  `;
}

const lists = (state) => html`
  ${conversationList(state)}
  <h2>${t("Library")}</h2>
  <ul>
    <li><button @click=${doing(() => showLibrary())}><span>${t("Your characters")}<small>${t("Create, change, export and delete")}</small></span></button></li>
    <li><button @click=${doing(() => showCatalogue())}><span>${t("Public characters")}<small>${t("Search what others have made")}</small></span></button></li>
  </ul>
  <h2>${t("Characters")}</h2>
  <ul>
    ${repeat(state.characters, ({ id }) => id, (each) => html`
      <li>
        <button @click=${doing(() => talkWith(each))}>
          ${portrait(each)}
          <span dir="auto">${each.name}<small>${t("Start a conversation")}</small></span>
        </button>
      </li>`)}
  </ul>
  ${state.hasMoreCharacters
    ? html`<button class="link more" @click=${doing(showMoreCharacters)}>${t("Show more characters")}</button>`
    : nothing}
  <h2>${t("Personas")}</h2>
  <ul><li><button @click=${doing(showPersonas)}><span>${t("Your personas")}<small>${t("Who you are in a story")}</small></span></button></li></ul>
  <h2>${t("Lorebooks")}</h2>
  <ul><li><button @click=${doing(showBooks)}><span>${t("Your lorebooks")}<small>${t("What characters know of your world")}</small></span></button></li></ul>
  <label class="drop">
    <input type="file" accept=".json,.jsonl,.txt,.png,.charx,.byaf,.yaml,.yml" class="unseen"
      @change=${doing(async ({ target }) => {
        const [file] = target.files;
        target.value = "";
        if (file) await importFile(file);
      })} />
    <strong>${t("Import a character card, a lorebook or a chat")}</strong>
    <small>${t("Choose a .png, .json, .jsonl, .charx, .byaf, .yaml or .txt file, or drop it anywhere")}</small>
  </label>`;

export const menuButton = (state) => html`
  <button class="menu" aria-controls="side" aria-expanded=${state.menu} aria-label=${t("Conversations and characters")}
    @click=${doing(async () => {
      set({ menu: true });
      await drawn();
      document.querySelector("#side button").focus();
    })}>
    <svg viewBox="0 0 24 24" aria-hidden="true"><path d="M4 7h16M4 12h16M4 17h10" /></svg>
  </button>`;
