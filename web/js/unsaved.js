// Forms that were closed without being saved: what was typed is kept on this device, by person and by what the form is
// about, until it is saved, discarded, or its person signs out.

import { html, nothing } from "lit-html";
import { formKey, keepText, keptJson } from "./device.js";
import { t } from "./language.js";
import { set } from "./page.js";
import { state } from "./state.js";

const KEPT = t("This is what you did not save last time.");

const key = (subject) => formKey(state.me.id, subject);
const isSame = (one, other) => JSON.stringify(one) === JSON.stringify(other);

/**
 * A form with what was not saved in it, else with what is saved: {subject, saved, version, values, since, isKept}.
 * `version` is that of what is saved; `since` the one that was there when somebody began to type.
 */
export function openForm(subject, saved, version = null) {
  const form = { subject, saved, version, values: { ...saved }, since: version, isKept: false };
  const found = keptJson(key(subject)); // {values, since}
  if (!found || isSame({ ...saved, ...found.values }, saved)) return form;
  set({ said: KEPT });
  // One that was kept by an older page has another version, or none.
  const since = found.since && typeof found.since === typeof version ? found.since : version;
  return { ...form, values: { ...saved, ...found.values }, since, isKept: true };
}

/** Keeps what was typed, in place: nothing is drawn again. */
export function note(form, changes) {
  Object.assign(form.values, changes);
  keep(form);
}

/** A handler for a form's `input` events. */
export const noting = (form) => ({ currentTarget }) => note(form, valuesOf(currentTarget));

function valuesOf({ elements }) {
  const named = [...elements].filter(({ name }) => name);
  return Object.fromEntries(named.map((each) => [each.name, each.type === "checkbox" ? each.checked : each.value]));
}

/** Keeps a form until it is saved, unless it has what is saved. */
export function keep(form) {
  if (!state.me) return; // They signed out meanwhile.
  const { subject, saved, values, since } = form;
  if (isSame(values, saved)) return forget(form);
  keepText(key(subject), JSON.stringify({ values, since }));
}

/** Forgets what was typed: it was saved or given up. */
export function forget({ subject }) {
  if (state.me) keepText(key(subject), null);
}

/** The form as it is without what was typed, which is forgotten. */
export function anew(form) {
  forget(form);
  return { ...form, values: { ...form.saved }, since: form.version, isKept: false };
}

/** That the form has what was not saved, with a button that does `discard`. */
export const keptNotice = ({ isKept }, discard) => isKept
  ? html`
      <p class="notice" data-refuge="dialog form :is(input, textarea)">${KEPT}
        <button type="button" @click=${discard}>${t("Discard it")}</button></p>`
  : nothing;
