// The page "Models": models by task, and providers.

import { html, nothing } from "lit-html";
import { askToDelete, switchProvider } from "./console-questions.js";
import * as panel from "./console-models-data.js";
import { commands, section, updated } from "./console-parts.js";
import { dataTable } from "./console-tables.js";
import { doing, openDialog } from "./page.js";

export function modelsPage(state) {
  const tasks = Map.groupBy(state.models, (model) => model.task);
  return html`
    ${section("models", "Models", html`
      ${[...tasks].map(([task, rows]) => html`
        <h3>${task.replaceAll("_", " ")}</h3>
        ${dataTable({ id: `models-${task}`, label: `Models for ${task.replaceAll("_", " ")}`, columns: modelColumns(state, rows), rows,
          none: "There are none.", inactive: ({ is_active }) => !is_active })}`)}
      ${tasks.size ? nothing : html`<p class="quiet">There are no models yet.</p>`}
      ${commands("Moderation and embedding models are added and changed with the secret key, in api_models:",
        ["insert into api_models (provider_id, task, modality, …)", "see docs/configuration.md"])}`,
      html`${updated(state)}<button class="primary" @click=${() => openDialog("model", { row: null })}>Add a model</button>`)}
    ${providers(state)}`;
}

const providerOf = (state, model) => state.providers.find(({ id }) => id === model.provider_id);
const stateOf = (model) => (model.is_default ? "Default" : model.is_active ? "Active" : "Off");

function providerWords(state, model) {
  const provider = providerOf(state, model);
  const closed = provider?.is_approved === false ? " (waits for approval)" : provider?.is_active === false ? " (switched off)" : "";
  return `${provider?.display_name ?? "–"}${closed}`;
}

const catalogWords = ({ catalog_status, catalog }) => {
  const more = { renamed: catalog?.listed_as, expiring: catalog?.expires_on }[catalog_status];
  return catalog_status && catalog_status !== "listed" ? `${catalog_status.replaceAll("_", " ")}${more ? `: ${more}` : ""}` : null;
};

function modelColumns(state, rows) {
  const isOpen = (model) => model.task !== "moderation" && model.task !== "embedding";
  return [
    { title: "Model", value: (row) => row.display_name, cell: (row) => html`${row.display_name}<small>${row.model_key}</small>` },
    { title: "Model ID", value: (row) => row.model_key },
    { title: "Provider", value: (row) => providerWords(state, row) },
    { title: "State", value: stateOf, cell: (row) => html`${row.is_default ? html`<strong class="badge">Default</strong>` : stateOf(row)}${catalogWords(row) ? html`<small class="finding problem">${catalogWords(row)}</small>` : nothing}` },
    { title: "Tier", value: (row) => (row.capabilities?.nsfw === true ? "adult too" : "sfw only") },
    { title: "Context", numeric: true, value: (row) => row.capabilities?.context_tokens ?? null },
    { title: "Priority", numeric: true, value: (row) => row.priority, cell: (row) => (isOpen(row) ? movers(rows, row) : row.priority) },
    { title: "Actions", cell: (row) => html`${isOpen(row) ? modelButtons(row) : html`<small>Managed with the secret key</small>`}${testing(state, row, panel.testModel)}` },
  ];
}

function movers(rows, model) {
  const index = rows.indexOf(model);
  const mover = (by, sign, word, isLast) => html`
    <button id=${panel.moverId(model, by)} aria-label=${`${model.display_name}: ${word}`} ?disabled=${isLast}
      @click=${doing(() => panel.moveModel(model, by))}>${sign}</button>`;
  return html`<span class="order">${model.priority} ${mover(-1, "↑", "earlier", index === 0)}${mover(1, "↓", "later", index === rows.length - 1)}</span>`;
}

function modelButtons(model) {
  const name = model.display_name;
  const toggle = model.is_active ? "Switch off" : "Switch on";
  return html`
    ${model.is_active && !model.is_default
      ? html`<button aria-label=${`Make default for ${model.task}: ${name}`} @click=${doing(() => panel.makeDefault(model))}>Make default</button>`
      : nothing}
    ${model.is_default ? nothing : html`
      <button aria-label=${`${toggle} ${name}`} @click=${doing(() => panel.changeModel(model, { is_active: !model.is_active }))}>${toggle}</button>`}
    <button aria-label=${`Edit ${name}`} @click=${() => openDialog("model", { row: model })}>Edit</button>
    ${model.is_default ? nothing : html`<button class="danger" aria-label=${`Delete ${name}`} @click=${() => askToDelete(model)}>Delete</button>`}`;
}

/** The button that tests a row, and the result of its last test. */
const testing = (state, row, test) => html`
  <button aria-label=${`Test ${row.display_name}`} ?disabled=${state.tests[row.id]?.busy} @click=${doing(() => test(row))}>Test</button>
  ${state.tests[row.id]
    ? html`<small class=${`result finding ${state.tests[row.id].is_ok === false ? "problem" : "ok"}`}>${panel.testResult(state.tests[row.id])}</small>`
    : nothing}`;

function providers(state) {
  const columns = [
    { title: "Provider", value: (row) => row.display_name, cell: (row) => html`${row.display_name}<small>${row.name}</small>` },
    { title: "Base URL", value: (row) => row.base_url },
    { title: "Key", value: (row) => (row.auth_scheme === "none" ? "none" : row.secret_name), cell: (row) => (row.auth_scheme === "none" ? "none" : html`<code>${row.secret_name}</code>`) },
    { title: "State", value: (row) => (row.is_approved ? (row.is_active ? "Active" : "Off") : "Waiting for approval") },
    { title: "Actions", cell: (row) => html`
      <button aria-label=${`${row.is_active ? "Switch off" : "Switch on"} ${row.display_name}`}
        @click=${doing(() => switchProvider(state, row))}>${row.is_active ? "Switch off" : "Switch on"}</button>
      <button aria-label=${`Edit ${row.display_name}`} @click=${() => openDialog("known provider", { row })}>Edit</button>
      ${testing(state, row, panel.testProvider)}` },
  ];
  return section("providers", "Providers", html`
    ${dataTable({ id: "providers-table", label: "Providers", columns, rows: state.providers, none: "There are no providers yet.", inactive: ({ is_active }) => !is_active })}
    ${commands("Keys are never shown, only the names of the environment variables that hold them. The base URL and the key of a provider are changed, and added providers approved, with the secret key:",
      ["update api_providers set is_approved = true where name = '…'", "approves one that was added here"],
      ["update api_providers set base_url = '…' where name = '…'", "changes its address; KEY_ORIGINS has to allow it"])}`,
    html`<button class="primary" @click=${() => openDialog("provider")}>Add a provider</button>`);
}

