// The forms for models and providers.

import { html, nothing } from "lit-html";
import { UserError } from "./backend.js";
import { state } from "./console-data.js";
import { askToDelete, askToDeleteProvider } from "./console-questions.js";
import { columnsOf, fieldsOf, jsonProblem, NUMBERS, OBJECTS, TASKS } from "./console-model.js";
import * as panel from "./console-models-data.js";
import { formButtons } from "./console-parts.js";
import { changeDialog, closeDialog, doing, set, submitting, watchDialog } from "./page.js";
import { modal } from "./parts.js";

/** The values of a form, with its check boxes as true or false. */
function valuesOf(form) {
  const values = Object.fromEntries(new FormData(form));
  for (const box of form.querySelectorAll("[type=checkbox]")) values[box.name] = box.checked;
  return { ...values, adult: values.adult === "yes" };
}

/** Shows in the dialog what is wrong with a JSON field while it is edited. */
const check = ({ target }) => {
  const problem = jsonProblem(target.value, valuesOf(target.form), target.name);
  if (!problem && state.trouble?.field === target.name) set({ trouble: null });
  changeDialog({ problems: { ...state.dialog.problems, [target.name]: problem } });
};

async function saveModel(form, row) {
  const { changes, problem, field } = columnsOf(valuesOf(form), row);
  if (problem) {
    changeDialog({ problems: { ...state.dialog.problems, [field]: problem } });
    throw new UserError(problem, "not_json", 0, field);
  }
  await (row ? panel.changeModel(row, changes) : panel.addModel(changes));
}

export function modelForm(state) {
  const { row } = state.dialog;
  const fields = fieldsOf(row);
  const save = submitting((event) => saveModel(event.target, row));
  const field = (name, label, more = {}) => html`
    <label>${label}
      <input name=${name} .value=${String(fields[name] ?? row?.[name] ?? more.value ?? "")} ?required=${more.required ?? false}
        type=${more.type ?? "text"} min=${more.min ?? nothing} max=${more.max ?? nothing} step=${more.step ?? nothing}
        placeholder=${more.placeholder ?? nothing} list=${more.list ?? nothing} pattern=${more.pattern ?? nothing} autocomplete="off" />
    </label>`;
  const numbers = (column) => NUMBERS.filter(([of]) => of === column).map(([, key, label, more]) => field(key, label, { ...more, type: "number" }));
  return modal(row ? `Edit ${row.display_name}` : "Add a model", html`
    <form class="fields" @submit=${save}>
      ${field("display_name", "Name", { required: true })}
      ${row ? nothing : choices(state)}
      ${field("model_key", "Model ID", { required: true, placeholder: "author/model", list: "model-ids" })}
      ${modelIds(state, row)}
      <div class="pair">
        ${field("priority", "Priority (lowest first)", { type: "number", step: 1, value: 100, required: true })}
        <label>Tier
          <select name="adult">
            <option value="no">For everybody only</option>
            <option value="yes" ?selected=${fields.adult}>Adult conversations too</option>
          </select>
        </label>
        ${numbers("capabilities")}
      </div>
      <label class="check"><input type="checkbox" name="is_active" .checked=${row?.is_active ?? true} ?disabled=${row?.is_default} /> Active</label>
      <fieldset><legend>Default parameters</legend><div class="pair">${numbers("input_defaults")}</div></fieldset>
      <fieldset><legend>Prices</legend><div class="pair">${numbers("pricing")}</div></fieldset>
      <fieldset><legend>More</legend>
        <div class="fields">
          ${field("description", "Description")}
          ${field("model_family", "Model family")}
          ${field("endpoint_path", "Path after the base URL", { placeholder: "/chat/completions", pattern: "/[A-Za-z0-9/_.\\-]*" })}
          ${Object.entries(OBJECTS).map(([name, label]) => jsonField(name, label, fields[name], state.dialog.problems?.[name]))}
        </div>
      </fieldset>
      ${formButtons(closeDialog, row ? rowButtons(state, row) : nothing)}
    </form>`, state);
}

