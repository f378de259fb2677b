// The page "Switch": in an adopted installation, who is answered by which function, and how both do.

import { html } from "lit-html";
import { at, dollars, seconds, whole } from "./console-formats.js";
import { commands, facts, section, updated } from "./console-parts.js";
import { dataTable } from "./console-tables.js";

const number = (title, name, format = whole) => ({ title, numeric: true, value: (row) => row[name], cell: (row) => format(row[name]) });

const DAYS = [
  { title: "Day (UTC)", value: ({ day }) => day },
  { title: "Function", value: ({ side }) => side },
  number("Conversations", "conversations"),
  number("Messages of people", "said"),
  number("Replies", "replies"),
  { title: "Replies per message", numeric: true, value: ({ said, replies }) => (said ? Math.round((100 * replies) / said) / 100 : null) },
  number("Failed", "failed"),
  number("Fallbacks", "fallbacks"),
  number("p50 latency", "duration_ms_p50", seconds),
  number("Cost", "cost_usd", dollars),
];

export function switchPage(state) {
  if (!state.moved) return section("switch", "Switch", html`<p>This installation did not move into an existing product, so there is no switch.</p>`);
  const { is_on, percent, people, updated_at, days } = state.moved;
  const newest = [...days].reverse();
  return section("switch", "Switch", html`
    ${facts([
      ["The new function", is_on ? "answers those who are moved" : "answers nobody"],
      ["People moved by name", whole(people)],
      ["Share of all others", `${percent} %`],
      ["Changed", at(updated_at)],
    ])}
    <h3>Both functions, day by day</h3>
    ${dataTable({ id: "days", label: "Both functions, day by day", columns: DAYS, rows: newest, none: "Nothing was said in the last 30 days." })}
    ${commands("The switch is changed with the secret key; docs/adopting-proxy.md has the whole command:",
      ["set_traffic '{\"p_is_on\": true, \"p_percent\": 10}'", "moves a tenth of the people"],
      ["set_traffic '{\"p_is_on\": false}'", "moves everybody back"],
      ["make usage", "prints the same comparison"])}`, updated(state));
}
