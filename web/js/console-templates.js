// The page "Templates": prompt templates, and the prompt that one makes.

import { html, nothing } from "lit-html";
import { whole } from "./console-formats.js";
import { commands, link, section, updated } from "./console-parts.js";
import { previewPrompt } from "./console-people-data.js";
import { dataTable } from "./console-tables.js";
import { submitting } from "./page.js";

const TEMPLATES = [
  { title: "Template", value: ({ name }) => name, cell: ({ id, name }) => link("templates", { id }, name, { label: `Preview ${name}` }) },
  { title: "Use case", value: ({ use_case }) => use_case.replaceAll("_", " ") },
  { title: "Tier", value: ({ content_tier }) => content_tier },
  { title: "Model family", value: ({ model_family }) => model_family, cell: ({ model_family }) => model_family ?? "any" },
  { title: "State", value: ({ is_active }) => (is_active ? "Active" : "Off") },
  { title: "Characters", numeric: true, value: ({ system_prompt }) => system_prompt.length },
];

export function templatesPage(state) {
  const row = state.templates.find(({ id }) => id === state.params.id);
  return html`
    ${section("templates", "Templates", html`
      ${dataTable({ id: "templates-table", label: "Templates", columns: TEMPLATES, rows: state.templates, none: "There are no templates yet.", inactive: ({ is_active }) => !is_active })}
      ${commands("Templates are changed with the secret key, in prompt_templates:",
        ["update prompt_templates set system_prompt = '…' where name = '…'", "macros: docs/configuration.md"])}`, updated(state))}
    ${row ? previewOf(state, row) : html`<p class="quiet">Choose a template to see the prompt that it makes.</p>`}`;
}

function previewOf(state, row) {
  const show = submitting(async (event) => {
    const { system_prompt, content_tier } = Object.fromEntries(new FormData(event.target));
    await previewPrompt(system_prompt, content_tier);
  });
  return section("preview", `Preview: ${row.name}`, html`
    <form class="fields" @submit=${show}>
      <label>Template
        <textarea name="system_prompt" rows="10" maxlength="20000" required dir="auto" spellcheck="false" .value=${row.system_prompt}></textarea>
      </label>
      <label>Tier
        <select name="content_tier">${["sfw", "nsfw"].map((tier) => html`<option ?selected=${tier === row.content_tier}>${tier}</option>`)}</select>
      </label>
      <p class="quiet">What you change here is tried and not saved. The conversation of the preview is made up.</p>
      <div class="choices"><button class="primary">Preview the prompt</button></div>
    </form>
    ${state.preview ? made(state.preview) : nothing}`);
}

const PARTS = [
  { title: "Part", value: ({ part }) => part.replaceAll("_", " ") },
  { title: "Tokens", numeric: true, value: ({ tokens }) => tokens },
  { title: "Cut from", numeric: true, value: ({ of }) => of ?? null },
];

const made = ({ tokens, parts, messages }) => html`
  <h3>${`The prompt: ${whole(tokens)} tokens`}</h3>
  <ol class="cards" id="prompt">${messages.map(({ role, content }) => html`
    <li><h4>${role}</h4><p class="told" dir="auto">${content}</p></li>`)}</ol>
  ${dataTable({ id: "preview-parts", label: "Parts of the preview", columns: PARTS, rows: parts, none: "" })}`;
