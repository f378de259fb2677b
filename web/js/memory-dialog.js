// The dialog of a conversation's memory: its summary, its facts, and the forms that change them.

import { html, noChange, nothing } from "lit-html";
import { live } from "lit-html/directives/live.js";
import { repeat } from "lit-html/directives/repeat.js";
import { day } from "./facts.js";
import { t } from "./language.js";
import * as facts from "./memory.js";
import { doing, focusUnlessTyping, submitting } from "./page.js";
import { modal } from "./parts.js";
import { REACH, findCharacter, listMembers } from "./state.js";
import { keptNotice, noting } from "./unsaved.js";

const NO_SUMMARY = t("There is no summary yet. One is written when the conversation becomes too long for a model.");

/** The dialog with the memory of the open conversation. */
export function memory(state) {
  const { summary, facts: noted, changing, form } = state.memory;
  const add = submitting(async (event) => {
    const { content, tier } = event.target.elements;
    const text = content.value;
    await facts.addFact(text.trim(), ...tier.value.split(" "));
    // The next one may be in the field already.
    if (content.value === text) content.value = "";
    focusUnlessTyping(content);
  });
  return modal(t("Memory"), html`
    <section data-refuge=${refuge("summary", changing)}>
      <h3>${t("Summary")}</h3>
      ${changing === "summary" ? summaryForm(form) : shownSummary(summary)}
    </section>
    <section>
      <h3>${t("Facts")}</h3>
      ${noted.length ? nothing : html`<p class="quiet">${t("There are no facts.")}</p>`}
      <ul class="rows">
        ${repeat(noted, ({ id }) => id, (fact) => html`
          <li data-refuge=${refuge(fact.id, changing)}>${changing === fact.id ? factForm(fact, form, state) : shownFact(fact, state)}</li>`)}
      </ul>
      <form class="add" @submit=${add}>
        <label>${t("A fact to remember")} <input name="content" maxlength="2000" dir="auto" required /></label>
        ${tiers(state)}
        <button class="primary">${t("Add")}</button>
      </form>
    </section>`, state);
}

/** Where the focus goes when a form takes the place of its button, or the button that of the form. */
const refuge = (id, changing) => (id === changing ? `[data-change="${id}"]` : "#changing [name=content]");

const shownSummary = (summary) => html`
  ${summary
    ? html`<p class="lines" dir="auto">${summary}</p>`
    : html`<p class="quiet">${NO_SUMMARY}</p>`}
  <div class="choices">
    <button data-change="summary" @click=${() => facts.change("summary")}>${summary ? t("Change this summary") : t("Write a summary")}</button>
    ${summary ? html`<button @click=${doing(facts.forgetSummary)}>${t("Delete this summary")}</button>` : nothing}
  </div>`;

function summaryForm(form) {
  const save = submitting((event) => facts.writeSummary(event.target.elements.content.value.trim()));
  return html`
    <form class="add" id="changing" @submit=${save} @input=${noting(form)}>
      ${keptNotice(form, facts.changeAnew)}
      ${newerNotice(form)}
      <label>${t("What happened so far")} <textarea name="content" rows="6" maxlength="8000" dir="auto" .value=${live(form.values.content)}></textarea></label>
      <p class="quiet">${t("No model changes your words. What happens later is added after them.")}</p>
      ${choices()}
    </form>`;
}

const IMPORTANCE = { 5: t("Never forget"), 4: t("Important"), 3: t("Normal"), 2: t("Low"), 1: t("Trivial") };

/** Whether nobody rated it, and no notes were taken since it was written: turns tell its importance by its words. */
const isByItsWords = (fact) => fact.is_unread && !fact.is_rated;

const importance = (fact) => (isByItsWords(fact) ? "" : String(fact.importance));

