// The chat's dialogs.

import { html, nothing } from "../vendor/lit/lit-html.js";
import { live } from "../vendor/lit/directives/live.js";
import { repeat } from "../vendor/lit/directives/repeat.js";
import { account } from "./account.js";
import { appearance } from "./appearance.js";
import { BOOK_VIEWS } from "./book-dialogs.js";
import { CONVERSATION_VIEWS } from "./conversation-dialogs.js";
import * as talks from "./conversations.js";
import { day } from "./facts.js";
import { showBooks } from "./lorebooks.js";
import * as facts from "./memory.js";
import { remove } from "./messages.js";
import { closeDialog, doing, openDialog } from "./page.js";
import { modal } from "./parts.js";
import { PERSONA_VIEWS } from "./persona-dialogs.js";
import { portrait, portraitTools } from "./portrait.js";
import { SETTINGS_VIEWS } from "./settings-dialogs.js";
import { shortcuts } from "./shortcuts.js";
import { REACH, findCharacter, listMembers } from "./state.js";

const VIEWS = {
  memory, characters, delete: deletion, imported, chat, "chat-imported": chatImported, why, account, appearance, shortcuts,
  ...BOOK_VIEWS, ...CONVERSATION_VIEWS, ...PERSONA_VIEWS, ...SETTINGS_VIEWS,
};

export function dialog(state) {
  return state.dialog ? VIEWS[state.dialog.name](state) : nothing;
}

// --- memory ---------------------------------------------------------------------------------

function memory(state) {
  const { summary, facts: noted, changing } = state.memory;
  const add = doing(async (event) => {
    event.preventDefault();
    const { content, tier } = event.target.elements;
    await facts.addFact(content.value.trim(), ...tier.value.split(" "));
    content.value = "";
    content.focus();
  });
  return modal("Memory", html`
    <section>
      <h3>Summary</h3>
      ${changing === "summary" ? summaryForm(summary) : shownSummary(summary)}
    </section>
    <section>
      <h3>Facts</h3>
      ${noted.length ? nothing : html`<p class="quiet">There are no facts.</p>`}
      <ul class="rows">
        ${repeat(noted, ({ id }) => id, (fact) => html`<li>${changing === fact.id ? factForm(fact, state) : shownFact(fact)}</li>`)}
      </ul>
      <form class="add" @submit=${add}>
        <label>A fact to remember <input name="content" maxlength="2000" dir="auto" required /></label>
        ${tiers(state)}
        <button class="primary">Add</button>
      </form>
    </section>`, state);
}

const shownSummary = (summary) => html`
  ${summary
    ? html`<p class="lines" dir="auto">${summary}</p>`
    : html`<p class="quiet">There is no summary yet. One is written when the conversation becomes too long for a model.</p>`}
  <div class="choices">
    <button @click=${() => facts.change("summary")}>${summary ? "Change this summary" : "Write a summary"}</button>
    ${summary ? html`<button @click=${doing(facts.forgetSummary)}>Delete this summary</button>` : nothing}
  </div>`;

function summaryForm(summary) {
  const save = doing(async (event) => {
    event.preventDefault();
    await facts.writeSummary(event.target.elements.content.value.trim());
  });
  return html`
    <form class="add" @submit=${save}>
      <label>What happened so far <textarea name="content" rows="6" maxlength="4000" dir="auto" .value=${summary}></textarea></label>
      <p class="quiet">No model changes your words. What happens later is added after them.</p>
      ${choices()}
    </form>`;
}

const IMPORTANCE = { 5: "Never forget", 4: "Important", 3: "Usual", 2: "Minor", 1: "Trivial" };

const shownFact = (fact) => html`
  <span dir="auto" class=${fact.is_active ? "" : "quiet"}>${fact.content}
    <small>${reach(fact.memories)}${fact.written_by === "model" ? " · noted by a model" : ""}${fact.since ? ` · since ${day(fact.since)}` : ""}${fact.is_active ? "" : " · off"}</small>
    ${fact.earlier.length ? html`<small dir="auto">Earlier: ${fact.earlier.join(" ")}</small>` : nothing}</span>
  <select aria-label=${`Importance: ${fact.content}`} .value=${live(String(fact.importance))}
    @change=${({ target }) => doing(() => facts.rateFact(fact, Number(target.value)))()}>
    ${Object.entries(IMPORTANCE).reverse().map(([value, text]) => html`
      <option value=${value} ?selected=${Number(value) === fact.importance}>${text}</option>`)}
  </select>
  <button aria-label=${`${fact.is_active ? "Turn off" : "Turn on"}: ${fact.content}`}
    @click=${doing(() => facts.switchFact(fact))}>${fact.is_active ? "Turn off" : "Turn on"}</button>
  <button aria-pressed=${fact.pinned} @click=${doing(() => facts.pinFact(fact))}>
    ${fact.pinned ? "Pinned" : "Pin"}</button>
  <button aria-label=${`Change: ${fact.content}`} @click=${() => facts.change(fact.id)}>Change</button>
  <button aria-label=${`Forget: ${fact.content}`} @click=${doing(() => facts.forgetFact(fact))}>Forget</button>`;