const choices = ({ providers }) => html`
  <div class="pair">
    <label>Provider
      <select name="provider_id">${providers.map(({ id, display_name }) => html`<option value=${id}>${display_name}</option>`)}</select>
    </label>
    <label>Task
      <select name="task">${Object.keys(TASKS).map((task) => html`<option value=${task}>${task.replaceAll("_", " ")}</option>`)}</select>
    </label>
  </div>`;

/** What the model ID can be chosen from: the list that the provider gave, else the models that are known. */
function modelIds(state, row) {
  const chosen = () => row?.provider_id ?? document.querySelector("dialog [name=provider_id]")?.value;
  const read = doing(async () => {
    const isStill = watchDialog();
    changeDialog({ told: "Reading the list …" });
    const provider = state.providers.find(({ id }) => id === chosen());
    const told = await panel.listModels(provider).catch((error) => {
      if (isStill()) changeDialog({ told: "" });
      throw error;
    });
    // Another provider may be chosen by now.
    if (isStill()) changeDialog(chosen() === provider.id ? { told, from: provider.id } : { told: "" });
  });
  const known = state.listed[state.dialog.from ?? row?.provider_id] ?? [...new Set(state.catalog.map(({ model_key }) => model_key))];
  return html`
    <datalist id="model-ids">${known.map((key) => html`<option value=${key}></option>`)}</datalist>
    <div class="choices"><button type="button" @click=${read}>Read the provider’s list</button>
      <span class="quiet" role="status">${state.dialog.told ?? ""}</span></div>`;
}

const jsonField = (name, label, value, problem) => html`
  <label>${label} (JSON)
    <textarea name=${name} rows="3" spellcheck="false" dir="ltr" @input=${check} aria-invalid=${Boolean(problem)}
      aria-describedby=${problem ? `problem-${name}` : nothing} .value=${value}></textarea>
  </label>
  ${problem ? html`<p class="error" id=${`problem-${name}`}>${problem}</p>` : nothing}`;

const rowButtons = (state, row) => html`
  <button type="button" ?disabled=${state.tests[row.id]?.busy} @click=${doing(() => panel.testModel(row))}>Test it</button>
  ${row.is_default ? nothing : html`<button type="button" class="danger" @click=${() => askToDelete(row)}>Delete this model</button>`}
  <span class="quiet" role="status">${state.tests[row.id] ? panel.testResult(state.tests[row.id]) : ""}</span>`;

export function providerForm(state) {
  const save = submitting(async (event) => {
    const given = Object.fromEntries(new FormData(event.target));
    const keyless = given.auth_scheme === "none";
    await panel.addProvider({ ...given, secret_name: keyless ? null : given.secret_name });
  });
  return modal("Add a provider", html`
    <form class="fields" @submit=${save}>
      <label>Name <input name="display_name" required /></label>
      <label>Short name <input name="name" required pattern="[a-z0-9_\\-]+" placeholder="lower-case" /></label>
      <label>Base URL <input name="base_url" type="url" required placeholder="https://…/v1" /></label>
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
      ${formButtons(closeDialog)}
    </form>`, state);
}

export function knownProviderForm(state) {
  const { row } = state.dialog;
  const used = state.models.filter((model) => model.provider_id === row.id).length;
  const save = submitting((event) => panel.changeProvider(row, Object.fromEntries(new FormData(event.target))));
  const remove = used ? nothing : html`<button type="button" class="danger" @click=${() => askToDeleteProvider(row)}>Delete this provider</button>`;
  return modal(`Edit ${row.display_name}`, html`
    <form class="fields" @submit=${save}>
      <label>Name <input name="display_name" .value=${row.display_name} required /></label>
      <p class="quiet">The base URL and the key cannot be changed here. Operators change them with the secret key.
        ${used
          ? `To delete it, first delete its ${used === 1 ? "model" : `${used} models`}.`
          : "Its key cannot be assigned to another provider later."}</p>
      ${formButtons(closeDialog, remove)}
    </form>`, state);
}
