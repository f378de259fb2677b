// The theme and the size of text: kept on this device and applied by theme.js.

import { html } from "../vendor/lit/lit-html.js";
import { openDialog } from "./page.js";
import { modal } from "./parts.js";

const THEMES = { system: "As the system", light: "Light", dark: "Dark" };
const SIZES = { small: "Small", normal: "Normal", large: "Large", larger: "Larger" };

function keep(name, value) {
  localStorage.setItem(name, value);
  dispatchEvent(new Event("storage"));
}

const choice = (label, name, options, standard) => {
  const chosen = localStorage.getItem(name) ?? standard;
  return html`
    <label>${label}
      <select @change=${({ target }) => keep(name, target.value)}>
        ${Object.entries(options).map(([value, text]) => html`<option value=${value} ?selected=${value === chosen}>${text}</option>`)}
      </select>
    </label>`;
};

export const appearance = (state) => modal("Appearance", html`
  <section>
    ${choice("Theme", "theme", THEMES, "system")}
    ${choice("Text size", "size", SIZES, "normal")}
    <p class="quiet">Both are kept on this device.</p>
  </section>`, state);

export const showAppearance = () => openDialog("appearance");
