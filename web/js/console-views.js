// The console's templates, made from its state.

import { html, nothing } from "../vendor/lit/lit-html.js";
import { repeat } from "../vendor/lit/directives/repeat.js";
import { workerHealth } from "./availability.js";
import "./chart.js";
import * as panel from "./console-data.js";
import { dialog, switchProvider } from "./console-dialogs.js";
import * as figures from "./figures.js";
import { doing, openDialog, redraw } from "./page.js";
import { alert, health, loading } from "./parts.js";
import { signInForm, signOut } from "./session.js";

const whole = new Intl.NumberFormat();
const short = new Intl.NumberFormat(undefined, { notation: "compact" });
const dollars = new Intl.NumberFormat(undefined, { style: "currency", currency: "USD", currencyDisplay: "narrowSymbol", maximumFractionDigits: 4 });
const percent = new Intl.NumberFormat(undefined, { style: "percent", maximumFractionDigits: 1 });
const clock = new Intl.DateTimeFormat(undefined, { dateStyle: "short", timeStyle: "medium" });
const inSeconds = (ms) => (ms === null ? "–" : `${(ms / 1000).toFixed(1)} s`);
const inPercent = (share) => (share === null ? "–" : percent.format(share));

export function page(state) {
  if (!state.ready) return loading(state);
  if (!state.me) return signInForm(redraw, "Console");
  if (!state.me.isAdmin) return closed(state);
  return html`
    <a class="skip" href="#content">Skip to the content</a>
    <header class="top">
      <a class="brand" href="./"><img src="icon.svg" alt="" width="26" height="26" /> Roleplay</a>
      <h1>Console</h1>
      <nav aria-label="Sections">
        ${["Activity", "Workers", ...(hasModels(state) ? ["Models", "Providers"] : []), "Ages"].map((name) => html`<a href=${`#${name.toLowerCase()}`}>${name}</a>`)}
      </nav>
      <span class="quiet">${state.me.name}</span>
      <button class="link" @click=${signOut}>Sign out</button>
    </header>
    <main class="console" id="content" tabindex="-1" data-refuge="#content">
      ${state.dialog ? nothing : alert(state)} ${activity(state)} ${workers(state)}
      ${hasModels(state) ? html`${models(state)} ${providers(state)}` : nothing} ${ages(state)}
    </main>
    ${state.undo ? undoBar(state.undo) : nothing}
    <p class="unseen" role="status">${state.said}</p>
    ${dialog(state)}
  `;
}

const undoBar = ({ sentence }) => html`
  <aside class="notice undo" aria-label="The last change" data-refuge="#content">
    <span>${sentence}</span>
    <button @click=${doing(panel.undo)}>Undo</button>
    <button @click=${panel.forgetUndo}>Dismiss</button>
  </aside>`;

const hasModels = ({ providers, models }) => providers !== null && models !== null;

const closed = (state) => html`
  <main class="welcome">
    <div class="card">
      <h1>This page is for admins</h1>
      <p>You are signed in as ${state.me.email}, and this account is not an admin. Ask an operator if you
        need access.</p>
      <a href="./">Go to conversations</a>
      <button class="link" @click=${signOut}>Sign in with another account</button>
    </div>
  </main>`;

// --- activity -------------------------------------------------------------------------------

function activity(state) {
  const { turns, calls, now } = state;
  const period = figures.PERIODS[state.period];
  const top = figures.totals(turns, calls);
  const failed = figures.failures(turns);
  const tiles = [
    ["Turns", whole.format(top.turns)],
    ["Answered", inPercent(top.answered)],
    ["Median", inSeconds(top.median)],
    ["p95", inSeconds(top.p95)],
    ["Tokens", short.format(top.tokens)],
    ["Prompts cached", inPercent(top.cached)],
    ["Cost", dollars.format(top.cost)],
  ];
  return html`
    <section id="activity" aria-labelledby="activity-title">
      <div class="head">
        <h2 id="activity-title">Activity</h2>
        <div class="choices" role="group" aria-label="Period">
          ${Object.keys(figures.PERIODS).map((name) => html`
            <button aria-pressed=${name === state.period} @click=${doing(() => panel.choosePeriod(name))}>${name}</button>`)}
        </div>
      </div>
      ${state.cut ? html`<p class="notice">Only the newest 20,000 rows are counted. Choose a shorter period to see all.</p>` : nothing}
      <dl class="tiles">
        ${tiles.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}
      </dl>
      <div class="charts">
        ${chart("Turns by outcome", [["Answered", "--c1"], ["Cut off or stopped", "--c2"], ["Failed", "--c3"]],
          figures.turnsByEnd(turns, period, now), true, (value) => short.format(value))}
        ${chart("Reply time", [["Median", "--c1"], ["p95", "--c2"]],
          figures.latency(calls, period, now), false, (value) => `${value} s`)}
        ${chart("Tokens", [["Prompt", "--c1"], ["Reply", "--c2"]],
          figures.tokens(calls, period, now), true, (value) => short.format(value))}
        ${chart("Cost", [["US dollars", "--c1"]],
          figures.cost(calls, period, now), true, (value) => `$${short.format(value)}`)}
      </div>
      <h3>Calls by model</h3>
      ${table(["Model", "Calls", "Succeeded", "First token", "Median", "p95", "Tokens", "Cached", "Cost"],
        figures.byModel(calls).map((line) => html`
          <tr><th scope="row">${line.name}</th><td>${whole.format(line.calls)}</td><td>${inPercent(line.well)}</td>
            <td>${inSeconds(line.first)}</td><td>${inSeconds(line.median)}</td><td>${inSeconds(line.p95)}</td>
            <td>${whole.format(line.tokens)}</td><td>${inPercent(line.cached)}</td><td>${dollars.format(line.cost)}</td></tr>`),
        "No model was called in this period.", "numbers")}
      ${failed.length
        ? html`<h3>Why turns failed</h3>
            ${table(["Reason", "Turns"], failed.map(({ code, times }) => html`
              <tr><th scope="row">${code}</th><td>${whole.format(times)}</td></tr>`), "", "numbers")}`
        : nothing}
    </section>`;
}

