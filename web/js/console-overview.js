// The page "Activity": what turns did in a period.

import { html, nothing } from "lit-html";
import { localTime, utcTime } from "./console-address.js";
import { chart } from "./console-charts.js";
import { go } from "./console-data.js";
import { compact, dollars, percent, seconds, whole } from "./console-formats.js";
import { link, section, updated } from "./console-parts.js";
import { dataTable } from "./console-tables.js";
import { DEFAULT_PERIOD, periodOf } from "./console-turns-data.js";
import * as figures from "./figures.js";
import { doing } from "./page.js";

const WORKER = "chat_worker";

export function overviewPage(state) {
  const period = state.period ?? periodOf(state.params, state.now);
  return section("activity", "Activity", html`
    ${periods(period, state.params)}
    ${state.cut ? html`<p class="notice">Only the newest 20,000 rows are counted. Choose a shorter period to see all.</p>` : nothing}
    ${tiles(state, period)} ${charts(state, period)} ${models(state, period)} ${reasons(state, period)}`, updated(state));
}

const iso = (unix) => new Date(unix * 1000).toISOString();
const within = ({ from, to }) => ({ from: iso(from), to: iso(to) });

function periods(period, params) {
  const chosen = params.from || params.to ? null : params.period ?? DEFAULT_PERIOD; // at once, before its rows are there
  const show = doing(async (event) => {
    event.preventDefault();
    const { from, to } = Object.fromEntries(new FormData(event.target));
    await go("overview", { from: utcTime(from), to: utcTime(to) });
  });
  return html`
    <div class="periods">
      <div class="choices" role="group" aria-label="Period">
        ${Object.keys(figures.PERIODS).map((name) => html`
          <button aria-pressed=${name === chosen} @click=${doing(() => go("overview", { period: name }))}>${name}</button>`)}
      </div>
      <form class="range" aria-label="Time range" @submit=${show}>
        <label>From <input type="datetime-local" name="from" .value=${period.name ? "" : localTime(iso(period.from))} /></label>
        <label>To <input type="datetime-local" name="to" .value=${period.name ? "" : localTime(iso(period.to))} /></label>
        <button>Show</button>
      </form>
    </div>`;
}

function tiles({ turns, calls }, period) {
  const top = figures.totals(turns, calls);
  const shown = [
    ["Turns", link("turns", within(period), whole(top.turns), { label: `Turns: ${whole(top.turns)}` })],
    ["Failed", link("turns", { status: "failed", ...within(period) }, whole(top.failed), { label: `Failed turns: ${whole(top.failed)}` })],
    ["Success rate", percent(top.answered)],
    ["p50 latency", seconds(top.median)],
    ["p95 latency", seconds(top.p95)],
    ["Time to first token", seconds(top.first)],
    ["Input tokens", compact(top.input)],
    ["Output tokens", compact(top.output)],
    ["Input cached", percent(top.cached)],
    ["Cost", dollars(top.cost)],
  ];
  return html`<dl class="tiles">${shown.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`;
}

function charts({ turns, calls }, period) {
  const end = period.to;
  return html`
    <div class="charts">
      ${chart({ id: "turns-by-outcome", title: "Turns by outcome", bars: true, format: whole,
        series: [["Answered", "--c1"], ["Cut off or stopped", "--c2"], ["Failed", "--c3"]], data: figures.turnsByEnd(turns, period, end) })}
      ${chart({ id: "latency", title: "Latency", bars: false, format: (value) => `${Number(value.toFixed(2))} s`,
        series: [["p50", "--c1"], ["p95", "--c2"]], data: figures.latency(calls, period, end) })}
      ${chart({ id: "tokens", title: "Tokens", bars: true, format: compact,
        series: [["Input", "--c1"], ["Output", "--c2"]], data: figures.tokens(calls, period, end) })}
      ${chart({ id: "cost", title: "Cost", bars: true, format: dollars,
        series: [["US dollars", "--c1"]], data: figures.cost(calls, period, end) })}
    </div>`;
}

/** The name by which turns know the model of a line of `byModel`: workers' turns have the worker's. */
const usedBy = (name) => (name.startsWith(`${WORKER}:`) ? `${WORKER}*` : name);

function models({ calls }, period) {
  const columns = [
    { title: "Model", value: ({ name }) => name, cell: ({ name }) => link("turns", { model: usedBy(name), ...within(period) }, name) },
    { title: "Calls", numeric: true, value: (line) => line.calls, cell: (line) => whole(line.calls) },
    { title: "Success rate", numeric: true, value: (line) => line.well, cell: (line) => percent(line.well) },
    { title: "Time to first token", numeric: true, value: (line) => line.first, cell: (line) => seconds(line.first) },
    { title: "p50", numeric: true, value: (line) => line.median, cell: (line) => seconds(line.median) },
    { title: "p95", numeric: true, value: (line) => line.p95, cell: (line) => seconds(line.p95) },
    { title: "Input tokens", numeric: true, value: (line) => line.input, cell: (line) => whole(line.input) },
    { title: "Output tokens", numeric: true, value: (line) => line.output, cell: (line) => whole(line.output) },
    { title: "Input cached", numeric: true, value: (line) => line.cached, cell: (line) => percent(line.cached) },
    { title: "Cost", numeric: true, value: (line) => line.cost, cell: (line) => dollars(line.cost) },
  ];
  return html`<h3>Calls by model</h3>
    ${dataTable({ id: "calls-by-model", label: "Calls by model", columns, rows: figures.byModel(calls), none: "No model was called in this period." })}`;
}

function reasons({ turns }, period) {
  const rows = figures.failures(turns);
  const columns = [
    { title: "Error", value: ({ code }) => code, cell: ({ code }) => link("turns", { status: "failed", ...(code === "unknown" ? {} : { error: code }), ...within(period) }, code) },
    { title: "Turns", numeric: true, value: ({ times }) => times, cell: ({ times }) => whole(times) },
  ];
  if (!rows.length) return nothing;
  return html`<h3>Why turns failed</h3>
    ${dataTable({ id: "errors", label: "Why turns failed", columns, rows, none: "" })}`;
}