const shownFact = (fact, state) => html`
  <span dir="auto" class=${fact.is_active && !fact.hiddenBy && isReached(fact, state) ? "" : "quiet"}>${fact.content}
    <small>${origin(fact).filter(Boolean).join(" · ")}</small>
    ${fact.hiddenBy ? html`<small dir="auto">${t("not here: replaced by “{fact}”", { fact: fact.hiddenBy })}</small>` : nothing}
    ${isReached(fact, state) ? nothing : html`<small>${t("not used: in the settings you chose “{reach}”", { reach: REACH[state.reach] })}</small>`}
    ${fact.earlier.length ? html`<small dir="auto">${t("Earlier: {texts}", { texts: fact.earlier.join(" ") })}</small>` : nothing}</span>
  <select aria-label=${t("Importance: {fact}", { fact: fact.content })} .value=${live(importance(fact))}
    @change=${({ target }) => doing(() => facts.rateFact(fact, Number(target.value)))()}>
    ${isByItsWords(fact) ? html`<option value="" selected>${t("By its words")}</option>` : nothing}
    ${Object.entries(IMPORTANCE).reverse().map(([value, text]) => html`
      <option value=${value} ?selected=${value === importance(fact)}>${text}</option>`)}
  </select>
  <button aria-label=${fact.is_active ? t("Turn off: {name}", { name: fact.content }) : t("Turn on: {name}", { name: fact.content })}
    @click=${doing(() => facts.switchFact(fact))}>${fact.is_active ? t("Turn off") : t("Turn on")}</button>
  <button aria-pressed=${fact.pinned} @click=${doing(() => facts.pinFact(fact))}>
    ${fact.pinned ? t("Pinned") : t("Pin")}</button>
  <button data-change=${fact.id} aria-label=${t("Change: {name}", { name: fact.content })} @click=${() => facts.change(fact.id)}>${t("Change")}</button>
  <button aria-label=${t("Forget: {fact}", { fact: fact.content })} @click=${doing(() => facts.forgetFact(fact))}>${t("Forget")}</button>`;

const TIERS = Object.keys(REACH);

/** Whether replies know facts of its tier: they know those of what the settings say, and of narrower tiers. */
const isReached = ({ memories }, state) => TIERS.indexOf(memories.tier) <= TIERS.indexOf(state.reach);

const origin = (fact) => [
  reach(fact.memories),
  fact.written_by === "model" ? t("noted by a model") : "",
  fact.since ? t("since {day}", { day: day(fact.since) }) : "",
  fact.is_active ? "" : t("off"),
];

function factForm(fact, form, state) {
  const save = submitting(async (event) => {
    const { content, tier } = event.target.elements;
    await facts.changeFact(fact, content.value.trim(), ...tier.value.split(" "));
  });
  return html`
    <form class="add" id="changing" @submit=${save} @input=${noting(form)}>
      ${keptNotice(form, facts.changeAnew)}
      ${newerNotice(form)}
      <label>${t("The fact")} <input name="content" maxlength="2000" dir="auto" required .value=${live(form.values.content)} /></label>
      ${tiers(state, form.values.tier)}
      ${choices()}
    </form>`;
}

/** What was saved elsewhere while somebody typed in this form. */
const newerNotice = ({ newer }) =>
  newer == null ? nothing : html`<p class="notice lines" dir="auto">${newer || NO_SUMMARY}</p>`;

const choices = () => html`
  <div class="choices">
    <button class="primary">${t("Save")}</button>
    <button type="button" @click=${facts.giveUp}>${t("Cancel")}</button>
  </div>`;

/** A choice of where a fact counts. In the form of a new one, it stays what somebody chose. */
function tiers(state, chosen = null) {
  const members = listMembers(state.conversation).map(({ id, name }) => [`character ${id}`, t("everything with {name}", { name })]);
  const all = [["conversation", REACH.conversation], ...members, ["profile", REACH.profile]];
  return html`
    <label>${t("In")}
      <select name="tier" .value=${all.some(([value]) => value === chosen) ? live(chosen) : noChange}>
        ${all.map(([value, text]) => html`<option value=${value} ?selected=${value === chosen}>${text}</option>`)}
      </select>
    </label>`;
}

const reach = ({ tier, character_id }) =>
  tier === "character"
    ? t("everything with {name}", { name: findCharacter(character_id)?.name ?? t("a character") })
    : REACH[tier];
