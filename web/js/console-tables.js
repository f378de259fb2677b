// The console's tables: they sort, filter, are exported, and become lists of cards on phones.
//
// A column is {title, value, cell, numeric}: `value` is what is sorted, searched and exported; `cell` is what is
// shown, by default the value.

import { html, nothing } from "lit-html";
import { csv, matching, sorted } from "./console-rows.js";
import { state } from "./console-data.js";
import { set } from "./page.js";

const FEW = 6; // rows that nobody needs to filter

const change = (id, changes) => set({ tables: { ...state.tables, [id]: { ...state.tables[id], ...changes } } });

/** Sorts by a column, or turns the order around. */
function sortBy(id, title) {
  const { sort, descending } = state.tables[id] ?? {};
  change(id, { sort: title, descending: sort === title && !descending });
}

/** Saves a text as a file. */
export function save(name, text, type) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

const stamp = () => new Date().toISOString().slice(0, 16).replace(/[:T]/g, "-");

/** A table. `id` is its name in the page and in exports, `label` what it is a table of, `none` what is said without rows. */
export function dataTable({ id, label, columns, rows, none, inactive = () => false }) {
  const { sort, descending = false, words = "" } = state.tables[id] ?? {};
  if (!rows.length) return html`<p class="quiet" id=${id}>${none}</p>`;
  const by = columns.find(({ title }) => title === sort);
  const found = matching(rows, columns, words);
  const shown = by ? sorted(found, by, descending) : found;
  return html`
    <div class="table" id=${id}>
      <div class="table-tools">
        ${rows.length > FEW || words ? filter(id, label, words, found.length, rows.length) : nothing}
        ${sorter(id, label, columns, sort, descending)}
        <button aria-label=${`Export CSV: ${label}`} @click=${() => save(`${id}-${stamp()}.csv`, csv(shown, columns), "text/csv")}>Export CSV</button>
      </div>
      <div class="scroll" tabindex="0" role="region" aria-label=${`Table: ${label}`}>
        <table role="table">
          <thead role="rowgroup"><tr role="row">${columns.map((column) => heading(id, column, sort, descending))}</tr></thead>
          <tbody role="rowgroup">${shown.map((row) => line(columns, row, inactive(row)))}</tbody>
        </table>
      </div>
      ${shown.length ? nothing : html`<p class="quiet">No row has these words.</p>`}
    </div>`;
}

const filter = (id, label, words, found, count) => html`
  <label class="filter"><span class="unseen">${`Filter: ${label}`}</span>
    <input type="search" placeholder="Filter" .value=${words} @input=${({ target }) => change(id, { words: target.value })} />
  </label>
  <span class="quiet" role="status">${words ? `${found} of ${count}` : nothing}</span>`;

/** Phones show no headings, so they sort by this. */
const sorter = (id, label, columns, sort, descending) => html`
  <div class="sorter">
    <select aria-label=${`Sort: ${label}`} @change=${({ target }) => {
      const [title, down] = target.value.split("|");
      change(id, { sort: title, descending: down === "down" });
    }}>
      <option value="|" ?selected=${!sort}>Default order</option>
      ${columns.filter(({ value }) => value).flatMap(({ title }) => [["", "ascending"], ["down", "descending"]].map(([down, word]) => html`
        <option value=${`${title}|${down}`} ?selected=${sort === title && descending === (down === "down")}>${`${title}, ${word}`}</option>`))}
    </select>
  </div>`;

function heading(id, { title, value, numeric }, sort, descending) {
  if (!value) return html`<th scope="col" role="columnheader"><span class="unseen">${title}</span></th>`;
  const order = sort === title ? (descending ? "descending" : "ascending") : "none";
  const arrow = { ascending: " ↑", descending: " ↓", none: "" }[order];
  return html`
    <th scope="col" role="columnheader" class=${numeric ? "number" : ""} aria-sort=${order}>
      <button class="link" @click=${() => sortBy(id, title)}>${title}<span aria-hidden="true">${arrow}</span></button>
    </th>`;
}

const plain = (value) => (value === null || value === undefined || value === "" ? "–" : value);

const line = (columns, row, isInactive) => html`
  <tr role="row" data-inactive=${isInactive}>${columns.map(({ title, value, cell, numeric }, index) => {
    const shown = cell ? cell(row) : plain(value(row));
    return index === 0
      ? html`<th scope="row" role="rowheader" dir="auto">${shown}</th>`
      : html`<td role="cell" data-title=${title} class=${numeric ? "number" : value ? "" : "actions"}>${shown}</td>`;
  })}</tr>`;
