// The dialogs of characters: the person's own, one with its details, and the question before deleting.

import { html, nothing } from "lit-html";
import { live } from "lit-html/directives/live.js";
import { repeat } from "lit-html/directives/repeat.js";
import { blockAuthor, ownReport, resumeCatalogue, unblockAuthor } from "./catalogue.js";
import { editCharacter } from "./character-editor.js";
import * as characters from "./characters.js";
import { talkWith } from "./conversations.js";
import { dateFormat, plural, t } from "./language.js";
import { excerpt, line } from "./legible.js";
import { newestOf } from "./newest.js";
import { changeDialog, doing, openDialog, openWhenLoaded, set, watchDialog } from "./page.js";
import { modal } from "./parts.js";
import { portrait, portraitTools } from "./portrait.js";
import { state } from "./state.js";

const FORMATS = { json: "JSON", png: "PNG", charx: "CHARX" };
const day = dateFormat({ dateStyle: "medium" });

export const rating = ({ content_rating }) => (content_rating === "nsfw" ? t("For adults") : t("For a general audience"));

// --- the person's own -----------------------------------------------------------------------

const newest = newestOf();
const isLibraryOpen = () => state.dialog?.name === "library";

let last = null; // {search, tag}

/** Opens the list of the person's own characters. */
export async function showLibrary(choice = { search: "", tag: "" }) {
  openDialog("library", { ...choice, rows: [], hasMore: false, allTags: [], takeDowns: new Map(), phase: "loading" });
  await loadLibrary();
}

/** Opens the list again with the last search. */
const resumeLibrary = () => showLibrary(last ?? undefined);

/** Loads the list with other choices. */
async function loadLibrary(changes = {}) {
  const choice = { search: state.dialog.search, tag: state.dialog.tag, ...changes };
  last = choice;
  set({ dialog: { ...state.dialog, ...choice, phase: "loading" }, trouble: null });
  try {
    const loaded = await newest(
      () => Promise.all([characters.ownPage(choice), characters.ownTags(), characters.ownTakeDowns()]),
      isLibraryOpen,
    );
    if (!loaded) return;
    const [page, allTags, takeDowns] = loaded;
    set({ dialog: { ...state.dialog, ...page, allTags, takeDowns, phase: "ready" } });
  } catch (error) {
    set({ dialog: { ...state.dialog, rows: [], hasMore: false, phase: "failed" } });
    throw error;
  }
}

async function moreOfLibrary() {
  const { search, tag, rows } = state.dialog;
  const page = await newest(() => characters.ownPage({ search, tag }, rows.at(-1)), isLibraryOpen);
  if (page) set({ dialog: { ...state.dialog, rows: [...rows, ...page.rows], hasMore: page.hasMore } });
}

function library(state) {
  const { dialog } = state;
  const { search, tag, rows, hasMore, allTags, phase } = dialog;
  return modal(t("Your characters"), html`
    ${leaving()}
    <div class="choices"><button class="primary" @click=${doing(() => edit(null, "library"))}>${t("Create a character")}</button></div>
    <section>
      <label>${t("Search by name")}
        <input type="search" maxlength="120" dir="auto" .value=${search}
          @input=${({ target }) => doing(() => loadLibrary({ search: target.value }))()} />
      </label>
      ${allTags.length
        ? html`<label>${t("Tag")}
            <select .value=${live(tag)} @change=${({ target }) => doing(() => loadLibrary({ tag: target.value }))()}>
              <option value="">${t("All")}</option>
              ${allTags.map((each) => html`<option value=${each} ?selected=${each === tag}>${each}</option>`)}
            </select>
          </label>`
        : nothing}
      ${phase === "loading" && !rows.length ? html`<p class="quiet" role="status">${t("Loading …")}</p>` : nothing}
      ${phase === "ready" && !rows.length ? html`<p class="quiet">${nobody(dialog)}</p>` : nothing}
      <ul class="entries">${repeat(rows, ({ id }) => id, (row) => html`<li>${own(row, dialog)}</li>`)}</ul>
      ${hasMore
        ? html`<button ?disabled=${phase !== "ready"} @click=${doing(moreOfLibrary)}>${t("Show more characters")}</button>`
        : nothing}
      ${phase === "failed" ? html`<button @click=${doing(() => loadLibrary())}>${t("Try again")}</button>` : nothing}
    </section>`, state);
}

