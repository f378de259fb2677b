// The console's forms.

import { html, nothing } from "../vendor/lit/lit-html.js";
import { UserError } from "./backend.js";
import * as panel from "./console-data.js";
import { closeDialog, doing, openDialog } from "./page.js";
import { modal } from "./parts.js";

const TASKS = { roleplay: "roleplay", storytelling: "chat", prompt_enhancement: "chat" };
const OBJECTS = {
  input_defaults: ["Sent with every request", '{"max_tokens": 400, "temperature": 0.9}'],
  capabilities: ["Capabilities", '{"context_tokens": 8192}'],
  pricing: ["Price", '{"prompt_usd_per_1k": 0, "completion_usd_per_1k": 0}'],
};

const VIEWS = { model: modelForm, provider: providerForm, "known provider": knownProviderForm, age: ageForm, question };

export function dialog(state) {
  if (!state.dialog) return nothing;
  return VIEWS[state.dialog.name](state);
}

/** Asks before a change; `text` says what it does, `act` carries it out. */
function question(state) {
  const { title, text, name, act } = state.dialog.question;
  return modal(title, html`
    <p>${text}</p>
    <div class="choices">
      <button class="danger" @click=${doing(act)}>${name}</button>
      <button @click=${closeDialog}>Cancel</button>
    </div>`, state);
}

export const ask = (question) => openDialog("question", { question });

function modelsOf(state, provider) {
  const count = state.models.filter((model) => model.provider_id === provider.id && model.is_active).length;
  return count === 1 ? "one active model" : `${count || "no"} active models`;
}

/** Switches a provider on, or asks before it is switched off. */
export function switchProvider(state, row) {
  if (!row.is_active) return panel.changeProvider(row, { is_active: true });
  ask({
    title: `Switch off ${row.display_name}`,
    text: `It has ${modelsOf(state, row)}. None of them is asked while it is off.`,
    name: "Switch it off",
    act: () => panel.switchOff(row),
  });
}

const askToDelete = (row) =>
  ask({
    title: `Delete ${row.display_name}`,
    text: "Nobody can choose this model any more. What it was used for stays in the figures.",
    name: "Delete it",
    act: () => panel.deleteModel(row),
  });

const askToDeleteProvider = (row) =>
  ask({
    title: `Delete ${row.display_name}`,
    text: "This cannot be undone: its key cannot be assigned to another provider later.",
    name: "Delete it",
    act: () => panel.deleteProvider(row),
  });

function object(name, label, text) {
  try {
    const value = JSON.parse(text);
    if (value && typeof value === "object" && !Array.isArray(value)) return value;
  } catch {
    // Reported below.
  }
  throw new UserError(`“${label}” has to be a JSON object, such as {"max_tokens": 400}.`, "not_json", 0, name);
}

function modelForm(state) {
  const { row } = state.dialog;
  const save = doing(async (event) => {
    event.preventDefault();
    const given = Object.fromEntries(new FormData(event.target));
    const changes = {
      ...given,
      modality: row?.modality ?? TASKS[given.task],
      description: given.description || null,
      model_family: given.model_family || null,
      endpoint_path: given.endpoint_path || null,
      priority: Number(given.priority),
    };
    for (const [name, [label]] of Object.entries(OBJECTS)) changes[name] = object(name, label, given[name]);
    await (row ? panel.changeModel(row, changes) : panel.addModel(changes));
  });
  const field = (name, label, more = {}) => html`
    <label>${label}
      <input name=${name} .value=${String(row?.[name] ?? more.value ?? "")} ?required=${!more.optional}
        type=${more.type ?? "text"} placeholder=${more.placeholder ?? ""} />
    </label>`;
  return modal(row ? `Edit ${row.display_name}` : "Add a model", html`
    <form class="fields" @submit=${save}>
      ${field("display_name", "Name")}
      ${field("model_key", "The provider's name for it", { placeholder: "author/model" })}
      ${row ? nothing : html`
        <label>Provider
          <select name="provider_id">${state.providers.map(({ id, display_name }) => html`<option value=${id}>${display_name}</option>`)}</select>
        </label>
        <label>Task
          <select name="task">${Object.keys(TASKS).map((task) => html`<option value=${task}>${task.replaceAll("_", " ")}</option>`)}</select>
        </label>`}
      ${field("priority", "Order (lowest first)", { type: "number", value: 100 })}
      ${field("description", "Description", { optional: true })}
      ${field("model_family", "Family", { optional: true })}
      ${field("endpoint_path", "Path after the provider's address", { optional: true, placeholder: "/chat/completions" })}
      ${Object.entries(OBJECTS).map(([name, [label, example]]) => html`
        <label>${label} (JSON)
          <textarea name=${name} rows="3" spellcheck="false" dir="ltr"
            aria-invalid=${state.trouble?.field === name} aria-describedby=${state.trouble?.field === name ? "trouble" : nothing} .value=${row ? JSON.stringify(row[name]) : example}></textarea>
        </label>`)}
      <div class="choices">
        <button class="primary">Save</button>
        ${row && !row.is_default
          ? html`<button type="button" class="danger" @click=${() => askToDelete(row)}>Delete this model</button>`
          : nothing}
      </div>
    </form>`, state);
}

