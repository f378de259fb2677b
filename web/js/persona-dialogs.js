// The dialogs of personas: the list, the form of one, and what is asked before one is deleted.

import { html, nothing } from "lit-html";
import { live } from "lit-html/directives/live.js";
import { repeat } from "lit-html/directives/repeat.js";
import { t } from "./language.js";
import { excerpt } from "./legible.js";
import { changeDialog, doing, submitting } from "./page.js";
import { modal } from "./parts.js";
import * as personas from "./personas.js";
import { portrait } from "./portrait.js";
import { anew, keptNotice, noting } from "./unsaved.js";

export const PERSONA_VIEWS = { personas: list, persona: form, "delete-persona": deletion };

function list(state) {
  const { personas: all, hasMore } = state.dialog;
  const { conversation } = state;
  return modal(t("Your personas"), html`
    <section>
      <p class="quiet">${t("A persona is one of your characters whom you play yourself. Characters read its description.")}</p>
      ${conversation ? myself(conversation) : nothing}
      <ul class="rows">${repeat(all, ({ id }) => id, (each) => html`<li>${row(each, state)}</li>`)}</ul>
      ${hasMore ? html`<button class="link" @click=${doing(personas.showMorePersonas)}>${t("Show more personas")}</button>` : nothing}
      <button class="primary" @click=${doing(() => personas.showPersona())}>${t("Create a persona")}</button>
    </section>`, state);
}

const myself = ({ user_character_id }) => html`
  <button aria-pressed=${!user_character_id} @click=${doing(() => personas.play(null))}>${t("Play yourself here")}</button>`;

function row(persona, { conversation, me }) {
  const { id, shownName: name } = persona;
  const isPlayed = conversation?.user_character_id === id;
  return html`
    ${portrait({ id, name })}
    <span dir="auto">${name}<small dir="auto">${excerpt(persona.description ?? "", 120, name, me.name)}</small></span>
    ${conversation
      ? html`<button aria-pressed=${isPlayed} aria-label=${t("Play here: {name}", { name })}
          @click=${doing(() => personas.play(isPlayed ? null : id))}>${t("Play here")}</button>`
      : nothing}
    <button aria-label=${t("Edit {name}", { name })} @click=${doing(() => personas.showPersona(persona))}>${t("Edit")}</button>
    <button class="danger" aria-label=${t("Delete {name}", { name })} @click=${() => personas.askToDelete(persona)}>${t("Delete")}</button>`;
}

function form(state) {
  const { persona, form: typed } = state.dialog;
  const { values } = typed;
  const save = submitting(async (event) => {
    const { name, description, pronouns, age } = event.target.elements;
    await personas.savePersona(persona, typed, {
      name: name.value.trim(),
      description: description.value.trim(),
      pronouns: pronouns.value.trim() || null,
      age: age.value === "" ? null : age.valueAsNumber,
    });
  });
  return modal(persona.id ? t("Edit {name}", { name: persona.shownName }) : t("Create a persona"), html`
    ${keptNotice(typed, () => changeDialog({ form: anew(typed) }))}
    <form class="add" @submit=${save} @input=${noting(typed)}>
      <label>${t("Name")}
        <input name="name" maxlength="120" dir="auto" required pattern=".*\\S.*" .value=${live(values.name)} />
      </label>
      <label>${t("Description: who you are and what others see")}
        <textarea name="description" rows="6" maxlength="20000" dir="auto" .value=${live(values.description)}></textarea>
      </label>
      <label>${t("Pronouns")}
        <input name="pronouns" maxlength="40" dir="auto" .value=${live(values.pronouns)} />
      </label>
      <label>${t("Age in years")}
        <input name="age" type="number" min="0" max="1000000" step="1" .value=${live(values.age)} />
      </label>
      <div class="choices">
        <button class="primary">${t("Save")}</button>
        <button type="button" @click=${doing(() => personas.givePersonaUp(typed))}>${t("Cancel")}</button>
      </div>
    </form>`, state);
}

function deletion(state) {
  const { persona } = state.dialog;
  return modal(t("Delete {name}", { name: persona.shownName }), html`
    <p>${t("This deletes the character. In conversations where you play it, you are yourself again. It cannot be undone.")}</p>
    <div class="choices">
      <button class="danger" @click=${doing(() => personas.deletePersona(persona))}>${t("Delete for good")}</button>
      <button @click=${doing(personas.showPersonas)}>${t("Keep it")}</button>
    </div>`, state);
}