function factForm(fact, state) {
  const save = doing(async (event) => {
    event.preventDefault();
    const { content, tier } = event.target.elements;
    await facts.changeFact(fact, content.value.trim(), ...tier.value.split(" "));
  });
  return html`
    <form class="add" @submit=${save}>
      <label>The fact <input name="content" maxlength="2000" dir="auto" required .value=${fact.content} /></label>
      ${tiers(state, fact.memories)}
      ${choices()}
    </form>`;
}

const choices = () => html`
  <div class="choices">
    <button class="primary">Save</button>
    <button type="button" @click=${() => facts.change(null)}>Cancel</button>
  </div>`;

function tiers(state, { tier, character_id } = {}) {
  const chosen = tier === "character" ? `character ${character_id}` : tier;
  const members = listMembers(state.conversation).map(({ id, name }) => [`character ${id}`, `everything with ${name}`]);
  const all = [["conversation", REACH.conversation], ...members, ["profile", REACH.profile]];
  return html`
    <label>In
      <select name="tier">
        ${all.map(([value, text]) => html`<option value=${value} ?selected=${value === chosen}>${text}</option>`)}
      </select>
    </label>`;
}

const reach = ({ tier, character_id }) =>
  tier === "character" ? `everything with ${findCharacter(character_id)?.name ?? "a character"}` : REACH[tier];

// --- characters -----------------------------------------------------------------------------

function characters(state) {
  const members = listMembers(state.conversation);
  const strangers = talks.strangers();
  const add = doing(async (event) => {
    event.preventDefault();
    await talks.addCharacter(findCharacter(event.target.elements.character.value));
  });
  return modal("Characters", html`
    <section>
      <p class="quiet">One character speaks at a time: the one you name, or the next in this order.</p>
      <ul class="rows">
        ${repeat(members, ({ id }) => id, (each) => html`
          <li>${portrait(each)}<span dir="auto">${each.name}
              ${each.id === state.conversation.character_id ? html`<small>first, cannot be removed</small>` : nothing}</span>
            ${portraitTools(each, state.me)}
            ${each.id === state.conversation.character_id
              ? nothing
              : html`<button aria-label=${`Remove ${each.name}`} @click=${doing(() => talks.removeCharacter(each))}>Remove</button>`}
          </li>`)}
      </ul>
    </section>
    <section>
      ${!talks.hasRoom()
        ? html`<p class="quiet">There is no room for another character. Remove one first.</p>`
        : !strangers.length
          ? html`<p class="quiet">All your characters are here. Import a character card to add more.</p>`
          : html`
              <form class="add" @submit=${add}>
                <label>Who joins
                  <select name="character">
                    ${repeat(strangers, ({ id }) => id, ({ id, name }) => html`<option value=${id} dir="auto">${name}</option>`)}
                  </select>
                </label>
                <button class="primary">Add to the conversation</button>
              </form>`}
    </section>`, state);
}

// --- why a reply was written as it was ------------------------------------------------------

function why(state) {
  const { why: found } = state.dialog;
  if (!found) {
    return modal("Why this reply?", html`
      <p>This is not known any more. What a model read is kept for a few days only.</p>`, state);
  }
  const { parts, entries, facts: known, recalled, left, more } = found;
  return modal("Why this reply?", html`
    <p>The model read about ${count.format(found.tokens)} tokens. Texts are shown as they are now.</p>
    <section>
      <h3>What the model read</h3>
      <ul class="rows">
        ${parts.map(({ name, tokens, cut }) => html`<li><span>${name}${cut ? html`<small>${cut}</small>` : nothing}</span>
          ${count.format(tokens)}</li>`)}
      </ul>
      <p class="quiet">${messages(found)}</p>
    </section>
    ${listed("Lorebook", entries, entry, more.entries)}
    ${listed("Lorebook entries without room", left.entries, entry, more.left_out_entries)}
    ${found.changed && (entries.length || left.entries.length)
      ? html`<p class="quiet">The card was changed since, so entries may be others now.</p>`
      : nothing}
    ${listed("Facts", known, fact, more.facts)}
    ${listed("Recalled facts", recalled.facts, fact, more.recalled_facts)}
    ${listed("Facts without room", left.facts, fact, more.left_out_facts)}
    ${listed("Recalled messages", recalled.messages, told, more.recalled_messages)}`, state);
}