function chart(title, series, data, bars, format) {
  const sums = series.map(([name], index) => {
    const values = data[index + 1].filter((value) => value !== null);
    if (!values.length) return `${name}: none`;
    return bars
      ? `${name}: ${short.format(values.reduce((total, value) => total + value, 0))} in all`
      : `${name}: ${Math.min(...values).toFixed(1)} to ${Math.max(...values).toFixed(1)} s`;
  });
  return html`
    <figure>
      <figcaption>${title}
        <span class="key">${series.map(([name], index) => html`<span class=${`k${index + 1}`}>${name}</span>`)}</span>
      </figcaption>
      <rp-chart role="img" aria-label=${`${title}. ${sums.join(". ")}.`}
        .options=${{ data, bars, format, colours: series.map(([, colour]) => colour) }}></rp-chart>
    </figure>`;
}

const table = (heads, rows, none = "", kind = "") =>
  !none || rows.length
    ? html`<div class="scroll" tabindex="0" role="group" aria-label=${`Table: ${heads[0]}`}>
        <table class=${kind}>
          <thead><tr>${heads.map((head) => html`<th scope="col">${head || html`<span class="unseen">Actions</span>`}</th>`)}</tr></thead>
          <tbody>${rows}</tbody>
        </table></div>`
    : html`<p class="quiet">${none}</p>`;

// --- workers and cooldowns ------------------------------------------------------------------

function workers(state) {
  const charted = state.workers.filter((worker) => worker.health?.history?.length);
  return html`
    <section id="workers" aria-labelledby="workers-title">
      <h2 id="workers-title">Workers</h2>
      ${table(["Worker", "State", "Turns", "Priority", "Since", "Checked", "Address", "Error"], state.workers.map((worker) => html`
        <tr><th scope="row">${workerLabel(worker)}</th>
          <td>${workerState(worker)}</td>
          <td>${worker.slots ? `${worker.running} of ${worker.slots}` : "–"}</td>
          <td>${worker.priority}</td>
          <td>${at(worker.health?.since)}</td>
          <td>${at(worker.health?.lastChecked ?? worker.health?.lastCheck)}</td>
          <td>${worker.url ?? "–"}</td>
          <td>${worker.health?.healthError ?? worker.health?.probeError ?? "–"}</td></tr>`),
        "No worker is registered. A worker registers itself when it starts.")}
      ${charted.length
        ? html`<div class="charts">${charted.map((worker) => history(workerLabel(worker), worker.health))}</div>`
        : nothing}
      <h3>On cooldown now</h3>
      ${table(["Scope", "Key", "Until", "Reason", "Failures"], state.cooldowns.map((row) => html`
        <tr><th scope="row">${row.scope}</th><td>${row.key}</td><td>${at(row.until)}</td>
          <td>${row.reason.replaceAll("_", " ")}</td><td>${row.failures}</td></tr>`),
        "No model is on cooldown.")}
    </section>`;
}

const workerLabel = (worker) => worker.health_key ?? worker.name;

function workerState(worker) {
  if (!worker.url) return "Not registered yet";
  if (Date.parse(worker.lease_expires_at) <= Date.now()) return "Registration has ended";
  return html`${health(workerHealth(worker.health))}${worker.is_draining ? ", draining" : nothing}`;
}

/** Formats a time of the database, which may be missing or "infinity". */
function at(time) {
  const ms = Date.parse(time ?? "");
  return Number.isNaN(ms) ? "–" : clock.format(ms);
}

function history(name, record) {
  const data = figures.probes(record);
  const good = record.history.filter((ms) => ms !== null).length;
  return html`
    <figure>
      <figcaption>Last checks of ${name}
        <span class="key"><span class="k1">Time to answer</span><span class="k3">No answer</span></span>
      </figcaption>
      <rp-chart role="img" aria-label=${`Last checks of ${name}. ${good} of ${record.history.length} were answered.`}
        .options=${{ data, bars: true, format: (value) => `${value} ms`, colours: ["--c1", "--c3"] }}></rp-chart>
    </figure>`;
}

// --- models and providers -------------------------------------------------------------------

