// The dialogs of the catalogue of public characters, and of a report.

import { html, nothing } from "lit-html";
import { repeat } from "lit-html/directives/repeat.js";
import * as catalogue from "./catalogue.js";
import { rating, showCharacter } from "./character-dialogs.js";
import { talkWith } from "./conversations.js";
import { t } from "./language.js";
import { excerpt, line } from "./legible.js";
import { doing, set, submitting, watchDialog } from "./page.js";
import { modal } from "./parts.js";
import { portrait } from "./portrait.js";

const CHIPS = 20; // tags that are shown at first
const EXCERPT = 160;

function list(state) {
  const { search, rows, next, phase } = state.dialog;
  const look = doing((event) => {
    event.preventDefault();
    return catalogue.find({ search: event.target.elements.search.value });
  });
  return modal(t("Public characters"), html`
    <form class="row" role="search" @submit=${look}>
      <label>${t("Words to search for")}
        <input type="search" name="search" maxlength="200" dir="auto" .value=${search} /></label>
      <button class="primary">${t("Search")}</button>
    </form>
    ${tags(state)}
    <section>
      <ul class="entries">${repeat(rows, ({ id }) => id, (row) => html`<li>${entry(row, state)}</li>`)}</ul>
      ${ending({ rows, next, phase })}
    </section>`, state);
}

function tags({ dialog }) {
  const { allTags, tags: chosen, areAllShown } = dialog;
  const offered = areAllShown ? allTags : allTags.slice(0, CHIPS);
  const all = [...new Set([...chosen, ...offered])];
  if (!all.length) return nothing;
  return html`
    <div class="chips" role="group" aria-label=${t("Tags")}>
      ${all.map((tag) => html`
        <button aria-pressed=${chosen.includes(tag)} dir="auto" @click=${doing(() => catalogue.chooseTag(tag))}>${line(tag)}</button>`)}
      ${allTags.length > offered.length
        ? html`<button class="link" @click=${() => set({ dialog: { ...dialog, areAllShown: true } })}>${t("More tags")}</button>`
        : nothing}
    </div>`;
}

const entry = (row, { me }) => html`
  ${portrait(row)}
  <span dir="auto">${row.name}
    <small>${excerpt(row.description, EXCERPT, row.name, me.name)}</small>
    <small>${[row.is_own ? t("Made by you") : "", rating(row), ...row.tags.map(line)].filter(Boolean).join(" · ")}</small></span>
  <button data-character=${row.id} aria-label=${t("Details of {name}", { name: row.name })}
    @click=${doing(() => showCharacter(row, "catalogue"))}>${t("Details")}</button>
  <button aria-label=${t("Talk with {name}", { name: row.name })} @click=${doing(() => talkWith(row))}>${t("Talk")}</button>`;

function ending({ rows, next, phase }) {
  if (phase === "loading") return html`<p class="quiet" role="status">${t("Loading …")}</p>`;
  if (phase === "failed") return html`<button @click=${doing(() => catalogue.find({}))}>${t("Try again")}</button>`;
  const more = next ? html`<button @click=${doing(catalogue.findMore)}>${t("Show more characters")}</button>` : nothing;
  if (rows.length) return more;
  return html`<p class="quiet">${next ? t("None was found so far.") : t("No public character fits. Use fewer words or tags.")}</p>${more}`;
}

// --- a report -------------------------------------------------------------------------------

const REASONS = {
  minor: t("A minor in a sexual context"),
  sexual: t("Sexual content that is not marked"),
  hate: t("Hate"),
  violence: t("Extreme violence"),
  self_harm: t("Self-harm"),
  real_person: t("A real person"),
  copyright: t("Copied from somebody else"),
  spam: t("Spam"),
  other: t("Something else"),
};

function report(state) {
  const { character, back } = state.dialog;
  const send = submitting(async (event) => {
    const isStill = watchDialog();
    const { reason, details } = event.target.elements;
    await catalogue.reportCharacter(character, reason.value, details.value);
    const thanks = t("Thank you. The operators will look at this character.");
    if (isStill()) await showCharacter(character, back, thanks);
    else set({ said: thanks });
  });
  return modal(t("Report {name}", { name: character.name }), html`
    <form class="add" @submit=${send}>
      <label>${t("What is wrong with it?")}
        <select name="reason" required>
          <option value="">${t("Choose a reason")}</option>
          ${Object.entries(REASONS).map(([value, text]) => html`<option value=${value}>${text}</option>`)}
        </select>
      </label>
      <label>${t("What the operators should know")}
        <textarea name="details" rows="4" maxlength="1000" dir="auto"></textarea></label>
      <div class="choices">
        <button class="primary">${t("Send the report")}</button>
        <button type="button" @click=${doing(() => showCharacter(character, back))}>${t("Cancel")}</button>
      </div>
    </form>`, state);
}

export const CATALOGUE_VIEWS = { catalogue: list, report };
