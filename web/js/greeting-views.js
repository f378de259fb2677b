// The greetings with which a character can begin, as they are, one at a time.

import { html, nothing } from "lit-html";
import { t } from "./language.js";
import { excerpt } from "./legible.js";
import { doing, set } from "./page.js";
import "./prose.js";
import { sceneFields } from "./scene.js";
import { take } from "./turns.js";

const LONGEST = 20_000;

/** The greetings of a character, with the numbers by which they are requested: [{text, number}]. */
const greetingsOf = ({ first_message, alternate_greetings }) =>
  [first_message, ...(alternate_greetings ?? [])].map((text, number) => ({ text, number })).filter(({ text }) => text?.trim());

/**
 * The chosen greeting, buttons to go through the others, and one to begin. Without its number, a group has a first one
 * of its own, and a scene one that a model writes.
 */
export function greetings(state, character, isGroup) {
  const all = greetingsOf(character);
  const at = Math.min(state.greeting, Math.max(all.length - 1, 0));
  const chosen = all[at];
  const isOther = isGroup || Object.keys(sceneFields()).length > 0;
  const begin = () => take({ kickoff: true, ...(chosen && (isOther || chosen.number) ? { greeting: chosen.number } : {}) });
  return html`
    ${chosen
      ? html`<article class="greeting" tabindex="0" aria-label=${t("How {name} begins", { name: character.name })}>
          <rp-prose dir="auto" .text=${excerpt(chosen.text, LONGEST, character.name, state.me.name)}></rp-prose>
        </article>`
      : nothing}
    ${all.length > 1 ? turning(at, all.length) : nothing}
    <div class="choices">
      <button class="primary" @click=${doing(begin)}>${t("Let {name} begin", { name: character.name })}</button>
    </div>`;
}

const turning = (at, count) => html`
  <div class="versions" role="group" aria-label=${t("Greetings")}>
    <button aria-label=${t("Earlier greeting")} ?disabled=${at === 0} @click=${() => set({ greeting: at - 1 })}>‹</button>
    <span aria-live="polite">${t("{number} of {count}", { number: at + 1, count })}</span>
    <button aria-label=${t("Next greeting")} ?disabled=${at === count - 1} @click=${() => set({ greeting: at + 1 })}>›</button>
  </div>`;
