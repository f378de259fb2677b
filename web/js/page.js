// A page's state, and the only way to change and draw it. Both pages start with `show`.

import { render } from "../vendor/lit/lit-html.js";
import { UserError } from "./backend.js";
import { t } from "./language.js";

const root = document.getElementById("app");
let page = null;
let drawing = 0;

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
    const refuge = document.activeElement.closest("[data-refuge]")?.dataset.refuge;
    page.around(() => render(page.view(page.state), root));
    // If the focused element is gone, focus something nearby rather than the start of the page.
    if (refuge && document.activeElement === document.body) root.querySelector(refuge)?.focus({ preventScroll: true });
    root.querySelector("dialog:not([open])")?.showModal();
  });
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

export const openDialog = (name, more = {}) => set({ dialog: { name, ...more }, trouble: null });
export const closeDialog = () => set({ dialog: null });
/** Closes what covers the conversation: a dialog, and on a phone the list and the tools. */
export const closePanels = () => set({ dialog: null, menu: false, tools: false });

/** An event handler that runs `action` and shows its errors. */
export function doing(action) {
  return async (event) => {
    try {
      await action(event);
    } catch (error) {
      tell(error);
    }
  };
}

/** Shows an error; `body` is the request that can be sent again. */
export function tell(error, body = null) {
  const known = error instanceof UserError;
  if (!known) console.error(error);
  const sentence = known ? error.message : t("Something went wrong. Reload the page.");
  set({ trouble: { sentence, code: error.code, body, field: error.field ?? "" } });
  showTrouble(error.field);
}

/** Brings an error into sight: the field that it is about, else its sentence. */
async function showTrouble(field) {
  await drawn();
  const place = root.querySelector("dialog[open]") ?? root;
  place.querySelector("[role=alert]")?.scrollIntoView({ block: "nearest" });
  if (field) place.querySelector(`[name="${field}"]`)?.focus();
}
