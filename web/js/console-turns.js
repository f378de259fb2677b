// The pages "Turns", a filtered list, and "Turn", one of them. Neither has anybody's words.

import { repeat } from "lit-html/directives/repeat.js";
import { html, nothing } from "lit-html";
import { localTime, STATUSES, utcTime } from "./console-address.js";
import { go } from "./console-data.js";
import { at, dollars, seconds, whole } from "./console-formats.js";
import { facts, link, section, updated } from "./console-parts.js";
import { dataTable } from "./console-tables.js";
import { SEARCHED_DAYS } from "./console-turns-data.js";
import { doing } from "./page.js";

const number = (title, name, format = whole) => ({ title, numeric: true, value: (row) => row[name], cell: (row) => format(row[name]) });
const text = (title, name) => ({ title, value: (row) => row[name] });

const TURNS = [
  { title: "Time", value: (row) => row.created_at, cell: (row) => link("turn", { id: row.id }, at(row.created_at), { label: `Turn of ${at(row.created_at)}` }) },
  text("Status", "status"),
  { title: "Error", value: (row) => row.error_code, cell: (row) => (row.error_code ? link("turns", { error: row.error_code }, row.error_code) : "–") },
  { title: "Model", value: (row) => row.model_used, cell: (row) => (row.model_used ? link("turns", { model: row.model_used }, row.model_used) : "–") },
  { title: "Person", value: (row) => row.user_id, cell: (row) => link("turns", { user: row.user_id }, row.user_id.slice(0, 8), { label: `Turns of the person ${row.user_id}` }) },
  text("Action", "action"),
  number("Latency", "duration_ms", seconds),
  number("Input tokens", "prompt_tokens"),
  number("Output tokens", "completion_tokens"),
  number("Cost", "cost_usd", dollars),
  { title: "Request ID", value: (row) => row.request_id, cell: (row) => html`<code>${row.request_id ?? "–"}</code>` },
];

export function turnsPage(state) {
  const { rows, next, isRecent } = state.list;
  const { after, ...filters } = state.params;
  // Each address has its own form: a form that is reused would keep what was chosen for another address.
  return section("turns", "Turns", html`
    ${repeat([state], ({ params }) => params, filterForm)}
    ${dataTable({ id: "turns-table", label: "Turns", columns: TURNS, rows, none: "No turn is like this. Change the filter, or take it away." })}
    <nav class="choices" aria-label="Pages of turns">
      ${after ? link("turns", filters, "Newest") : nothing}
      ${next ? link("turns", { ...filters, after: next }, "Older") : nothing}
    </nav>
    <p class="quiet">No words of conversations are shown here or stored for it. Sorting and the table's filter apply to these
      ${rows.length} turns, the form above to all${isRecent ? ` of the last ${SEARCHED_DAYS} days; choose From for earlier ones` : ""}.</p>`, updated(state));
}

function filterForm(state) {
  const { params, catalog, list } = state;
  const apply = doing(async (event) => {
    event.preventDefault();
    const { from, to, ...given } = Object.fromEntries(new FormData(event.target));
    await go("turns", { ...given, from: utcTime(from), to: utcTime(to) });
  });
  const field = (name, label, more = {}) => html`
    <label>${label} <input name=${name} .value=${params[name] ?? ""} maxlength="200" list=${more.list ?? nothing}
      pattern=${more.pattern ?? nothing} title=${more.title ?? nothing} autocomplete="off" /></label>`;
  const names = [...new Set(catalog.map((row) => `${row.provider}:${row.model_key}`)), "chat_worker*"];
  const codes = [...new Set(list.rows.map((row) => row.error_code).filter(Boolean))];
  return html`
    <form class="filters" role="search" aria-label="Filter turns" @submit=${apply}>
      ${field("user", "Person (user ID)", { pattern: "[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", title: "The ID of a user, a UUID" })}
      ${field("model", "Model", { list: "turn-models", title: "provider:model ID; * at the end stands for anything" })}
      ${field("error", "Error", { list: "turn-errors" })}
      <label>Status
        <select name="status"><option value="">Any</option>
          ${STATUSES.map((status) => html`<option value=${status} ?selected=${params.status === status}>${status}</option>`)}
        </select>
      </label>
      ${field("request", "Request ID")}
      <label>From <input type="datetime-local" name="from" .value=${localTime(params.from ?? "")} /></label>
      <label>To <input type="datetime-local" name="to" .value=${localTime(params.to ?? "")} /></label>
      <div class="choices"><button class="primary">Filter</button>${link("turns", {}, "Clear the filter")}</div>
      <datalist id="turn-models">${names.map((name) => html`<option value=${name}></option>`)}</datalist>
      <datalist id="turn-errors">${codes.map((code) => html`<option value=${code}></option>`)}</datalist>
    </form>`;
}