const nobody = ({ search, tag }) =>
  search.trim() || tag ? t("None of your characters has this name or tag.") : t("You have no characters yet. Create one, or import a character card.");

const own = (row, { takeDowns }) => html`
  ${portrait(row)}
  <span dir="auto">${row.name}
    <small>${[row.is_public ? t("Public") : t("Private"), rating(row), ...row.tags].join(" · ")}</small>
    ${takeDowns.has(row.id) ? html`<small>${t("Taken down")}</small>` : nothing}</span>
  <button aria-label=${t("Details of {name}", { name: row.name })} @click=${doing(() => showCharacter(row, "library"))}>${t("Details")}</button>
  <button aria-label=${t("Talk with {name}", { name: row.name })} @click=${doing(() => talkWith(row))}>${t("Talk")}</button>`;

/** That a character is about to be deleted, and the way back. */
function leaving() {
  const character = characters.leavingCharacter();
  if (!character) return nothing;
  const undo = doing(async () => {
    await characters.keepCharacter();
    if (state.dialog?.name === "library") await loadLibrary();
  });
  return html`
    <p class="notice" role="status">${t("{name} will be deleted.", { name: character.name })}
      <button @click=${undo}>${t("Undo")}</button></p>`;
}

// --- one character --------------------------------------------------------------------------

/** Opens the details of a character; `back`: the dialog to go back to, "library", "catalogue" or null. */
export async function showCharacter(row, back = null, done = "") {
  await openWhenLoaded("character", async () => {
    const [character, report] = await Promise.all([characters.readCharacter(row), ownReport(row.id)]);
    return character ? { character, report, back, done, warnings: [] } : { character, back };
  });
}

/** Opens the form of a character, and its details afterwards. */
const edit = (character, back) =>
  editCharacter(character, (id, done) => (id ? showCharacter({ id }, back, done) : resumeLibrary()));

const BACK = { library: [t("Your characters"), resumeLibrary], catalogue: [t("Public characters"), resumeCatalogue] };

const backButton = (back) =>
  back ? html`<button @click=${doing(BACK[back][1])}>${BACK[back][0]}</button>` : nothing;

function details(state) {
  const { character, back, done, warnings } = state.dialog;
  if (!character) {
    return modal(t("Character"), html`<p>${t("This character is no longer available.")}</p><div class="choices">${backButton(back)}</div>`, state);
  }
  return modal(character.name, html`
    ${done ? html`<p class="notice" role="status">${done}</p>` : nothing}
    ${character.takenDown === null
      ? nothing
      : html`<p class="notice" dir="auto">${t("Taken down by the operators, so it no longer replies: {reason}", { reason: line(character.takenDown) })}</p>`}
    <div class="person-head">${portrait(character)}<ul class="facts">${facts(character).map((fact) => html`<li dir="auto">${fact}</li>`)}</ul></div>
    <div class="choices">
      <button class="primary" @click=${doing(() => talkWith(character))}>${t("Start a conversation")}</button>
      ${character.isOwn
        ? html`<button @click=${doing(() => edit(character, back))}>${t("Edit")}</button>${portraitTools(character, state.me)}`
        : nothing}
      ${backButton(back)}
    </div>
    ${text(t("Description"), character.description, character, state)}
    ${text(t("Greeting"), character.first_message, character, state)}
    ${exportForm(character, warnings)}
    ${character.isOwn
      ? html`<section><button class="danger" @click=${() => openDialog("delete-character", { character, back })}>${t("Delete this character")}</button></section>`
      : complaints(state)}`, state);
}

