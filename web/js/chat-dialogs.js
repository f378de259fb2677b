// The chat's dialogs.

import { html, nothing } from "lit-html";
import { repeat } from "lit-html/directives/repeat.js";
import { account } from "./account.js";
import { ACCOUNT_VIEWS } from "./account-sections.js";
import { apiKeys } from "./api-keys.js";
import { appearance } from "./appearance.js";
import { BOOK_VIEWS } from "./book-dialogs.js";
import { CATALOGUE_VIEWS } from "./catalogue-dialogs.js";
import { CHARACTER_VIEWS, showCharacter } from "./character-dialogs.js";
import { EDITOR_VIEWS } from "./character-editor.js";
import { CONVERSATION_VIEWS } from "./conversation-dialogs.js";
import { talkWith } from "./conversations.js";
import { importChat } from "./imports.js";
import { numberFormat, plural, t } from "./language.js";
import { showBooks } from "./lorebooks.js";
import { addCharacter, hasRoom, removeCharacter, strangers } from "./members.js";
import { memory } from "./memory-dialog.js";
import { remove } from "./messages.js";
import { closeDialog, doing, submitting } from "./page.js";
import { modal } from "./parts.js";
import { PERSONA_VIEWS } from "./persona-dialogs.js";
import { portrait, portraitTools } from "./portrait.js";
import { SETTINGS_VIEWS } from "./settings-dialogs.js";
import { shortcuts } from "./shortcuts.js";
import { findCharacter, listMembers } from "./state.js";

const VIEWS = {
  memory, characters, delete: deletion, imported, chat, "chat-imported": chatImported, why, account,
  "api-keys": apiKeys, appearance, shortcuts, ...BOOK_VIEWS, ...CONVERSATION_VIEWS, ...PERSONA_VIEWS, ...SETTINGS_VIEWS,
  ...CHARACTER_VIEWS, ...EDITOR_VIEWS, ...CATALOGUE_VIEWS, ...ACCOUNT_VIEWS,
};

export function dialog(state) {
  return state.dialog ? VIEWS[state.dialog.name](state) : nothing;
}

// --- characters -----------------------------------------------------------------------------

function characters(state) {
  const members = listMembers(state.conversation);
  const others = strangers();
  const add = submitting((event) => addCharacter(findCharacter(event.target.elements.character.value)));
  return modal(t("Characters"), html`
    <section>
      <p class="quiet">${t("One character speaks at a time: the one you name, or the next in this order.")}</p>
      <ul class="rows">
        ${repeat(members, ({ id }) => id, (each) => html`
          <li>${portrait(each)}<span dir="auto">${each.name}
              ${each.id === state.conversation.character_id ? html`<small>${t("first, cannot be removed")}</small>` : nothing}</span>
            <button aria-label=${t("Details of {name}", { name: each.name })} @click=${doing(() => showCharacter(each))}>${t("Details")}</button>
            ${portraitTools(each, state.me)}
            ${each.id === state.conversation.character_id
              ? nothing
              : html`<button aria-label=${t("Remove {name}", { name: each.name })} @click=${doing(() => removeCharacter(each))}>${t("Remove")}</button>`}
          </li>`)}
      </ul>
    </section>
    <section>
      ${!hasRoom()
        ? html`<p class="quiet">${t("There is no room for another character. Remove one first.")}</p>`
        : !others.length
          ? html`<p class="quiet">${t("All your characters are here. Import a character card to add more.")}</p>`
          : html`
              <form class="add" @submit=${add}>
                <label>${t("Who joins")}
                  <select name="character">
                    ${repeat(others, ({ id }) => id, ({ id, name }) => html`<option value=${id} dir="auto">${name}</option>`)}
                  </select>
                </label>
                <button class="primary">${t("Add to the conversation")}</button>
              </form>`}
    </section>`, state);
}

// --- why a reply was written as it was ------------------------------------------------------

function why(state) {
  const { why: found } = state.dialog;
  if (!found) {
    return modal(t("Why this reply?"), html`
      <p>${t("There is no record of this any more. What a model read is kept for only a few days.")}</p>`, state);
  }
  const { parts, entries, facts: known, recalled, left, more } = found;
  return modal(t("Why this reply?"), html`
    <p>${t("The model read about {count} tokens. Texts are shown as they are now.", { count: found.tokens })}</p>
    <section>
      <h3>${t("What the model read")}</h3>
      <ul class="rows">
        ${parts.map(({ name, tokens, cut }) => html`<li><span>${name}${cut ? html`<small>${cut}</small>` : nothing}</span>
          ${count.format(tokens)}</li>`)}
      </ul>
      <p class="quiet">${messages(found)}</p>
    </section>
    ${listed(t("Lorebook"), entries, entry, more.entries)}
    ${listed(t("Lorebook entries without room"), left.entries, entry, more.left_out_entries)}
    ${found.changed && (entries.length || left.entries.length)
      ? html`<p class="quiet">${t("The card or a lorebook has changed since then, so these entries may be different now.")}</p>`
      : nothing}
    ${listed(t("Facts"), known, fact, more.facts)}
    ${listed(t("Recalled facts"), recalled.facts, fact, more.recalled_facts)}
    ${listed(t("Facts without room"), left.facts, fact, more.left_out_facts)}
    ${listed(t("Recalled messages"), recalled.messages, told, more.recalled_messages)}`, state);
}

