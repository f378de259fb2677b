// The pages "Characters", their ratings and declared ages, and "Reports", what people reported of them.

import { html, nothing } from "lit-html";
import { UserError } from "./backend.js";
import { go } from "./console-data.js";
import { at } from "./console-formats.js";
import { facts, formButtons, link, section, updated } from "./console-parts.js";
import * as panel from "./console-people-data.js";
import { ask, askWhy } from "./console-questions.js";
import { dataTable } from "./console-tables.js";
import { closeDialog, doing, openDialog, submitting } from "./page.js";
import { modal } from "./parts.js";

const askToTakeDown = (row) =>
  askWhy({
    title: `Take down ${row.name}`,
    text: "The character is in no catalogue and answers nobody, its author included. The author reads the reason. Its reports are closed.",
    name: "Take it down",
    act: (reason) => panel.takeDown(row, reason),
  });

const CHARACTERS = [
  { title: "Character", value: ({ name }) => name },
  { title: "Rating", value: ({ content_rating }) => content_rating },
  { title: "Seen by", value: ({ is_public }) => (is_public ? "everybody" : "its author") },
  { title: "Declared age", value: ({ age }) => age, cell: ({ age }) => age ?? "none" },
  { title: "Actions", cell: (row) => html`
    <button aria-label=${`Declare the age of ${row.name}`} @click=${() => openDialog("age", { row })}>Declare</button>
    ${row.is_public ? html`<button class="danger" aria-label=${`Take down ${row.name}`} @click=${() => askToTakeDown(row)}>Take down</button>` : nothing}` },
];

export function charactersPage(state) {
  const search = doing(async (event) => {
    event.preventDefault();
    await go("characters", { name: new FormData(event.target).get("name").trim() });
  });
  return section("characters", "Characters", html`
    <form class="choices search" role="search" aria-label="Find characters" @submit=${search}>
      <input name="name" type="search" aria-label="Name of a character" maxlength="200" .value=${state.params.name ?? ""} />
      <button>Search</button>
    </form>
    ${dataTable({ id: "ages", label: "Characters", columns: CHARACTERS, rows: state.characters, none: "No character has such a name." })}
    <p class="quiet">Adult content needs a declared age of 18 or more of every character in a conversation. Ages
      are never read out of texts. At most 100 characters are shown; search for a name to see others. The rating is
      its author's to choose.</p>`, updated(state));
}

const askToDeclare = (row, age) =>
  ask({
    title: `Declare ${row.name} to be ${age}`,
    text: `Every conversation with ${row.name}, also an earlier one, then stays without adult content. For conversations that exist this cannot be undone: another age that is declared later changes nothing in them.`,
    name: "Declare it",
    act: () => panel.declareAge(row, age),
  });

export function ageForm(state) {
  const { row } = state.dialog;
  const save = submitting(async (event) => {
    const text = new FormData(event.target).get("age");
    if (!/^\d+$/.test(text)) throw new UserError("Enter the age in whole years.", "not_a_number", 0, "age");
    const age = Number(text);
    await (panel.isMinor(age) && age !== row.age ? askToDeclare(row, age) : panel.declareAge(row, age));
  });
  const back = row.age === null ? nothing : html`
    <button type="button" class="danger" @click=${doing(() => panel.declareAge(row, null))}>Take it back</button>`;
  return modal(`Age of ${row.name}`, html`
    <form class="fields" @submit=${save}>
      <label>Years
        <input name="age" type="number" min="0" max="1000000" step="1" required .value=${String(row.age ?? "")} />
      </label>
      <p class="quiet">Declare only what the author means. Below 18, every conversation with this character, also
        an earlier one, stays without adult content, whatever is declared later.</p>
      ${formButtons(closeDialog, back)}
    </form>`, state);
}

// --- reports --------------------------------------------------------------------------------

export function reportsPage(state) {
  return html`
    ${section("reports", "Reports", html`
      ${state.queue.length
        ? html`<ul class="cards">${state.queue.map(reported)}</ul>`
        : html`<p class="quiet">No report waits for a decision.</p>`}`, updated(state))}
    ${section("take-downs", "Take-downs",
      dataTable({ id: "take-downs-table", label: "Take-downs", columns: TAKE_DOWNS, rows: state.takeDowns, none: "No character was taken down.", inactive: (row) => row.restored_at !== null }))}`;
}

const TEXTS = { description: "Description", personality: "Personality", scenario: "Scenario", first_message: "First message" };

function reported(row) {
  const dismiss = () =>
    askWhy({
      title: `Dismiss the reports of ${row.name}`,
      text: "The character stays as it is. Those who reported it see that their report was dismissed.",
      name: "Dismiss them",
      act: (reason) => panel.dismiss(row, reason),
    });
  return html`
    <li>
      <h3 dir="auto">${row.name}</h3>
      ${facts([
        ["Open reports", row.open_reports],
        ["Oldest", at(row.oldest_at)],
        ["Rating", row.content_rating],
        ["Declared age", row.age ?? "none"],
        ["Seen by", row.is_public ? "everybody" : "its author"],
        ["Author", row.author_id ? link("turns", { user: row.author_id }, row.author_id.slice(0, 8), { label: `Turns of the author ${row.author_id}` }) : "this installation"],
      ])}
      ${dataTable({ id: `reports-${row.character_id}`, label: `Reports of ${row.name}`, columns: REPORTS, rows: row.reports ?? [], none: "No details are known." })}
      ${row.texts
        ? html`<details><summary>${`Texts of ${row.name}`}</summary>
            ${Object.entries(TEXTS).map(([name, label]) => (row.texts[name] ? html`<h4>${label}</h4><p class="told" dir="auto">${row.texts[name]}</p>` : nothing))}</details>`
        : html`<p class="quiet">Its author made it private, so its texts are not shown.</p>`}
      <div class="choices">
        ${row.is_taken_down ? html`<strong class="badge">Taken down</strong>` : nothing}
        <button class="danger" aria-label=${`Take down ${row.name}`} @click=${() => askToTakeDown(row)}>Take down</button>
        <button aria-label=${`Dismiss the reports of ${row.name}`} @click=${dismiss}>Dismiss</button>
      </div>
    </li>`;
}

const REPORTS = [
  { title: "Reason", value: ({ reason }) => reason.replaceAll("_", " ") },
  { title: "Details", value: ({ details }) => details, cell: ({ details }) => html`<span dir="auto">${details || "–"}</span>` },
  { title: "Time", value: ({ created_at }) => created_at, cell: ({ created_at }) => at(created_at) },
  { title: "Reported by", value: ({ user_id }) => user_id },
];

const askToRestore = (row) =>
  askWhy({ title: `Restore ${row.name}`, text: "The character may be found and answers again. Its reports stay closed.", name: "Restore it", act: (reason) => panel.restore(row, reason) });

const TAKE_DOWNS = [
  { title: "Character", value: ({ name }) => name },
  { title: "Taken down", value: ({ taken_down_at }) => taken_down_at, cell: ({ taken_down_at }) => at(taken_down_at) },
  { title: "Reason", value: ({ reason }) => reason, cell: ({ reason }) => html`<span dir="auto">${reason}</span>` },
  { title: "Restored", value: ({ restored_at }) => restored_at, cell: ({ restored_at }) => at(restored_at) },
  { title: "Reason of that", value: ({ restored_reason }) => restored_reason },
  { title: "Actions", cell: (row) => (row.restored_at ? nothing : html`<button aria-label=${`Restore ${row.name}`} @click=${() => askToRestore(row)}>Restore</button>`) },
];
