// A page's state, and the one way to change and draw it. Both pages begin with `show`.

import { render } from "../vendor/lit/lit-html.js";
import { UserError } from "./backend.js";

const root = document.getElementById("app");
let page = null;
let drawing = 0;

/** Begin: `view` makes a template of the state; `around` may act before and after it is drawn. */
export function show(state, view, around = (draw) => draw()) {
  page = { state, view, around };
  redraw();
}

/** Draw the state as it is, at the next frame. */
export function redraw() {
  drawing ||= requestAnimationFrame(() => {
    drawing = 0;
    // Closed before it goes, a dialog gives the focus back.
    if (!page.state.dialog) root.querySelector("dialog[open]")?.close();
    const refuge = document.activeElement.closest("[data-refuge]")?.dataset.refuge;
    page.around(() => render(page.view(page.state), root));
    // What had the focus may be gone; then it goes to what stands nearby, not to the page's beginning.
    if (refuge && document.activeElement === document.body) root.querySelector(refuge)?.focus({ preventScroll: true });
    root.querySelector("dialog:not([open])")?.showModal();
  });
}

/** Resolves when the state as it is now was drawn. */
export function drawn() {
  redraw();
  return new Promise(requestAnimationFrame);
}

/** Change the state and draw it. */
export function set(changes) {
  Object.assign(page.state, changes);
  redraw();
}

export const openDialog = (name, more = {}) => set({ dialog: { name, ...more }, trouble: null });
export const closeDialog = () => set({ dialog: null });

/** What an element is to do when used; what goes wrong is told. */
export function doing(action) {
  return async (event) => {
    try {
      await action(event);
    } catch (error) {
      tell(error);
    }
  };
}

/** Tell what went wrong; `body` is the request that can be sent again. */
export function tell(error, body = null) {
  const known = error instanceof UserError;
  if (!known) console.error(error);
  const sentence = known ? error.message : "Something went wrong. Reload the page.";
  set({ trouble: { sentence, code: error.code, body } });
}
