// The language, the theme and the size of text: kept on this device. theme.js applies the last two.

import { html } from "lit-html";
import { LANGUAGES, chooseLanguage, language, t } from "./language.js";
import { openDialog } from "./page.js";
import { modal } from "./parts.js";

const THEMES = { system: t("As the system"), light: t("Light"), dark: t("Dark") };
const SIZES = { small: t("Small"), normal: t("Normal"), large: t("Large"), larger: t("Larger") };

const keep = (name) => (value) => {
  localStorage.setItem(name, value);
  dispatchEvent(new Event("storage"));
};

const kept = (name, standard) => localStorage.getItem(name) ?? standard;

const choice = (label, options, chosen, choose) => html`
  <label>${label}
    <select @change=${({ target }) => choose(target.value)}>
      ${Object.entries(options).map(([value, text]) => html`<option value=${value} ?selected=${value === chosen}>${text}</option>`)}
    </select>
  </label>`;

export const appearance = (state) => modal(t("Appearance"), html`
  <section>
    ${choice(t("Language"), LANGUAGES, language, chooseLanguage)}
    ${choice(t("Theme"), THEMES, kept("theme", "system"), keep("theme"))}
    ${choice(t("Text size"), SIZES, kept("size", "normal"), keep("size"))}
    <p class="quiet">${t("All are kept on this device.")}</p>
  </section>`, state);

export const showAppearance = () => openDialog("appearance");