// --- one turn -------------------------------------------------------------------------------

export function turnPage(state) {
  const { report } = state;
  if (!report) {
    return section("turn", "Turn", html`<p>There is no such turn, or it was deleted with old rows. ${link("turns", {}, "See all turns")}</p>`);
  }
  const { turn, calls, prompt } = report;
  return section("turn", `Turn of ${at(turn.created_at)}`, html`
    ${facts(factsOf(turn))}
    <h3>Route</h3>
    ${dataTable({ id: "route", label: "Route: calls in order", columns: CALLS, rows: numbered(calls), none: "No model was called." })}
    <h3>Prompt</h3>
    ${prompt ? promptOf(prompt) : html`<p class="quiet">What the prompt was made of is not stored for this turn, or no longer.</p>`}`, updated(state));
}

const factsOf = (turn) => [
  ["Status", turn.status],
  ["Error", turn.error_code ? link("turns", { error: turn.error_code }, turn.error_code) : "–"],
  ["Model", turn.model_used ? link("turns", { model: turn.model_used }, turn.model_used) : "–"],
  ["Person", link("turns", { user: turn.user_id }, turn.user_id)],
  ["Request ID", html`<code>${turn.request_id ?? "–"}</code>`],
  ["Task", turn.task],
  ["Action", turn.action],
  ["Content tier", turn.content_tier ?? "–"],
  ["Finish reason", turn.finish_reason ?? "–"],
  ["Worker", turn.worker ?? "–"],
  ["Began", at(turn.created_at)],
  ["Ended", at(turn.finished_at)],
  ["Latency", seconds(turn.duration_ms)],
  ["Input tokens", whole(turn.prompt_tokens)],
  ["Output tokens", whole(turn.completion_tokens)],
  ["Cost", dollars(turn.cost_usd)],
];

const numbered = (calls) => calls.map((call, index) => ({ ...call, place: index + 1 }));

const CALLS = [
  { title: "No.", value: (row) => row.place },
  text("Purpose", "purpose"),
  { title: "Model", value: (row) => `${row.provider}:${row.model_key}` },
  text("Outcome", "outcome"),
  number("Input tokens", "prompt_tokens"),
  number("Input cached", "cached_tokens"),
  number("Output tokens", "completion_tokens"),
  { title: "Counted by", value: (row) => (row.prompt_tokens === null ? null : row.is_estimated ? "our estimate" : "the provider") },
  number("Time to first token", "first_token_ms", seconds),
  number("Duration", "duration_ms", seconds),
  number("Cost", "cost_usd", dollars),
  { title: "Recorded", value: (row) => row.created_at, cell: (row) => at(row.created_at) },
];

const PARTS = [
  { title: "Part", value: (row) => row.part.replaceAll("_", " ") },
  number("Tokens", "tokens"),
  { title: "Cut from", numeric: true, value: (row) => row.of ?? null },
];

function promptOf({ tokens, parts, history, entries, facts: known, recalled, left_out }) {
  return html`
    ${facts([
      ["Prompt tokens", whole(tokens)],
      ["Messages", whole(history?.messages)],
      ["Messages left out", whole(history?.left_out)],
      ["Lorebook entries", whole(entries)],
      ["Facts", whole(known)],
      ["Recalled", whole(recalled)],
      ["Entries and facts left out", whole(left_out)],
    ])}
    ${dataTable({ id: "prompt-parts", label: "Parts of the prompt", columns: PARTS, rows: Array.isArray(parts) ? parts : [], none: "No parts are stored." })}`;
}