const count = numberFormat();
const GONE = t("Deleted since, or no longer yours to read.");

const messages = ({ messages: read, left }) =>
  [
    read
      ? plural(read, { one: "One earlier message was read.", other: "{n} earlier messages were read." })
      : t("No earlier messages were read."),
    left.messages ? plural(left.messages, { one: "One older message had no room.", other: "{n} older ones had no room." }) : "",
    left.summary ? t("The end of the summary was cut.") : "",
  ].filter(Boolean).join(" ");

const listed = (name, rows, shown, others = 0) => rows.length
  ? html`
      <section>
        <h3>${name}</h3>
        <ul class="rows">${rows.map((row) => html`<li><span dir="auto">${shown(row)}</span></li>`)}</ul>
        ${others ? html`<p class="quiet">${t("And {count} more.", { count: others })}</p>` : nothing}
      </section>`
  : nothing;

const entry = ({ text, why: because }) => html`${text ?? GONE}${because ? html`<small>${because}</small>` : nothing}`;
const fact = (text) => text ?? GONE;
const told = (message) => message ? html`${message.text}<small>${message.who}</small>` : GONE;

// --- questions ------------------------------------------------------------------------------

function deletion(state) {
  const { message } = state.dialog;
  return modal(t("Delete"), html`
    <p>${t("This deletes the message with all its versions. It cannot be undone.")}</p>
    <div class="choices">
      <button class="danger" @click=${doing(() => remove(message, false))}>${t("Delete this message")}</button>
      <button class="danger" @click=${doing(() => remove(message, true))}>${t("Delete it and all later messages")}</button>
    </div>`, state);
}

function importedBook(card, state) {
  return modal(t("{name} was imported", { name: card.name }), html`
    <p>${plural(card.book_entries, {
      one: "The lorebook has one entry. It applies to all your conversations.",
      other: "The lorebook has {n} entries. It applies to all your conversations.",
    })}</p>
    ${card.warnings.length ? html`<ul class="needs">${card.warnings.map((text) => html`<li dir="auto">${text}</li>`)}</ul>` : nothing}
    <div class="choices"><button class="primary" @click=${doing(showBooks)}>${t("Show the lorebooks")}</button></div>`, state);
}

function chat(state) {
  const { file, once } = state.dialog;
  const add = submitting((event) => importChat(file, event.target.elements.character.value, once));
  const current = state.conversation?.character_id;
  return modal(t("Import a chat"), html`
    ${state.characters.length
      ? html`
          <form class="add" @submit=${add}>
            <label>${t("Who the conversation is with")}
              <select name="character">
                ${repeat(state.characters, ({ id }) => id, ({ id, name }) => html`<option value=${id} ?selected=${id === current} dir="auto">${name}</option>`)}
              </select>
            </label>
            <button class="primary">${t("Import {name}", { name: file.name })}</button>
          </form>`
      : html`<p class="quiet">${t("There is no character yet. Import a character card first.")}</p>`}`, state);
}

function chatImported(state) {
  const { messages: all, hidden, joined, warnings } = state.dialog.chat;
  return modal(t("Chat imported"), html`
    <p>${hidden
      ? plural(all, { one: "One message was imported, {hidden} of them hidden from the model.", other: "{n} messages were imported, {hidden} of them hidden from the model." }, { hidden })
      : plural(all, { one: "One message was imported.", other: "{n} messages were imported." })}</p>
    ${joined.length ? html`<p dir="auto">${t("{names} joined the conversation.", { names: joined.join(", ") })}</p>` : nothing}
    ${warnings.length ? html`<ul class="needs">${warnings.map((text) => html`<li dir="auto">${text}</li>`)}</ul>` : nothing}
    <div class="choices"><button class="primary" @click=${closeDialog}>${t("Read it")}</button></div>`, state);
}

function imported(state) {
  const { card } = state.dialog;
  if (card.lorebook_id) return importedBook(card, state);
  const talk = doing(() => talkWith(findCharacter(card.character_id)));
  return modal(t("{name} was imported", { name: card.name }), html`
    <p>${plural(card.greetings, { one: "One greeting was imported.", other: "{n} greetings were imported." })}
      ${plural(card.book_entries, { one: "One lorebook entry was imported.", other: "{n} lorebook entries were imported." })}</p>
    ${card.warnings.length ? html`<ul class="needs">${card.warnings.map((text) => html`<li dir="auto">${text}</li>`)}</ul>` : nothing}
    <div class="choices"><button class="primary" @click=${talk}>${t("Talk with {name}", { name: card.name })}</button></div>`, state);
}
