// A chart with its numbers as a table, which can be exported.

import { html, nothing } from "lit-html";
import "./chart.js";
import { at, compact } from "./console-formats.js";
import { dataTable } from "./console-tables.js";

/**
 * `series` are [name, CSS variable], `data` columns for uPlot, `bars` stacked bars or lines, `format` the labels
 * of values. Without an `id` there is no table of the numbers; `summary` is what is read out in place of sums.
 */
export function chart({ id, title, series, data, bars, format, summary = null }) {
  const names = series.map(([name]) => name);
  const options = { data, bars, format, names, colours: series.map(([, colour]) => colour) };
  return html`
    <figure>
      <figcaption>${title}
        <span class="key">${series.map(([name, colour]) => html`<span class=${`k${colour.at(-1)}`}>${name}</span>`)}</span>
      </figcaption>
      <rp-chart role="img" aria-label=${`${title}. ${summary ?? summarised(names, data, bars, format)}.`} .options=${options}></rp-chart>
      ${id ? numbers(id, title, names, data, format) : nothing}
    </figure>`;
}

function summarised(names, data, bars, format) {
  const sums = names.map((name, index) => {
    const values = data[index + 1].filter((value) => value !== null);
    if (!values.length) return `${name}: none`;
    if (bars) return `${name}: ${compact(values.reduce((total, value) => total + value, 0))} in all`;
    return `${name}: ${format(Math.min(...values))} to ${format(Math.max(...values))}`;
  });
  return sums.join(". ");
}

function numbers(id, title, names, [times, ...values], format) {
  const rows = times.map((time, index) => ({ time, values: values.map((column) => column[index]) }));
  const columns = [
    { title: "Time", value: ({ time }) => new Date(time * 1000).toISOString(), cell: ({ time }) => at(new Date(time * 1000).toISOString()) },
    ...names.map((name, index) => ({
      title: name,
      numeric: true,
      value: (row) => row.values[index],
      cell: (row) => (row.values[index] === null ? "–" : format(row.values[index])),
    })),
  ];
  return html`
    <details><summary>${`Numbers: ${title}`}</summary>
      ${dataTable({ id, label: title, columns, rows, none: "There are none." })}
    </details>`;
}