function providerForm(state) {
  const save = doing(async (event) => {
    event.preventDefault();
    const given = Object.fromEntries(new FormData(event.target));
    const keyless = given.auth_scheme === "none";
    await panel.addProvider({ ...given, secret_name: keyless ? null : given.secret_name });
  });
  return modal("Add a provider", html`
    <form class="fields" @submit=${save}>
      <label>Name <input name="display_name" required /></label>
      <label>Short name <input name="name" required pattern="[a-z0-9_\\-]+" placeholder="lower-case" /></label>
      <label>Address <input name="base_url" type="url" required placeholder="https://…/v1" /></label>
      <label>How the key is sent
        <select name="auth_scheme">
          <option value="bearer">Authorization: Bearer</option>
          <option value="header">In its own header</option>
          <option value="none">No key</option>
        </select>
      </label>
      <label>Header <input name="auth_header_name" value="Authorization" required /></label>
      <label>Environment variable of the key <input name="secret_name" placeholder="NAME_API_KEY" /></label>
      <p class="quiet">The provider is not used until an operator approves it with the secret key, and its key is not
        sent until the functions' KEY_ORIGINS allows it for this address. Another provider's variable cannot be used.</p>
      <div class="choices"><button class="primary">Save</button></div>
    </form>`, state);
}

function knownProviderForm(state) {
  const { row } = state.dialog;
  const used = state.models.filter((model) => model.provider_id === row.id).length;
  const save = doing(async (event) => {
    event.preventDefault();
    await panel.changeProvider(row, Object.fromEntries(new FormData(event.target)));
  });
  return modal(`Edit ${row.display_name}`, html`
    <form class="fields" @submit=${save}>
      <label>Name <input name="display_name" .value=${row.display_name} required /></label>
      <p class="quiet">The address and the key cannot be changed here. Operators change them with the secret key.
        ${used
          ? `To delete it, first delete its ${used === 1 ? "model" : `${used} models`}.`
          : "Its key cannot be assigned to another provider later."}</p>
      <div class="choices">
        <button class="primary">Save</button>
        ${used
          ? nothing
          : html`<button type="button" class="danger" @click=${() => askToDeleteProvider(row)}>Delete this provider</button>`}
      </div>
    </form>`, state);
}

function ageForm(state) {
  const { row } = state.dialog;
  const save = doing(async (event) => {
    event.preventDefault();
    await panel.declareAge(row, Number(new FormData(event.target).get("age")));
  });
  return modal(`Age of ${row.name}`, html`
    <form class="fields" @submit=${save}>
      <label>Years
        <input name="age" type="number" min="0" max="1000000" step="1" required .value=${String(row.age ?? "")} />
      </label>
      <p class="quiet">Declare only what the author means. Below 18, every conversation with this character, also
        an earlier one, stays without adult content.</p>
      <div class="choices">
        <button class="primary">Save</button>
        ${row.age === null
          ? nothing
          : html`<button type="button" class="danger" @click=${doing(() => panel.declareAge(row, null))}>Take it back</button>`}
      </div>
    </form>`, state);
}
