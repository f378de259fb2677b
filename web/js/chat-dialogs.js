// The chat's dialogs.

import { html, nothing } from "../vendor/lit/lit-html.js";
import { live } from "../vendor/lit/directives/live.js";
import { repeat } from "../vendor/lit/directives/repeat.js";
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
import { day } from "./facts.js";
import { importChat } from "./imports.js";
import { numberFormat, plural, t } from "./language.js";
import { showBooks } from "./lorebooks.js";
import { addCharacter, hasRoom, removeCharacter, strangers } from "./members.js";
import * as facts from "./memory.js";
import { remove } from "./messages.js";
import { closeDialog, doing, submitting } from "./page.js";
import { modal } from "./parts.js";
import { PERSONA_VIEWS } from "./persona-dialogs.js";
import { portrait, portraitTools } from "./portrait.js";
import { SETTINGS_VIEWS } from "./settings-dialogs.js";
import { shortcuts } from "./shortcuts.js";
import { REACH, findCharacter, listMembers } from "./state.js";

const VIEWS = {
  memory, characters, delete: deletion, imported, chat, "chat-imported": chatImported, why, account,
  "api-keys": apiKeys, appearance, shortcuts, ...BOOK_VIEWS, ...CONVERSATION_VIEWS, ...PERSONA_VIEWS, ...SETTINGS_VIEWS,
  ...CHARACTER_VIEWS, ...EDITOR_VIEWS, ...CATALOGUE_VIEWS, ...ACCOUNT_VIEWS,
};

export function dialog(state) {
  return state.dialog ? VIEWS[state.dialog.name](state) : nothing;
}

// --- memory ---------------------------------------------------------------------------------

function memory(state) {
  const { summary, facts: noted, changing } = state.memory;
  const add = submitting(async (event) => {
    const { content, tier } = event.target.elements;
    const text = content.value;
    await facts.addFact(text.trim(), ...tier.value.split(" "));
    // The next one may be in the field already.
    if (content.value === text) content.value = "";
    content.focus();
  });
  return modal(t("Memory"), html`
    <section>
      <h3>${t("Summary")}</h3>
      ${changing === "summary" ? summaryForm(summary) : shownSummary(summary)}
    </section>
    <section>
      <h3>${t("Facts")}</h3>
      ${noted.length ? nothing : html`<p class="quiet">${t("There are no facts.")}</p>`}
      <ul class="rows">
        ${repeat(noted, ({ id }) => id, (fact) => html`<li>${changing === fact.id ? factForm(fact, state) : shownFact(fact)}</li>`)}
      </ul>
      <form class="add" @submit=${add}>
        <label>${t("A fact to remember")} <input name="content" maxlength="2000" dir="auto" required /></label>
        ${tiers(state)}
        <button class="primary">${t("Add")}</button>
      </form>
    </section>`, state);
}

const shownSummary = (summary) => html`
  ${summary
    ? html`<p class="lines" dir="auto">${summary}</p>`
    : html`<p class="quiet">${t("There is no summary yet. One is written when the conversation becomes too long for a model.")}</p>`}
  <div class="choices">
    <button @click=${() => facts.change("summary")}>${summary ? t("Change this summary") : t("Write a summary")}</button>
    ${summary ? html`<button @click=${doing(facts.forgetSummary)}>${t("Delete this summary")}</button>` : nothing}
  </div>`;

function summaryForm(summary) {
  const save = submitting((event) => facts.writeSummary(event.target.elements.content.value.trim()));
  return html`
    <form class="add" @submit=${save}>
      <label>${t("What happened so far")} <textarea name="content" rows="6" maxlength="4000" dir="auto" .value=${summary}></textarea></label>
      <p class="quiet">${t("No model changes your words. What happens later is added after them.")}</p>
      ${choices()}
    </form>`;
}

const IMPORTANCE = { 5: t("Never forget"), 4: t("Important"), 3: t("Usual"), 2: t("Minor"), 1: t("Trivial") };

