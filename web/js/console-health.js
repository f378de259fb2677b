// The pages "Health", with the problems that the database reports, and "Workers".

import { html, nothing } from "lit-html";
import { workerHealth } from "./availability.js";
import { PAGES } from "./console-address.js";
import { chart } from "./console-charts.js";
import { findings } from "./console-findings.js";
import { at, whole } from "./console-formats.js";
import { commands, facts, link, section, updated } from "./console-parts.js";
import { dataTable } from "./console-tables.js";
import { probes } from "./figures.js";
import { line } from "./legible.js";
import { health } from "./parts.js";

const LOOKS = { problem: "✗ Problem", warning: "! Warning", ok: "✓ In order" };

const FINDINGS = [
  { title: "State", value: ({ state }) => LOOKS[state], cell: ({ state }) => html`<span class=${`finding ${state}`}>${LOOKS[state]}</span>` },
  { title: "What", value: ({ what }) => what },
  { title: "Found", value: ({ found }) => line(found) },
  { title: "What to do", value: ({ remedy }) => remedy, cell: ({ remedy, page }) => html`${remedy || "–"} ${page && remedy ? link(page, {}, `Open ${PAGES[page]}`) : nothing}` },
];

const isShown = (page, { adopted }) => !(adopted && page === "models");

export function healthPage(state) {
  const rows = findings(state, state.now * 1000).map((row) => (isShown(row.page, state) ? row : { ...row, page: "" }));
  const problems = rows.filter((row) => row.state === "problem").length;
  const sentence = problems ? `${problems === 1 ? "One problem needs" : `${problems} problems need`} somebody.` : "No problems on record.";
  return section("health", "Health", html`
    <p role="status" class=${problems ? "error" : "notice"}>${sentence}</p>
    ${dataTable({ id: "findings", label: "What the database knows", columns: FINDINGS, rows, none: "Nothing is known yet." })}
    ${unseen()} ${key(state.steps)} ${catalog(state)}
    <h3>Steps of health_check</h3>
    ${dataTable({ id: "steps", label: "Steps of health_check", columns: STEPS, rows: state.steps, none: "health_check has not run yet." })}`, updated(state));
}

const unseen = () => commands(
  "This page sees only what is stored. It does not see whether migrations, row level security and policies are as they should be, nor the environment of the functions: whether keys are set and bound to their addresses (KEY_ORIGINS), and what a worker answers right now. This does:",
  ["make verify", "checks all of it and says how to mend what is wrong"],
  ["make settings", "shows the settings of the functions and where they come from"],
);

const STEPS = [
  { title: "Step", value: ({ step }) => step },
  { title: "Error", value: ({ error }) => error && line(error) },
  { title: "Last start", value: ({ begun_at }) => begun_at, cell: ({ begun_at }) => at(begun_at) },
  { title: "Last success", value: ({ done_at }) => done_at, cell: ({ done_at }) => at(done_at) },
  { title: "Result", value: ({ found }) => (Object.keys(found).length ? line(JSON.stringify(found)) : null) },
];

const KEY = [
  ["limit_usd", "Limit (USD)"],
  ["remaining_usd", "Left of the limit (USD)"],
  ["used_usd", "Used (USD)"],
  ["balance_usd", "Credit of the account (USD)"],
  ["free_requests_limit", "Free requests a day"],
  ["free_requests_remaining", "Free requests left today"],
];

/** The state of the provider's key, as health_check last read it. */
function key(steps) {
  const step = steps.find((row) => row.step === "key");
  if (!step) return html`<h3>Provider key</h3><p class="quiet">health_check has not asked for the state of the provider’s key. Only OpenRouter tells it.</p>`;
  const known = KEY.map(([name, label]) => [label, typeof step.found[name] === "number" ? whole(step.found[name]) : "not told"]);
  return html`<h3>Provider key</h3>
    ${facts([...known, ["Expires", at(step.found.expires_at)], ["Read", at(step.done_at)], ["Error", step.error ? line(step.error) : "none"]])}`;
}

