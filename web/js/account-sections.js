// The sections of the account dialog other than name, email and password: limits, blocked authors, download, deletion.

import { html, nothing } from "lit-html";
import { repeat } from "lit-html/directives/repeat.js";
import { unblockAuthor } from "./catalogue.js";
import { dateFormat, plural, t } from "./language.js";
import { describe, warning } from "./limits.js";
import { PHRASE, currentDownload, deleteAccount, downloadEverything, showDeletion, stopDownload } from "./own-data.js";
import { doing } from "./page.js";
import { modal } from "./parts.js";

const day = dateFormat({ dateStyle: "medium" });

export const accountSections = (state) => html`${limits(state)}${blocked(state)}${ownData()}`;

// --- limits ---------------------------------------------------------------------------------

/** A quiet line where a person writes, if little is left. */
export function limitsLine({ limits: found }) {
  const sentence = warning(found);
  return sentence ? html`<p class="quiet outlook" role="status">${sentence}</p>` : nothing;
}

function limits({ limits: found }) {
  if (!found) return nothing;
  const { prompt, completion } = found.tokens_today;
  return html`
    <section>
      <h3>${t("What is left")}</h3>
      ${found.free_only ? html`<p class="notice">${t("Today's budget is spent, so only free models answer.")}</p>` : nothing}
      ${found.limits.length ? nothing : html`<p class="quiet">${t("There are no limits.")}</p>`}
      <ul class="limits">${found.limits.map((each) => html`<li>${limit(describe(each))}</li>`)}</ul>
      <p class="quiet">${t("Models read {prompt} tokens for you today and wrote {completion}.", { prompt, completion })}</p>
    </section>`;
}

const limit = ({ name, left, of, share, again }) => html`
  <span>${name}</span>
  <span>${t("{left} of {all} left", { left, all: of })} ${again}</span>
  <meter min="0" max="1" low="0.1" optimum="1" .value=${share} aria-label=${name}></meter>`;

// --- blocked authors ------------------------------------------------------------------------

function blocked({ blocked: authors }) {
  if (!authors?.length) return nothing;
  return html`
    <section>
      <h3>${t("Blocked authors")}</h3>
      <ul class="entries">${repeat(authors, ({ author_id }) => author_id, (each) => html`
        <li><span dir="auto">${t("The author of {name}", { name: each.character_name })}
            <small>${t("Blocked on {day}", { day: day.format(new Date(each.created_at)) })}</small></span>
          <button aria-label=${t("Unblock the author of {name}", { name: each.character_name })}
            @click=${doing(() => unblockAuthor(each.author_id))}>${t("Unblock")}</button></li>`)}
      </ul>
    </section>`;
}

// --- download and deletion ------------------------------------------------------------------

const ownData = () => html`
  <section>
    <h3>${t("Your data")}</h3>
    ${download()}
    <button class="danger" @click=${doing(showDeletion)}>${t("Delete the account")}</button>
  </section>`;

function download() {
  const running = currentDownload();
  if (!running) return html`<button @click=${doing(downloadEverything)}>${t("Download everything")}</button>`;
  if (!running.isShown) return html`<button disabled>${t("Downloading …")}</button>`;
  return html`
    <div class="field" role="group" aria-label=${t("Download")}>
      <progress max=${running.total || 1} .value=${running.done} aria-label=${t("Download")}></progress>
      <p class="quiet" role="status">${plural(running.rows, { one: "{n} row so far", other: "{n} rows so far" })}</p>
      <button @click=${stopDownload}>${t("Cancel")}</button>
    </div>`;
}

const CONTENTS = {
  characters: (n) => plural(n, { one: "{n} character", other: "{n} characters" }),
  public_characters: (n) => plural(n, { one: "{n} public character, which others lose as well", other: "{n} public characters, which others lose as well" }),
  conversations: (n) => plural(n, { one: "{n} conversation", other: "{n} conversations" }),
  messages: (n) => plural(n, { one: "{n} message", other: "{n} messages" }),
  lorebooks: (n) => plural(n, { one: "{n} lorebook", other: "{n} lorebooks" }),
  facts: (n) => plural(n, { one: "{n} remembered fact", other: "{n} remembered facts" }),
};

function deletion(state) {
  const { contents, isBusy } = state.dialog;
  const send = doing((event) => {
    event.preventDefault();
    return deleteAccount(event.target.elements.confirmation.value);
  });
  const isWrong = state.trouble?.field === "confirmation";
  const going = Object.entries(CONTENTS).filter(([name]) => contents?.[name]);
  return modal(t("Delete the account"), html`
    <p>${t("This deletes your account with everything in it. It cannot be undone.")}</p>
    <section>
      <h3>${t("What will be deleted")}</h3>
      <ul class="needs">
        ${going.map(([name, say]) => html`<li>${say(contents[name])}</li>`)}
        <li>${t("Your name, your email and your settings")}</li>
        <li>${t("Drafts and settings on this device")}</li>
      </ul>
      ${download()}
    </section>
    <section>
      <form class="add" novalidate @submit=${send}>
        <label>${t("To confirm, type: {phrase}", { phrase: PHRASE })}
          <input name="confirmation" autocomplete="off" autocapitalize="none" maxlength="100" spellcheck="false"
            aria-invalid=${String(isWrong)} aria-describedby=${isWrong ? "wrong" : nothing} /></label>
        ${isWrong ? html`<p class="error" role="alert" id="wrong">${state.trouble.sentence}</p>` : nothing}
        <button class="danger" ?disabled=${isBusy}>${t("Delete the account")}</button>
      </form>
    </section>`, isWrong ? { ...state, trouble: null } : state);
}

export const ACCOUNT_VIEWS = { "delete-account": deletion };
