// Small pieces that more than one view uses.

import { html } from "../vendor/lit/lit-html.js";

/** The first letter of a name in one of six colours, always the same for a name. */
export function avatar(name) {
  const [first = "?"] = name;
  const sum = [...name].reduce((total, char) => total + char.codePointAt(0), 0);
  return html`<span class=${`avatar hue${sum % 6}`} aria-hidden="true">${first.toUpperCase()}</span>`;
}

/** A dialog that closes with Escape, its button, or `close`. */
export const modal = (title, content, close) => html`
  <dialog aria-label=${title} @close=${close}>
    <header><h2>${title}</h2>
      <button class="link" @click=${({ target }) => target.closest("dialog").close()}>Close</button>
    </header>
    ${content}
  </dialog>`;