function models(state) {
  const tasks = Map.groupBy(state.models, (model) => model.task);
  return html`
    <section id="models" aria-labelledby="models-title">
      <div class="head"><h2 id="models-title">Models</h2>
        <button class="primary" @click=${() => openDialog("model", { row: null })}>Add a model</button>
      </div>
      ${[...tasks].map(([task, rows]) => html`
        <h3>${task.replaceAll("_", " ")}</h3>
        ${table(["Model", "Provider", "State", "Order", ""],
          repeat(rows, ({ id }) => id, (model, index) => modelRow(state, model, index, rows.length)))}`)}
    </section>`;
}

function modelRow(state, model, index, count) {
  const provider = state.providers.find(({ id }) => id === model.provider_id);
  const classifier = model.task === "moderation";
  const name = model.display_name;
  return html`
    <tr data-inactive=${!model.is_active}>
      <th scope="row">${name}<small>${model.model_key}</small></th>
      <td>${provider?.display_name ?? "–"}${provider?.is_active === false ? html`<small>switched off</small>` : nothing}${provider?.is_approved === false ? html`<small>waits for approval</small>` : nothing}</td>
      <td>${model.is_default ? html`<strong class="badge">Default</strong>` : model.is_active ? "Active" : "Off"}</td>
      <td class="order">${classifier ? nothing : html`
        <button id=${panel.moverId(model, -1)} aria-label=${`${name}: earlier`} ?disabled=${index === 0} @click=${doing(() => panel.moveModel(model, -1))}>↑</button>
        <button id=${panel.moverId(model, 1)} aria-label=${`${name}: later`} ?disabled=${index === count - 1} @click=${doing(() => panel.moveModel(model, 1))}>↓</button>`}
      </td>
      <td class="actions">${classifier ? html`<small>Managed with the secret key</small>` : html`
        ${model.is_active && !model.is_default
          ? html`<button aria-label=${`Make default for ${model.task}: ${name}`} @click=${doing(() => panel.makeDefault(model))}>Make default</button>`
          : nothing}
        ${model.is_default ? nothing : html`
          <button aria-label=${`${model.is_active ? "Switch off" : "Switch on"} ${name}`}
            @click=${doing(() => panel.changeModel(model, { is_active: !model.is_active }))}>${model.is_active ? "Switch off" : "Switch on"}</button>`}
        <button aria-label=${`Edit ${name}`} @click=${() => openDialog("model", { row: model })}>Edit</button>`}
      </td>
    </tr>`;
}

function providers(state) {
  return html`
    <section id="providers" aria-labelledby="providers-title">
      <div class="head"><h2 id="providers-title">Providers</h2>
        <button class="primary" @click=${() => openDialog("provider")}>Add a provider</button>
      </div>
      ${table(["Provider", "Address", "Key", "State", ""], state.providers.map((row) => html`
        <tr data-inactive=${!row.is_active}>
          <th scope="row">${row.display_name}<small>${row.name}</small></th>
          <td>${row.base_url}</td>
          <td>${row.auth_scheme === "none" ? "none" : html`<code>${row.secret_name}</code>`}</td>
          <td>${row.is_approved ? (row.is_active ? "Active" : "Off") : "Waiting for approval"}</td>
          <td class="actions">
            <button aria-label=${`${row.is_active ? "Switch off" : "Switch on"} ${row.display_name}`}
              @click=${doing(() => switchProvider(state, row))}>${row.is_active ? "Switch off" : "Switch on"}</button>
            <button aria-label=${`Edit ${row.display_name}`} @click=${() => openDialog("known provider", { row })}>Edit</button>
          </td>
        </tr>`), "There are no providers yet.")}
      <p class="quiet">Keys are never shown, only the names of the environment variables that hold them.
        The address and the key of a provider cannot be changed here. Operators change them with the secret
        key, and approve the providers that are added here.</p>
    </section>`;
}

// --- ages -----------------------------------------------------------------------------------

function ages(state) {
  const search = doing(async (event) => {
    event.preventDefault();
    await panel.searchAges(new FormData(event.target).get("search").trim());
  });
  return html`
    <section id="ages" aria-labelledby="ages-title">
      <div class="head"><h2 id="ages-title">Ages</h2>
        <form class="choices" role="search" @submit=${search}>
          <input name="search" type="search" aria-label="Name of a character" .value=${state.search} />
          <button>Search</button>
        </form>
      </div>
      ${table(["Character", "Rating", "Seen by", "Declared age", ""], state.ages.map((row) => html`
        <tr>
          <th scope="row" dir="auto">${row.name}</th>
          <td>${row.content_rating}</td>
          <td>${row.is_public ? "everybody" : "its author"}</td>
          <td>${row.age ?? "none"}</td>
          <td class="actions">
            <button aria-label=${`Declare the age of ${row.name}`} @click=${() => openDialog("age", { row })}>Declare</button>
          </td>
        </tr>`), "No character has such a name.")}
      <p class="quiet">Adult content needs a declared age of 18 or more of every character in a conversation. Ages
        are never read out of texts. Search for a name to see more characters.</p>
    </section>`;
}
