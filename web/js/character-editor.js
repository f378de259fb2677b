// The form in which a person writes a character.

import { html, nothing } from "lit-html";
import { live } from "lit-html/directives/live.js";
import { UserError } from "./backend.js";
import { MOST_GREETINGS, TEXTS, formOf, isChanged, problem } from "./character-rows.js";
import * as characters from "./characters.js";
import { t } from "./language.js";
import { doing, drawn, openDialog, redraw, set } from "./page.js";
import { modal } from "./parts.js";
import { portraitTools, setPortrait } from "./portrait.js";
import { state } from "./state.js";
import { anew, forget, keep, keptNotice, note, openForm } from "./unsaved.js";

const opened = ({ id, row, tags }) => openForm(`character ${row ? id : "new"}`, formOf(row, tags), row?.updated_at);

/**
 * Opens the form of a character as `readCharacter` gives it; of null, a new one. What was not saved is
 * there again. `finish(id, done)` shows the character afterwards; without an id there is none.
 */
export async function editCharacter(character, finish) {
  const made = { row: character?.row ?? null, tags: character?.tags ?? [] };
  const id = character?.id ?? crypto.randomUUID();
  openDialog("edit-character", { id, ...made, form: opened({ id, ...made }), picture: null, finish, isSaving: false });
  await drawn();
  document.querySelector("dialog [name=name]")?.focus();
}

const typed = (changes) => note(state.dialog.form, changes);

const redrawn = (changes) => {
  typed(changes);
  redraw();
};

const startAnew = () => set({ dialog: { ...state.dialog, form: anew(state.dialog.form) }, trouble: null });

async function save(event) {
  event.preventDefault();
  const { id, form, finish } = state.dialog;
  if (state.dialog.isSaving) return;
  const wrong = problem(form.values);
  if (wrong) throw new UserError(wrong.sentence, "", 0, wrong.field);
  set({ dialog: { ...state.dialog, isSaving: true }, trouble: null });
  try {
    await store();
  } finally {
    if (state.dialog?.id === id) set({ dialog: { ...state.dialog, isSaving: false } });
  }
  const isOpen = state.dialog?.name === "edit-character" && state.dialog.id === id;
  forget({ subject: `character ${id}` });
  if (isOpen) await finish(id, t("Saved."));
}

/** Saves the row, then the tags, then the picture. If a later one is refused, the earlier ones stay saved. */
async function store() {
  const { id, row, tags, form, picture } = state.dialog;
  await characters.saveRow(id, row && { ...row, updated_at: form.since }, form.values);
  const now = await characters.readCharacter({ id });
  forget(form);
  const rest = { ...opened({ id, row: now.row, tags: now.tags }), values: form.values };
  keep(rest);
  const update = (changes) => state.dialog?.id === id && set({ dialog: { ...state.dialog, ...changes } });
  update({ row: now.row, tags: now.tags, form: rest });
  await characters.refreshCharacter(id);
  await characters.saveTags(id, now.tags ?? tags, form.values.tags);
  if (picture) await setPortrait(id, picture);
  update({ picture: null });
}

// --- the form -------------------------------------------------------------------------------

const LABELS = {
  description: t("Description"),
  personality: t("Personality"),
  scenario: t("Scenario"),
  first_message: t("First message"),
  example_messages: t("Example messages"),
  system_prompt: t("Instructions instead of the usual ones"),
  post_history_instructions: t("Instructions after the conversation"),
  depth_prompt: t("Note among the messages"),
};
const ROWS = { description: 6, first_message: 5 };
const FURTHER = ["nickname", "pronouns", "talkativeness", "group_only_greetings", "system_prompt", "post_history_instructions", "depth_prompt", "depth_prompt_depth"];

/** A control with its label, and below it what the server or the page said is wrong with it. `control(attributes)`. */
const field = (name, label, control, hint = "") => html`
  <div class="field">
    <label>${label} ${control}</label>
    ${wrong(name)}
    ${hint ? html`<p class="quiet">${hint}</p>` : nothing}
  </div>`;

const isWrong = (name) => state.trouble?.field === name;
const wrong = (name) => (isWrong(name) ? html`<p class="error" role="alert" id="wrong">${state.trouble.sentence}</p>` : nothing);
const described = (name) => (isWrong(name) ? "wrong" : nothing);

const line = (name, label, hint = "", most = 120) => field(name, label, html`
  <input name=${name} maxlength=${most} dir="auto" autocomplete="off" aria-invalid=${String(isWrong(name))} aria-describedby=${described(name)}
    .value=${live(state.dialog.form.values[name])} @input=${({ target }) => typed({ [name]: target.value })} />`, hint);

const number = (name, label, hint = "") => field(name, label, html`
  <input name=${name} inputmode="decimal" autocomplete="off" maxlength="12" aria-invalid=${String(isWrong(name))} aria-describedby=${described(name)}
    .value=${live(state.dialog.form.values[name])} @input=${({ target }) => typed({ [name]: target.value })} />`, hint);

const passage = (name, hint = "") => field(name, LABELS[name], html`
  <textarea name=${name} rows=${ROWS[name] ?? 3} maxlength=${TEXTS[name]} dir="auto" aria-invalid=${String(isWrong(name))} aria-describedby=${described(name)}
    .value=${live(state.dialog.form.values[name])} @input=${({ target }) => typed({ [name]: target.value })}></textarea>`, hint);

