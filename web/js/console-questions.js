// Questions before a change that others notice.

import { html } from "lit-html";
import * as panel from "./console-models-data.js";
import { formButtons } from "./console-parts.js";
import { closeDialog, doing, once, openDialog, submitting } from "./page.js";
import { modal } from "./parts.js";

/** Asks before a change; `text` says what it does, `act` carries it out. */
export const ask = (question) => openDialog("question", { question });

export function question(state) {
  const { title, text, name, act } = state.dialog.question;
  return modal(title, html`
    <p>${text}</p>
    <div class="choices">
      <button class="danger" @click=${doing(() => once(name, act))}>${name}</button>
      <button @click=${closeDialog}>Cancel</button>
    </div>`, state);
}

/** Asks why; `act` is called with the reason. */
export const askWhy = (question) => openDialog("reason", { question });

export function reason(state) {
  const { title, text, name, act } = state.dialog.question;
  const send = submitting((event) => act(new FormData(event.target).get("reason")));
  return modal(title, html`
    <form class="fields" @submit=${send}>
      <p>${text}</p>
      <label>Reason <textarea name="reason" rows="3" maxlength="1000" required dir="auto"></textarea></label>
      ${formButtons(closeDialog, undefined, name)}
    </form>`, state);
}

function modelsOf(state, provider) {
  const count = state.models.filter((model) => model.provider_id === provider.id && model.is_active).length;
  return count === 1 ? "one active model" : `${count || "no"} active models`;
}

/** Switches a provider on, or asks before it is switched off. */
export function switchProvider(state, row) {
  if (!row.is_active) return panel.changeProvider(row, { is_active: true });
  ask({
    title: `Switch off ${row.display_name}`,
    text: `It has ${modelsOf(state, row)}. None of them is asked while it is off.`,
    name: "Switch it off",
    act: () => panel.switchOff(row),
  });
}

export const askToDelete = (row) =>
  ask({
    title: `Delete ${row.display_name}`,
    text: "Nobody can choose this model any more. What it was used for stays in the figures.",
    name: "Delete it",
    act: () => panel.deleteModel(row),
  });

export const askToDeleteProvider = (row) =>
  ask({
    title: `Delete ${row.display_name}`,
    text: "This cannot be undone: its key cannot be assigned to another provider later.",
    name: "Delete it",
    act: () => panel.deleteProvider(row),
  });
