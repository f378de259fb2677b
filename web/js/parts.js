// Small templates that several views use.

import { html, nothing } from "lit-html";
import { t } from "./language.js";
import { dismissDialog, set } from "./page.js";
import { endSession } from "./session.js";

// Codes of errors that a retry cannot change.
const FINAL = new Set(["content_refused", "reply_incomplete", "unauthorized"]);

/** The first letter of a name, and one of six colours, always the same for the same name: {letter, hue}. */
export function initial(name) {
  const [first = "?"] = name;
  const sum = [...name].reduce((total, char) => total + char.codePointAt(0), 0);
  return { letter: first.toUpperCase(), hue: `hue${sum % 6}` };
}

/**
 * A dialog that closes with Escape or its button. It shows the errors that occur while it is open, and says what is
 * said meanwhile: screen readers hear nothing of the page behind it.
 */
export const modal = (title, content, state) => html`
  <dialog aria-label=${title} @close=${({ target }) => target.isConnected && dismissDialog()}>
    <header><h2 dir="auto" tabindex="-1">${title}</h2>
      <button class="link" @click=${({ target }) => target.closest("dialog").close()}>${t("Close")}</button>
    </header>
    ${alert(state)} ${content}
    ${spoken(state.said)}
  </dialog>`;

/** What screen readers hear as soon as it changes. */
const spoken = (words, role = "status") => html`<p class="unseen" aria-live="polite" role=${role}>${words}</p>`;

/**
 * What they hear while no dialog is open. It is always there, because a new one would not be heard, but only one of
 * both is the page's status.
 */
export const spokenOutside = ({ dialog, said }) => (dialog ? spoken("", nothing) : spoken(said));

const ADVICE = {
  no_model_available: t("Or choose another model above."),
  content_refused: t("Use different words, or change the subject."),
};

/** The last error and what to do about it; `again` sends the request again. */
export function alert({ trouble }, again = null) {
  if (!trouble) return nothing;
  const { sentence, code, body } = trouble;
  return html`
    <div class="error" role="alert" id="trouble">
      <p>${sentence} ${ADVICE[code] ?? ""}</p>
      <div class="choices">
        ${code === "unauthorized" ? html`<button @click=${endSession}>${t("Sign in again")}</button>` : nothing}
        ${again && body && !FINAL.has(code) ? html`<button @click=${again}>${t("Try again")}</button>` : nothing}
        <button @click=${() => set({ trouble: null })}>${t("Dismiss")}</button>
      </div>
    </div>`;
}

/** The page until its data is loaded. */
export const loading = (state) => html`
  <main class="welcome">
    ${state.trouble
      ? html`<div class="card">${alert(state)}
          <button class="primary" @click=${() => location.reload()}>${t("Reload the page")}</button></div>`
      : html`<p class="quiet">${t("Loading …")}</p>`}
  </main>`;

/** A worker's health as a coloured dot with a label. */
export const health = ({ state, text }) =>
  html`<span class="health" data-state=${state}><span aria-hidden="true"></span>${text}</span>`;