const choice = (name, label, options) => field(name, label, html`
  <select name=${name} aria-invalid=${String(isWrong(name))} aria-describedby=${described(name)} .value=${live(state.dialog.form.values[name])}
    @change=${({ target }) => typed({ [name]: target.value })}>
    ${Object.entries(options).map(([value, text]) => html`<option value=${value} ?selected=${value === state.dialog.form.values[name]}>${text}</option>`)}
  </select>`);

const RATINGS = { sfw: t("A general audience"), nsfw: t("Adults") };
const READ_AS = { system: t("An instruction"), user: t("Words of the person"), assistant: t("Words of the character") };

function editor(state) {
  const { row, form, isSaving } = state.dialog;
  const isAtField = [...Object.keys(form.values), "picture"].includes(state.trouble?.field);
  return modal(row ? t("Edit the character") : t("Create a character"), html`
    ${isChanged(state.dialog, form.values) ? keptNotice(form, startAnew) : nothing}
    <form class="add" novalidate @submit=${doing(save)}>
      ${line("name", t("Name"))}
      ${picture(state)}
      ${passage("description", t("Who the character is. {placeholder} stands for the name of the person who talks with it.", { placeholder: "{{user}}" }))}
      ${passage("personality")}
      ${passage("scenario")}
      ${passage("first_message", t("The character begins a conversation with this."))}
      ${greetings("alternate_greetings", t("Further greeting"))}
      ${passage("example_messages", t("Lines that show how the character speaks."))}
      ${line("tags", t("Tags, separated by commas"), "", 1000)}
      ${number("age", t("Stated age in years"), t("Without a stated age of 18 or more there is no adult content."))}
      ${choice("content_rating", t("Written for"), RATINGS)}
      <label class="check"><input type="checkbox" name="is_public" .checked=${live(form.values.is_public)}
        @change=${({ target }) => typed({ is_public: target.checked })} /> ${t("Public: everybody on this site finds it and can talk with it")}</label>
      <details ?open=${FURTHER.includes(state.trouble?.field)}>
        <summary>${t("Further fields")}</summary>
        <div class="add">
          ${line("nickname", t("Nickname"), t("What the character is called in texts, if not by its name."))}
          ${line("pronouns", t("Pronouns"), "", 40)}
          ${number("talkativeness", t("How often it speaks among others, from 0 to 1"))}
          ${greetings("group_only_greetings", t("Greeting among several characters"))}
          ${passage("system_prompt", t("{placeholder} inserts the usual ones.", { placeholder: "{{original}}" }))}
          ${passage("post_history_instructions")}
          ${passage("depth_prompt")}
          ${number("depth_prompt_depth", t("How many messages follow the note"))}
          ${choice("depth_prompt_role", t("The note is read as"), READ_AS)}
        </div>
      </details>
      <div class="choices">
        <button class="primary" ?disabled=${isSaving}>${isSaving ? t("Saving …") : t("Save")}</button>
        <button type="button" @click=${doing(leave)}>${t("Cancel")}</button>
      </div>
    </form>`, isAtField ? { ...state, trouble: null } : state);
}

function leave() {
  const { id, row, form, finish } = state.dialog;
  forget(form);
  return finish(row && id, "");
}

/** The picture of a character that exists changes at once; that of a new one is kept until it is saved. */
function picture({ dialog, me }) {
  if (dialog.row) {
    const character = { id: dialog.id, user_id: me.id, name: dialog.form.values.name || t("this character") };
    return html`<div class="field"><div class="choices">${portraitTools(character, me)}</div>${wrong("picture")}</div>`;
  }
  const choose = ({ target }) => set({ dialog: { ...state.dialog, picture: target.files[0] ?? null } });
  return html`
    <div class="field">
      <label>${t("Picture")}
        <input type="file" name="picture" accept="image/png,image/jpeg,image/webp,image/gif" @change=${choose} /></label>
      ${wrong("picture")}
    </div>`;
}

function greetings(name, label) {
  const now = () => state.dialog.form.values[name];
  const all = now();
  const add = async () => {
    redrawn({ [name]: [...now(), ""] });
    await drawn();
    document.querySelector(`dialog [data-greeting="${name} ${all.length}"]`)?.focus();
  };
  return html`
    <div class="field">
      ${all.map((text, at) => html`
        <label>${label} ${at + 1}
          <textarea rows="3" maxlength="20000" dir="auto" data-greeting=${`${name} ${at}`} .value=${live(text)}
            @input=${({ target }) => typed({ [name]: now().with(at, target.value) })}></textarea>
        </label>
        <button type="button" aria-label=${t("Remove: {what}", { what: `${label} ${at + 1}` })}
          @click=${() => redrawn({ [name]: now().toSpliced(at, 1) })}>${t("Remove")}</button>`)}
      ${all.length < MOST_GREETINGS
        ? html`<button type="button" @click=${doing(add)}>${t("Add: {what}", { what: label })}</button>`
        : nothing}
      ${wrong(name)}
    </div>`;
}

export const EDITOR_VIEWS = { "edit-character": editor };
