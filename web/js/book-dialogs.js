// The dialogs of lorebooks: the list, one book with its entries, and the question before deleting.

import { html, nothing } from "lit-html";
import { live } from "lit-html/directives/live.js";
import { repeat } from "lit-html/directives/repeat.js";
import { titleOf } from "./conversation-views.js";
import { lookingBack, shownEntries, withLookingBack } from "./entries.js";
import { entryForm } from "./entry-form.js";
import { t } from "./language.js";
import * as books from "./lorebooks.js";
import { doing, openDialog, submitting } from "./page.js";
import { modal } from "./parts.js";
import { findCharacter } from "./state.js";

export const BOOK_VIEWS = { lorebooks: list, lorebook: open, "delete-lorebook": discard, "delete-entry": discardEntry };

// --- the list -------------------------------------------------------------------------------

function list(state) {
  const { books: all } = state.dialog;
  const add = submitting(async (event) => {
    const { name, place } = event.target.elements;
    await books.addBook(name.value.trim(), place.value);
  });
  return modal(t("Lorebooks"), html`
    <section>
      <p class="quiet">${t("Models read their entries when the conversation contains their keys.")}</p>
      ${all.length ? nothing : html`<p class="quiet">${t("There are no lorebooks. Add one, or import a file.")}</p>`}
      <ul class="rows">${repeat(all, ({ id }) => id, (book) => html`<li>${row(book, state)}</li>`)}</ul>
    </section>
    <section>
      <form class="add" @submit=${add}>
        <label>${t("Name of a new lorebook")} <input name="name" maxlength="120" dir="auto" required /></label>
        ${places(state, "person", state.me.isAdmin)}
        <button class="primary">${t("Add a lorebook")}</button>
      </form>
    </section>`, state);
}

function row(book, state) {
  const name = books.bookName(book);
  return html`
    <span dir="auto" class=${book.is_enabled ? "" : "quiet"}>${name}
      <small dir="auto">${applies(book, state)}${book.is_enabled ? "" : ` · ${t("off")}`}</small></span>
    <button aria-label=${book.is_enabled ? t("Turn off: {name}", { name }) : t("Turn on: {name}", { name })}
      @click=${doing(() => books.switchBook(book))}>${book.is_enabled ? t("Turn off") : t("Turn on")}</button>
    <button aria-label=${t("Open: {name}", { name })} @click=${doing(() => books.showBook(book))}>${t("Open")}</button>`;
}

const SCOPES = { person: t("All my conversations"), everyone: t("Everybody on this site") };

/** Where a book applies, in words. */
function applies({ scope, conversation_id, persona_id }, state) {
  if (scope === "conversation") return conversationName(conversation_id, state);
  return scope === "persona" ? personaName(persona_id, state) : SCOPES[scope];
}

function conversationName(id, state) {
  if (id === state.conversation?.id) return t("This conversation");
  const conversation = state.conversations.find((each) => each.id === id);
  if (!conversation) return t("Another conversation");
  return t("The conversation “{title}”", { title: titleOf(conversation) });
}

function personaName(id, { dialog }) {
  const persona = dialog.personas.find((each) => each.id === id) ?? findCharacter(id);
  return t("When I play {name}", { name: persona?.name ?? t("somebody") });
}

/** The choice of a place; a book's own is among them. `chosen` is a value of `placeOf`. */
function places(state, chosen, forEverybody, change = null) {
  const scopes = forEverybody ? ["person", "everyone"] : ["person"];
  const all = new Map(scopes.map((scope) => [scope, SCOPES[scope]]));
  const offer = (scope, id) =>
    all.set(`${scope} ${id}`, applies({ scope, conversation_id: id, persona_id: id }, state));
  if (state.conversation) offer("conversation", state.conversation.id);
  for (const { id } of state.dialog.personas) offer("persona", id);
  if (!all.has(chosen)) offer(...chosen.split(" "));
  return html`
    <label>${t("Where it applies")}
      <select name="place" .value=${live(chosen)} @change=${change}>
        ${[...all].map(([value, text]) => html`<option value=${value} ?selected=${value === chosen} dir="auto">${text}</option>`)}
      </select>
    </label>`;
}