const count = new Intl.NumberFormat();
const GONE = "Deleted since, or no longer yours to read.";

const messages = ({ messages: read, left }) =>
  [
    read === 1 ? "One earlier message was read." : `${read || "No"} earlier messages were read.`,
    left.messages ? `${left.messages} older ones had no room.` : "",
    left.summary ? "The end of the summary was cut." : "",
  ].filter(Boolean).join(" ");

const listed = (name, rows, shown, others = 0) => rows.length
  ? html`
      <section>
        <h3>${name}</h3>
        <ul class="rows">${rows.map((row) => html`<li><span dir="auto">${shown(row)}</span></li>`)}</ul>
        ${others ? html`<p class="quiet">And ${others} more.</p>` : nothing}
      </section>`
  : nothing;

const entry = ({ text, why: because }) => html`${text ?? GONE}${because ? html`<small>${because}</small>` : nothing}`;
const fact = (text) => text ?? GONE;
const told = (message) => message ? html`${message.text}<small>${message.who}</small>` : GONE;

// --- questions ------------------------------------------------------------------------------

function deletion(state) {
  const { message } = state.dialog;
  return modal("Delete", html`
    <p>This deletes the message with all its versions. It cannot be undone.</p>
    <div class="choices">
      <button class="danger" @click=${doing(() => remove(message, false))}>Delete this message</button>
      <button class="danger" @click=${doing(() => remove(message, true))}>Delete it and all later messages</button>
    </div>`, state);
}

function importedBook(card, state) {
  return modal(`${card.name} is here`, html`
    <p>The lorebook has ${card.book_entries === 1 ? "one entry" : `${card.book_entries} entries`}. It applies to all your conversations.</p>
    ${card.warnings.length ? html`<ul class="needs">${card.warnings.map((text) => html`<li dir="auto">${text}</li>`)}</ul>` : nothing}
    <div class="choices"><button class="primary" @click=${doing(showBooks)}>Show the lorebooks</button></div>`, state);
}

function chat(state) {
  const { file, once } = state.dialog;
  const add = doing(async (event) => {
    event.preventDefault();
    await talks.importChat(file, event.target.elements.character.value, once);
  });
  const current = state.conversation?.character_id;
  return modal("Import a chat", html`
    ${state.characters.length
      ? html`
          <form class="add" @submit=${add}>
            <label>Who the conversation is with
              <select name="character">
                ${repeat(state.characters, ({ id }) => id, ({ id, name }) => html`<option value=${id} ?selected=${id === current} dir="auto">${name}</option>`)}
              </select>
            </label>
            <button class="primary">Import ${file.name}</button>
          </form>`
      : html`<p class="quiet">There is no character yet. Import a character card first.</p>`}`, state);
}

function chatImported(state) {
  const { messages: all, hidden, joined, warnings } = state.dialog.chat;
  return modal("The chat is here", html`
    <p>${all === 1 ? "One message" : `${count.format(all)} messages`} came along${hidden ? `, ${hidden} of them hidden from the model` : ""}.</p>
    ${joined.length ? html`<p dir="auto">${joined.join(", ")} joined the conversation.</p>` : nothing}
    ${warnings.length ? html`<ul class="needs">${warnings.map((text) => html`<li dir="auto">${text}</li>`)}</ul>` : nothing}
    <div class="choices"><button class="primary" @click=${closeDialog}>Read it</button></div>`, state);
}

function imported(state) {
  const { card } = state.dialog;
  if (card.lorebook_id) return importedBook(card, state);
  const talk = doing(async () => {
    closeDialog();
    await talks.talkWith(findCharacter(card.character_id));
  });
  return modal(`${card.name} is here`, html`
    <p>${card.greetings === 1 ? "One greeting" : `${card.greetings} greetings`} and
      ${card.book_entries === 1 ? "one lorebook entry" : `${card.book_entries} lorebook entries`} came along.</p>
    ${card.warnings.length ? html`<ul class="needs">${card.warnings.map((text) => html`<li dir="auto">${text}</li>`)}</ul>` : nothing}
    <div class="choices"><button class="primary" @click=${talk}>Talk with ${card.name}</button></div>`, state);
}
