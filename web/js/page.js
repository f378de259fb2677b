// A page's state, and the only way to change and draw it. Both pages start with `show`.

import { render } from "lit-html";
import { UserError } from "./backend.js";
import { t } from "./language.js";

const root = document.getElementById("app");
let page = null;
let drawing = 0;
let shown = null; // the name of the dialog that was drawn last
let heard = ""; // what was said when the page was drawn last

/** Starts a page. `view` makes a template from the state; `around` can act before and after drawing. */
export function show(state, view, around = (draw) => draw()) {
  page = { state, view, around };
  redraw();
}

/** Draws the state in the next frame. */
export function redraw() {
  drawing ||= requestAnimationFrame(() => {
    drawing = 0;
    // A dialog that is closed before it is removed gives the focus back.
    if (!page.state.dialog) root.querySelector("dialog[open]")?.close();
    keepingFocus(() => page.around(draw));
    root.querySelector("dialog:not([open])")?.showModal();
  });
}

/**
 * The focused element keeps the focus if it moved while drawing, as a row of a sorted list does. If it is gone, focuses
 * something nearby rather than the start of the page. Where one dialog took the place of another, that is its heading:
 * somebody who does not see it learns where they are.
 */
function keepingFocus(act) {
  const before = document.activeElement;
  const refuge = before.closest("[data-refuge]")?.dataset.refuge;
  act();
  const { dialog } = page.state;
  const isNext = dialog && shown && dialog.name !== shown;
  shown = dialog?.name ?? null;
  const isLost = before !== document.body && document.activeElement === document.body;
  if (!isNext && !isLost) return;
  if (!isNext && before.isConnected) before.focus();
  if (!isNext && document.activeElement !== document.body) return;
  const place = (!isNext && refuge && root.querySelector(refuge)) || root.querySelector("dialog[open] h2");
  place?.focus({ preventScroll: !isNext });
}

/**
 * A screen reader hears a text that changes, not one that is there from the beginning: what a dialog says when it
 * opens is drawn after it, and what was said before it is not said again.
 */
function draw() {
  const { state, view } = page;
  const words = state.said;
  const isOpening = state.dialog && !root.querySelector("dialog");
  if (isOpening) state.said = "";
  render(view(state), root);
  if (isOpening && words !== heard) set({ said: words });
  heard = words;
}

/** Draws the state; resolves when this is done. */
export function drawn() {
  redraw();
  return new Promise(requestAnimationFrame);
}

/** Changes the state and draws it. */
export function set(changes) {
  Object.assign(page.state, changes);
  redraw();
}

let moves = 0; // how often a dialog was asked for, opened or closed

export function openDialog(name, more = {}) {
  moves += 1;
  set({ dialog: { name, ...more }, trouble: null });
}

export function closeDialog() {
  moves += 1;
  set({ dialog: null });
}

/** Closes a dialog as the person wants it. What it said was heard there, and is not said again outside. */
export function dismissDialog() {
  closeDialog();
  set({ said: "" });
}

/** Closes what covers the conversation: a dialog, and on a phone the list and the tools. */
export function closePanels() {
  closeDialog();
  set({ menu: false, tools: false });
}

/** Returns a function that says whether no dialog was asked for, opened or closed since. */
export function watchDialog() {
  const then = moves;
  return () => then === moves;
}

/**
 * Opens a dialog with what `load` resolves to, unless the person asked for or closed another one meanwhile: an
 * answer that nobody waits for any more opens nothing and complains of nothing. Resolves to whether it opened.
 */
export async function openWhenLoaded(name, load, isWanted = () => true) {
  moves += 1;
  const isStill = watchDialog();
  try {
    const more = await load();
    if (!isStill() || !isWanted()) return false;
    openDialog(name, more);
    return true;
  } catch (error) {
    if (isStill() && isWanted()) throw error;
    return false;
  }
}

/** Changes the content of the open dialog; does nothing if none is open. */
export function changeDialog(changes) {
  if (page.state.dialog) set({ dialog: { ...page.state.dialog, ...changes } });
}

/** An event handler that runs `action` and shows its errors. */
export function doing(action) {
  return async (...given) => {
    try {
      await action(...given);
    } catch (error) {
      tell(error);
    }
  };
}

const submitted = new WeakSet(); // forms whose submission still runs

/** A handler for a form that makes something: submitting it twice does not make it twice. */
export function submitting(action) {
  const run = doing(action);
  return async (event) => {
    event.preventDefault();
    const form = event.currentTarget;
    if (submitted.has(form)) return;
    submitted.add(form);
    await run(event);
    submitted.delete(form);
  };
}

const running = new Map();

/** Runs what a key stands for, unless it still runs: pressing a button twice does it once. Resolves to its result. */
export function once(key, action) {
  if (!running.has(key)) running.set(key, action().finally(() => running.delete(key)));
  return running.get(key);
}

/** Shows an error; `body` is the request that can be sent again. */
export function tell(error, body = null) {
  const known = error instanceof UserError;
  if (!known) console.error(error);
  const sentence = known ? error.message : t("Something went wrong. Reload the page.");
  set({ trouble: { sentence, code: error.code, body, field: error.field ?? "", error } });
  showTrouble(error.field);
}

/**
 * Gives an element the focus after a request, unless somebody is typing in a field by then: their next words would go
 * somewhere else.
 */
export function focusUnlessTyping(element) {
  if (!document.activeElement.matches("input, textarea, select")) element?.focus();
}

/** Brings an error into sight: the field that it is about, else its sentence. */
async function showTrouble(field) {
  await drawn();
  const place = root.querySelector("dialog[open]") ?? root;
  place.querySelector("[role=alert]")?.scrollIntoView({ block: "nearest" });
  if (field) place.querySelector(`[name="${field}"]`)?.focus();
}
