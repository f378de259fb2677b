// The console's frame: its header, and the page of the address.

import { html, nothing } from "lit-html";
import { address, PAGES } from "./console-address.js";
import { charactersPage, reportsPage } from "./console-characters.js";
import * as panel from "./console-data.js";
import { dialog } from "./console-dialogs.js";
import { healthPage, workersPage } from "./console-health.js";
import { limitsPage } from "./console-limits.js";
import { modelsPage } from "./console-models.js";
import { overviewPage } from "./console-overview.js";
import { peoplePage } from "./console-people.js";
import { switchPage } from "./console-switch.js";
import { templatesPage } from "./console-templates.js";
import { turnPage, turnsPage } from "./console-turns.js";
import { doing, redraw } from "./page.js";
import { alert, loading, spokenOutside } from "./parts.js";
import { signInForm, signOut } from "./session.js";

const VIEWS = {
  overview: overviewPage,
  turns: turnsPage,
  turn: turnPage,
  health: healthPage,
  workers: workersPage,
  models: modelsPage,
  templates: templatesPage,
  characters: charactersPage,
  reports: reportsPage,
  people: peoplePage,
  limits: limitsPage,
  switch: switchPage,
};

const LISTED = Object.keys(PAGES).filter((page) => page !== "turn");

/** What an adopted installation lacks, because the product's own pages have it. */
const THEIRS = {
  models: "Models and providers are in the product's own tables, and its own pages change them.",
  templates: "Templates are in the product's own tables, and its own pages change them.",
};

const isThere = (page, adopted) => (adopted ? !Object.hasOwn(THEIRS, page) : page !== "switch");

export function page(state) {
  if (!state.ready) return loading(state);
  if (!state.me) return signInForm(redraw, "Console");
  if (!state.me.isAdmin) return closed(state);
  return html`
    <div lang="en" class="frame">
      <a class="skip" href="#content">Skip to the content</a>
      ${header(state)}
      <main class="console" id="content" tabindex="-1" data-refuge="#content">
        ${state.dialog ? nothing : alert(state)} ${content(state)}
        ${state.adopted && state.page === "overview" ? html`<p class="quiet">Models, providers and templates are not shown here: the product’s own pages have them.</p>` : nothing}
      </main>
      ${state.undo ? undoBar(state.undo) : nothing}
      ${spokenOutside(state)}
      ${dialog(state)}
    </div>`;
}

function header(state) {
  const current = state.page === "turn" ? "turns" : state.page;
  return html`
    <header class="top">
      <a class="brand" href="./"><img src="icon.svg" alt="" width="26" height="26" /> Roleplay</a>
      <h1>Console</h1>
      <span class="quiet">${state.me.name}</span>
      <button class="link" @click=${signOut}>Sign out</button>
      <nav aria-label="Pages">
        ${LISTED.filter((name) => isThere(name, state.adopted)).map((name) => html`
          <a href=${address(name)} aria-current=${name === current ? "page" : nothing}>${PAGES[name]}</a>`)}
      </nav>
    </header>`;
}

function content(state) {
  const { page, adopted, loaded, failure } = state;
  if (adopted && Object.hasOwn(THEIRS, page)) return html`<section><h2>${PAGES[page]}</h2><p>${THEIRS[page]}</p></section>`;
  if (loaded === page) return VIEWS[page](state);
  return failure?.page === page
    ? html`<button @click=${doing(panel.load)}>Load again</button>`
    : html`<p class="quiet" role="status">Loading …</p>`;
}

const undoBar = ({ sentence }) => html`
  <aside class="notice undo" aria-label="The last change" data-refuge="#content">
    <span>${sentence}</span>
    <button @click=${doing(panel.undo)}>Undo</button>
    <button @click=${panel.forgetUndo}>Dismiss</button>
  </aside>`;

const closed = (state) => html`
  <main class="welcome" lang="en">
    <div class="card">
      <h1>This page is for admins</h1>
      <p>You are signed in as ${state.me.email}, and this account is not an admin. Ask an operator if you
        need access.</p>
      <a href="./">Go to conversations</a>
      <button class="link" @click=${signOut}>Sign in with another account</button>
    </div>
  </main>`;
