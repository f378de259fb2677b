// The templates of the message box.

import { html, nothing } from "lit-html";
import { live } from "lit-html/directives/live.js";
import { repeat } from "lit-html/directives/repeat.js";
import { limitsLine } from "./account-sections.js";
import { choices, standard } from "./availability.js";
import { changeDraft, undoDraft } from "./drafts.js";
import { countdown, isHeld } from "./holding.js";
import { t } from "./language.js";
import { doing, set } from "./page.js";
import { showNewest } from "./scrolling.js";
import { editLast } from "./shortcuts.js";
import { chosenModel } from "./state.js";
import * as turns from "./turns.js";

/** The message box, and who speaks next. */
export function composer(state, members, places) {
  const several = members.length > 1;
  const whom = several ? t("everybody") : (members[0]?.name ?? t("Somebody"));
  const submit = (event) => {
    event.preventDefault();
    doing(() => turns.send(state.draft))();
  };
  const keys = (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) submit(event);
    if (event.key === "ArrowUp" && !state.draft) {
      event.preventDefault();
      doing(editLast)();
    }
  };
  return html`
    <form class="composer" data-refuge="#message" @submit=${submit}>
      ${state.away || state.hasLater
        ? html`<button type="button" class="newest" @click=${doing(showNewest)}>${state.fresh ? t("New messages") : t("Newest messages")} ↓</button>`
        : nothing}
      ${held(state)}
      ${outlook(state)}
      ${limitsLine(state)}
      ${several ? speakers(state, members, places) : nothing}
      ${state.replaced === null
        ? nothing
        : html`<p class="drafted"><span>${t("A model wrote this draft.")}</span>
            <button type="button" @click=${undoDraft}>${t("Undo the draft")}</button></p>`}
      <div class="box">
        <label for="message" class="unseen">${t("Message to {name}", { name: whom })}</label>
        <textarea id="message" rows="1" maxlength="8000" placeholder=${t("Write a message")}
          dir="auto" .value=${live(state.draft)} @keydown=${keys}
          @input=${({ target }) => changeDraft(target.value)}></textarea>
        ${state.turn
          ? html`<button type="button" class="primary" ?disabled=${state.turn.isStopped} @click=${doing(turns.stop)}>${t("Stop")}</button>`
          : html`
              ${places.length
                ? html`<button type="button" class="draft" title=${t("A model drafts your next message")}
                    @click=${doing(() => turns.take({ action: "impersonate" }))}>${t("Draft")}</button>`
                : nothing}
              <button class="primary" ?disabled=${!state.draft.trim() || state.phase === "failed" || isHeld(state)}>${t("Send")}</button>`}
      </div>
      <p class="quiet hint">${several
        ? t("All of them are fictional: a language model writes the replies. Escape stops one.")
        : t("{name} is fictional: a language model writes the replies. Escape stops one.", { name: whom })}</p>
    </form>`;
}

/** Selects who speaks next in a group, and a button that lets them speak. */
const speakers = (state, members, places) => html`
  <div class="speakers">
    <label>${t("Who speaks")}
      <select .value=${live(state.speaker)} @change=${({ target }) => set({ speaker: target.value })}>
        <option value="">${t("The one I name, or in turn")}</option>
        ${repeat(members, ({ id }) => id, ({ id, name }) => html`<option value=${id}>${name}</option>`)}
      </select>
    </label>
    ${places.length && !state.turn
      ? html`<button type="button" title=${t("The next character speaks without a message from you")}
          @click=${doing(() => turns.take({ kickoff: true }))}>${t("Let them talk")}</button>`
      : nothing}
  </div>`;

/** Says that nothing can be sent now, and for how long. */
function held(state) {
  if (state.offline) {
    return html`<p class="notice held" role="status">${t("You are offline. What you write is kept; send it when the connection is back.")}</p>`;
  }
  if (!isHeld(state)) return nothing;
  return html`<p class="notice held" role="timer">${t("You can send again in {time}.", { time: countdown(state.heldUntil - Date.now()) })}</p>`;
}

/** A note that the chosen model cannot answer now. */
function outlook(state) {
  const offered = choices(state);
  const chosen = chosenModel();
  const asked = chosen ? offered.find(({ key }) => key === chosen) : standard(state.models, offered);
  if (!asked?.why) return nothing;
  return html`<p class="quiet outlook">${t("{name}: {why}. Another model will answer for now.", { name: asked.name, why: asked.why })}</p>`;
}