function facts(character) {
  const greetings = character.alternate_greetings.length;
  return [
    character.isOwn ? t("Made by you") : character.user_id === null ? t("Made by this site") : t("Made by somebody else"),
    character.isOwn ? (character.is_public ? t("Public") : t("Private")) : "",
    rating(character),
    character.age === null ? (character.isOwn ? t("No stated age") : "") : t("Stated age: {age}", { age: String(character.age) }),
    greetings ? plural(greetings, { one: "{n} further greeting", other: "{n} further greetings" }) : "",
    character.tags.length ? t("Tags: {tags}", { tags: character.tags.map(line).join(", ") }) : "",
  ].filter(Boolean);
}

const SHOWN = 3000; // characters of a text

const text = (title, value, { name }, { me }) => value.trim()
  ? html`<section><h3>${title}</h3><p class="lines" dir="auto">${excerpt(value, SHOWN, name, me.name)}</p></section>`
  : nothing;

function exportForm(character, warnings) {
  const save = doing(async (event) => {
    event.preventDefault();
    const left = await characters.exportCard(character, event.target.elements.format.value);
    if (state.dialog?.character === character) changeDialog({ warnings: left });
  });
  return html`
    <section>
      <form class="row" @submit=${save}>
        <label>${t("Character card")}
          <select name="format">
            ${Object.entries(FORMATS).map(([value, name]) => html`<option value=${value}>${name}</option>`)}
          </select>
        </label>
        <button>${t("Export")}</button>
      </form>
      ${warnings.length ? html`<ul class="needs">${warnings.map((each) => html`<li dir="auto">${each}</li>`)}</ul>` : nothing}
    </section>`;
}

// --- what one may do about characters of others ---------------------------------------------

const OUTCOMES = { taken_down: t("It was taken down."), dismissed: t("The operators kept it.") };

function complaints({ dialog }) {
  const { character, report, back } = dialog;
  const block = doing(async () => {
    const isStill = watchDialog();
    const author_id = await blockAuthor(character);
    const sentence = t("You no longer see this author's characters. Your account lists the authors you blocked.");
    if (isStill()) changeDialog({ done: sentence, blocked: author_id });
    else set({ said: sentence });
  });
  const unblock = doing(async () => {
    const isStill = watchDialog();
    await unblockAuthor(dialog.blocked);
    if (isStill()) changeDialog({ done: t("The author is no longer blocked."), blocked: null });
  });
  return html`
    <section>
      ${report
        ? html`<p class="quiet">${t("You reported this character on {day}.", { day: day.format(new Date(report.created_at)) })}
            ${OUTCOMES[report.outcome] ?? t("Not reviewed yet.")}</p>`
        : nothing}
      <div class="choices">
        <button @click=${() => openDialog("report", { character, back })}>${t("Report this character")}</button>
        ${character.user_id === null
          ? nothing
          : dialog.blocked
            ? html`<button @click=${unblock}>${t("Unblock the author")}</button>`
            : html`<button @click=${block}>${t("Block the author")}</button>`}
      </div>
    </section>`;
}

// --- questions ------------------------------------------------------------------------------

function deletion(state) {
  const { character, back } = state.dialog;
  const remove = doing(async () => {
    const isStill = watchDialog();
    await characters.removeCharacter(character);
    if (isStill()) await resumeLibrary();
  });
  return modal(t("Delete the character"), html`
    <p dir="auto">${t("This deletes {name} with its card and its picture. Conversations stay, without the character, also those of other people.", { name: character.name })}</p>
    <div class="choices">
      <button class="danger" @click=${remove}>${t("Delete the character")}</button>
      <button @click=${doing(() => showCharacter(character, back))}>${t("Keep it")}</button>
    </div>`, state);
}

export const CHARACTER_VIEWS = { library, character: details, "delete-character": deletion };