// --- one book -------------------------------------------------------------------------------

function open(state) {
  const { book, entry } = state.dialog;
  const entries = shownEntries(book.content);
  const change = (changes) => doing(() => books.changeBook(book, changes))();
  return modal(books.bookName(book), html`
    <section>
      <label>${t("Name")}
        <input id="book-name" maxlength="120" dir="auto" .value=${book.name}
          @change=${({ target }) => change({ name: target.value.trim() })} />
      </label>
      ${book.scope === "everyone"
        ? html`<p class="quiet">${t("It applies to everybody on this site.")}</p>`
        : places(state, books.placeOf(book), false, ({ target }) => doing(() => books.moveBook(book, target.value))())}
      <label class="check">
        <input type="checkbox" .checked=${live(book.is_enabled)}
          @change=${({ target }) => change({ is_enabled: target.checked })} />
        ${t("Use this lorebook")}
      </label>
      ${backwards(book, change)}
    </section>
    <section>
      <h3>${t("Entries")}</h3>
      ${entries.length ? nothing : html`<p class="quiet">${t("There are no entries.")}</p>`}
      <ul class="rows">
        ${repeat(entries, ({ place }) => place, (each) => html`
          <li>${entry?.place === each.place ? entryForm(state, each.place) : shownEntry(state, each)}</li>`)}
      </ul>
      ${entry?.place === null
        ? entryForm(state, null)
        : html`<button id="add-entry" @click=${doing(() => books.openEntry(null))}>${t("Add an entry")}</button>`}
    </section>
    <section class="choices">
      <button @click=${doing(books.showBooks)}>${t("All lorebooks")}</button>
      <button class="danger" @click=${() => openDialog("delete-lorebook", { book })}>${t("Delete this lorebook")}</button>
    </section>`, state);
}

/** How many older messages are searched if the newest ones do not have enough keys. */
function backwards({ content }, change) {
  const { least, most } = lookingBack(content);
  const number = (name, label, highest, value) => html`
    <label>${label}
      <input name=${name} type="number" min="0" max=${highest} required .value=${String(value)}
        @change=${({ target }) =>
          target.reportValidity()
          && change({ content: withLookingBack(content, { least, most, [name]: target.valueAsNumber }) })} />
    </label>`;
  return html`
    ${number("least", t("Search older messages until this many entries are found (0: only the newest)"), 100, least)}
    ${least ? number("most", t("How many messages are searched at most (0: all)"), 1000, most) : nothing}`;
}

function shownEntry({ dialog }, entry) {
  const { place, title, keys, isOn, isConstant } = entry;
  const facts = [isConstant ? t("always active") : keys, isOn ? "" : t("off")].filter(Boolean).join(" · ");
  return html`
    <span dir="auto" class=${isOn ? "" : "quiet"}>${title}<small dir="auto">${facts}</small></span>
    <button data-entry=${place} aria-label=${t("Change: {name}", { name: title })}
      @click=${doing(() => books.openEntry(place))}>${t("Change")}</button>
    <button aria-label=${t("Delete: {name}", { name: title })}
      @click=${() => openDialog("delete-entry", { book: dialog.book, personas: dialog.personas, place, title })}>${t("Delete")}</button>`;
}

// --- questions ------------------------------------------------------------------------------

function discard(state) {
  const { book } = state.dialog;
  return modal(t("Delete the lorebook"), html`
    <p>${t("This deletes “{name}” with all its entries. It cannot be undone.", { name: books.bookName(book) })}</p>
    <div class="choices">
      <button class="danger" @click=${doing(() => books.deleteBook(book))}>${t("Delete the lorebook")}</button>
      <button @click=${doing(books.showBooks)}>${t("Keep it")}</button>
    </div>`, state);
}

function discardEntry(state) {
  const { book, place, title } = state.dialog;
  return modal(t("Delete the entry"), html`
    <p>${t("This deletes “{name}”. It cannot be undone.", { name: title })}</p>
    <div class="choices">
      <button class="danger" @click=${doing(() => books.deleteEntry(book, place))}>${t("Delete the entry")}</button>
      <button @click=${doing(books.keepBook)}>${t("Keep it")}</button>
    </div>`, state);
}