const CATALOG = [
  { title: "Model", value: ({ display_name }) => display_name, cell: ({ display_name, model_key }) => html`${display_name}<small>${model_key}</small>` },
  { title: "Model ID", value: ({ model_key }) => model_key },
  { title: "Provider", value: ({ provider }) => provider },
  { title: "Task", value: ({ task }) => task.replaceAll("_", " ") },
  { title: "Active", value: ({ is_active }) => (is_active ? "yes" : "no") },
  { title: "Catalog says", value: ({ catalog_status }) => catalog_status?.replaceAll("_", " ") },
  { title: "Listed as", value: ({ listed_as }) => listed_as && line(listed_as) },
  { title: "Expires", value: ({ expires_on }) => expires_on && line(expires_on) },
  { title: "Checked", value: ({ catalog_checked_at }) => catalog_checked_at, cell: ({ catalog_checked_at }) => at(catalog_checked_at) },
];

const catalog = ({ catalog }) => html`
  <h3>Models in the providers’ catalogs</h3>
  ${dataTable({ id: "catalog", label: "Models in the providers’ catalogs", columns: CATALOG, rows: catalog, none: "There are no models yet.", inactive: ({ is_active }) => !is_active })}`;

// --- workers and cooldowns ------------------------------------------------------------------

const workerLabel = (worker) => worker.health_key ?? worker.name;
const stateWords = (worker) => {
  if (!worker.url) return "Not registered yet";
  if (Date.parse(worker.lease_expires_at) <= Date.now()) return "Registration has ended";
  return `${workerHealth(worker.health).text}${worker.is_draining ? ", draining" : ""}`;
};

function workerState(worker) {
  const words = stateWords(worker);
  const known = workerHealth(worker.health);
  return words.startsWith(known.text) ? health({ state: known.state, text: words }) : words;
}

const WORKERS = [
  { title: "Worker", value: workerLabel },
  { title: "State", value: stateWords, cell: workerState },
  { title: "Turns", value: (row) => (row.slots ? `${row.running} of ${row.slots}` : null) },
  { title: "Priority", numeric: true, value: ({ priority }) => priority },
  { title: "Model ID", value: ({ model }) => model && line(model) },
  { title: "Since", value: ({ health }) => health?.since, cell: ({ health }) => at(health?.since) },
  { title: "Checked", value: ({ health }) => health?.lastChecked ?? health?.lastCheck, cell: ({ health }) => at(health?.lastChecked ?? health?.lastCheck) },
  { title: "Base URL", value: ({ url }) => url },
  { title: "Error", value: ({ health }) => health?.healthError ?? health?.probeError },
];

const COOLDOWNS = [
  { title: "Scope", value: ({ scope }) => scope },
  { title: "Key", value: ({ key }) => key },
  { title: "Cooldown until", value: ({ until }) => until, cell: ({ until }) => at(until) },
  { title: "Error", value: ({ reason }) => reason.replaceAll("_", " ") },
  { title: "Failures", numeric: true, value: ({ failures }) => failures },
];

export function workersPage(state) {
  const charted = state.workers.filter((worker) => worker.health?.history?.length);
  return html`
    ${section("workers", "Workers", html`
      ${dataTable({ id: "workers-table", label: "Workers", columns: WORKERS, rows: state.workers, none: "No worker is registered. A worker registers itself when it starts." })}
      ${charted.length ? html`<div class="charts">${charted.map((worker) => history(workerLabel(worker), worker.health))}</div>` : nothing}
      ${commands("Workers and their hosts are added and changed with the secret key:",
        ["make add-server URL=http://127.0.0.1:11434 MODEL=qwen3:8b", "adds a server that speaks OpenAI’s API"],
        ["make worker NAME=gpu-1", "makes a worker and prints its key once; DRAIN=1 and REMOVE=1 take it out"],
        ["WORKER_HOSTS=gpu.example.com", "in the environment of health_check: the hosts at which workers may register"])}`, updated(state))}
    ${section("cooldowns", "On cooldown now",
      dataTable({ id: "cooldowns-table", label: "On cooldown now", columns: COOLDOWNS, rows: state.cooldowns, none: "No model is on cooldown." }))}`;
}

function history(name, record) {
  const answered = record.history.filter((ms) => ms !== null).length;
  const title = `Last checks of ${name}`;
  const data = probes(record);
  return chart({ title, series: [["Answered", "--c1"], ["Failed", "--c3"]], data, bars: true, format: (value) => `${whole(value)} ms`,
    summary: `${answered} of ${record.history.length} were answered` });
}