const shownFact = (fact) => html`
  <span dir="auto" class=${fact.is_active ? "" : "quiet"}>${fact.content}
    <small>${origin(fact).filter(Boolean).join(" · ")}</small>
    ${fact.earlier.length ? html`<small dir="auto">${t("Earlier: {texts}", { texts: fact.earlier.join(" ") })}</small>` : nothing}</span>
  <select aria-label=${t("Importance: {fact}", { fact: fact.content })} .value=${live(String(fact.importance))}
    @change=${({ target }) => doing(() => facts.rateFact(fact, Number(target.value)))()}>
    ${Object.entries(IMPORTANCE).reverse().map(([value, text]) => html`
      <option value=${value} ?selected=${Number(value) === fact.importance}>${text}</option>`)}
  </select>
  <button aria-label=${fact.is_active ? t("Turn off: {name}", { name: fact.content }) : t("Turn on: {name}", { name: fact.content })}
    @click=${doing(() => facts.switchFact(fact))}>${fact.is_active ? t("Turn off") : t("Turn on")}</button>
  <button aria-pressed=${fact.pinned} @click=${doing(() => facts.pinFact(fact))}>
    ${fact.pinned ? t("Pinned") : t("Pin")}</button>
  <button aria-label=${t("Change: {name}", { name: fact.content })} @click=${() => facts.change(fact.id)}>${t("Change")}</button>
  <button aria-label=${t("Forget: {fact}", { fact: fact.content })} @click=${doing(() => facts.forgetFact(fact))}>${t("Forget")}</button>`;

const origin = (fact) => [
  reach(fact.memories),
  fact.written_by === "model" ? t("noted by a model") : "",
  fact.since ? t("since {day}", { day: day(fact.since) }) : "",
  fact.is_active ? "" : t("off"),
];

function factForm(fact, state) {
  const save = submitting(async (event) => {
    const { content, tier } = event.target.elements;
    await facts.changeFact(fact, content.value.trim(), ...tier.value.split(" "));
  });
  return html`
    <form class="add" @submit=${save}>
      <label>${t("The fact")} <input name="content" maxlength="2000" dir="auto" required .value=${fact.content} /></label>
      ${tiers(state, fact.memories)}
      ${choices()}
    </form>`;
}

const choices = () => html`
  <div class="choices">
    <button class="primary">${t("Save")}</button>
    <button type="button" @click=${() => facts.change(null)}>${t("Cancel")}</button>
  </div>`;

function tiers(state, { tier, character_id } = {}) {
  const chosen = tier === "character" ? `character ${character_id}` : tier;
  const members = listMembers(state.conversation).map(({ id, name }) => [`character ${id}`, t("everything with {name}", { name })]);
  const all = [["conversation", REACH.conversation], ...members, ["profile", REACH.profile]];
  return html`
    <label>${t("In")}
      <select name="tier">
        ${all.map(([value, text]) => html`<option value=${value} ?selected=${value === chosen}>${text}</option>`)}
      </select>
    </label>`;
}

const reach = ({ tier, character_id }) =>
  tier === "character"
    ? t("everything with {name}", { name: findCharacter(character_id)?.name ?? t("a character") })
    : REACH[tier];

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
      <p>${t("This is not known any more. What a model read is kept for a few days only.")}</p>`, state);
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
      ? html`<p class="quiet">${t("The card was changed since, so entries may be others now.")}</p>`
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
  return modal(t("{name} is here", { name: card.name }), html`
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
  return modal(t("The chat is here"), html`
    <p>${hidden
      ? plural(all, { one: "One message came along, {hidden} of them hidden from the model.", other: "{n} messages came along, {hidden} of them hidden from the model." }, { hidden })
      : plural(all, { one: "One message came along.", other: "{n} messages came along." })}</p>
    ${joined.length ? html`<p dir="auto">${t("{names} joined the conversation.", { names: joined.join(", ") })}</p>` : nothing}
    ${warnings.length ? html`<ul class="needs">${warnings.map((text) => html`<li dir="auto">${text}</li>`)}</ul>` : nothing}
    <div class="choices"><button class="primary" @click=${closeDialog}>${t("Read it")}</button></div>`, state);
}

function imported(state) {
  const { card } = state.dialog;
  if (card.lorebook_id) return importedBook(card, state);
  const talk = doing(() => talkWith(findCharacter(card.character_id)));
  return modal(t("{name} is here", { name: card.name }), html`
    <p>${plural(card.greetings, { one: "One greeting came along.", other: "{n} greetings came along." })}
      ${plural(card.book_entries, { one: "One lorebook entry came along.", other: "{n} lorebook entries came along." })}</p>
    ${card.warnings.length ? html`<ul class="needs">${card.warnings.map((text) => html`<li dir="auto">${text}</li>`)}</ul>` : nothing}
    <div class="choices"><button class="primary" @click=${talk}>${t("Talk with {name}", { name: card.name })}</button></div>`, state);
}
