// The templates of the list at the side.

import { html, nothing } from "../vendor/lit/lit-html.js";
import { repeat } from "../vendor/lit/directives/repeat.js";
import { showAccount } from "./account.js";
import { showAppearance } from "./appearance.js";
import { showCatalogue } from "./catalogue.js";
import { showLibrary } from "./character-dialogs.js";
import * as talks from "./conversations.js";
import { t } from "./language.js";
import { showBooks } from "./lorebooks.js";
import { doing, drawn, set } from "./page.js";
import { portrait } from "./portrait.js";
import { signOut } from "./session.js";
import { showShortcuts } from "./shortcuts.js";
import { listMembers } from "./state.js";

const when = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });

/** The list of conversations and characters. */
export function side(state) {
  return html`
    <nav class="side" id="side" aria-label="Conversations and characters" ?data-open=${state.menu}>
      <a class="brand" href="./"><img src="icon.svg" alt="" width="26" height="26" /> Roleplay</a>
      <div class="lists">
        <h2>Conversations</h2>
        ${state.conversations.length
          ? html`<ul>${repeat(state.conversations, ({ id }) => id, (each) => entry(state, each))}</ul>`
          : html`<p class="quiet">None yet. Choose a character below.</p>`}
        ${state.hasMoreConversations
          ? html`<button class="link more" @click=${doing(talks.showMoreConversations)}>Show more conversations</button>`
          : nothing}
        <h2>${t("Library")}</h2>
        <ul>
          <li><button @click=${doing(() => showLibrary())}><span>${t("Your characters")}<small>${t("Create, change, export and delete")}</small></span></button></li>
          <li><button @click=${doing(() => showCatalogue())}><span>${t("Public characters")}<small>${t("Search what others have made")}</small></span></button></li>
        </ul>
        <h2>Characters</h2>
        <ul>
          ${repeat(state.characters, ({ id }) => id, (each) => html`
            <li>
              <button @click=${doing(() => talks.talkWith(each))}>
                ${portrait(each)}
                <span dir="auto">${each.name}<small>Start a conversation</small></span>
              </button>
            </li>`)}
        </ul>
        ${state.hasMoreCharacters
          ? html`<button class="link more" @click=${doing(talks.showMoreCharacters)}>Show more characters</button>`
          : nothing}
        <h2>Lorebooks</h2>
        <ul><li><button @click=${doing(showBooks)}><span>Your lorebooks<small>What characters know of your world</small></span></button></li></ul>
        <label class="drop">
          <input type="file" accept=".json,.png,.charx,.yaml,.yml,.jsonl" class="unseen"
            @change=${doing(async ({ target }) => {
              const [file] = target.files;
              target.value = "";
              if (file) await talks.importFile(file);
            })} />
          <strong>Import a character card, a lorebook or a chat</strong>
          <small>Choose a .png, .json, .charx or .yaml file, or .jsonl for a chat, or drop it anywhere</small>
        </label>
      </div>
      <footer>
        <span class="who" dir="auto" title=${state.me.email}>${state.me.name}</span>
        ${state.me.isAdmin ? html`<a href="console.html">Console</a>` : nothing}
        <button class="link" @click=${doing(() => showAccount())}>Account</button>
        <button class="link" @click=${showAppearance}>Appearance</button>
        <button class="link" @click=${showShortcuts}>Keys</button>
        <button class="link" @click=${signOut}>Sign out</button>
      </footer>
    </nav>
  `;
}

function entry(state, conversation) {
  const members = listMembers(conversation);
  const [first = { name: "Somebody" }] = members;
  const name = members.map((character) => character.name).join(", ") || first.name;
  const current = state.conversation?.id === conversation.id;
  const branched = conversation.parent_conversation_id ? "Branch · " : "";
  return html`
    <li>
      <button aria-current=${current ? "page" : "false"} @click=${doing(() => talks.open(conversation))}>
        ${portrait(first)}
        <span dir="auto">${conversation.title || name}
          <small>${branched}${conversation.title ? `${name} · ` : ""}${when.format(new Date(conversation.updated_at))}</small>
        </span>
      </button>
    </li>`;
}

export const menuButton = (state) => html`
  <button class="menu" aria-controls="side" aria-expanded=${state.menu} aria-label="Conversations and characters"
    @click=${doing(async () => {
      set({ menu: true });
      await drawn();
      document.querySelector("#side button").focus();
    })}>
    <svg viewBox="0 0 24 24" aria-hidden="true"><path d="M4 7h16M4 12h16M4 17h10" /></svg>
  </button>`;
