// The templates of the search field and of what was found.

import { html, nothing } from "lit-html";
import { live } from "lit-html/directives/live.js";
import { pictureOf, titleOf, when } from "./conversation-views.js";
import { t } from "./language.js";
import { doing } from "./page.js";
import { changeQuery, endSearch, openResult, search, showMoreResults } from "./search.js";

export const searchField = ({ search: { query } }) => html`
  <form class="search" role="search" @submit=${doing(async (event) => {
    event.preventDefault();
    await search();
  })}>
    <label for="search" class="unseen">${t("Search your conversations")}</label>
    <input id="search" type="search" maxlength="200" dir="auto" autocomplete="off" placeholder=${t("Search")}
      .value=${live(query)} @input=${({ target }) => changeQuery(target.value)}
      @keydown=${(event) => event.key === "Escape" && event.target.value && clear(event)} />
  </form>`;

/** Escape empties the field, and does nothing else then. */
function clear(event) {
  event.preventDefault();
  event.stopPropagation();
  endSearch();
}

export const searchResults = ({ search: { results, next } }) => html`
  <h2>${t("Results")}</h2>
  ${results.length
    ? html`<ul class="results">${results.map((each) => html`<li>${result(each)}</li>`)}</ul>`
    : html`<p class="quiet">${t("Nothing was found. Try fewer or other words.")}</p>`}
  ${next ? html`<button class="link more" @click=${doing(showMoreResults)}>${t("Show more results")}</button>` : nothing}
  <button class="link more" @click=${() => endSearch()}>${t("Back to the lists")}</button>`;

const result = (row) => html`
  <button @click=${doing(() => openResult(row))}>
    ${pictureOf(row)}
    <span dir="auto">${titleOf(row)}
      <small>${[row.title === null ? "" : row.names.join(", "), row.said_at ? when(row.said_at) : t("Title")].filter(Boolean).join(" · ")}</small>
      ${row.snippet.length
        ? html`<small class="snippet" dir="auto">${row.snippet.map(({ text, is_match }) => (is_match ? html`<mark>${text}</mark>` : text))}</small>`
        : nothing}
    </span>
  </button>`;
