// Computes the console's charts and tables from rows. Pure functions.

/** Periods in seconds: `span` is the whole period, `step` one step of its charts. */
export const PERIODS = {
  "6 hours": { span: 6 * 3600, step: 900 },
  "24 hours": { span: 24 * 3600, step: 3600 },
  "7 days": { span: 7 * 86_400, step: 6 * 3600 },
};

const STEPS = [60, 300, 900, 3600, 6 * 3600, 86_400, 7 * 86_400];
const MOST_STEPS = 48;

/** The period between two times in Unix seconds, with the smallest step that gives few enough columns. */
export function periodBetween(from, to) {
  const long = Math.max(to - from, 60);
  const step = STEPS.find((each) => long / each <= MOST_STEPS) ?? Math.ceil(long / MOST_STEPS / 86_400) * 86_400;
  // One more, because the last step begins before `to` and the first may begin before `from`.
  return { span: (Math.ceil(long / step) + 1) * step, step };
}

const seconds = (row) => Date.parse(row.created_at) / 1000;
const sum = (numbers) => numbers.reduce((total, number) => total + Number(number ?? 0), 0);

/** The smallest value that at least this share of the values does not exceed; null if there are none. */
export function percentile(values, share) {
  const sorted = values.filter((value) => value !== null).sort((a, b) => a - b);
  return sorted.length ? sorted[Math.ceil(share * sorted.length) - 1] : null;
}

/** Start times of the steps in Unix seconds, and the rows in each step. */
function steps(rows, { span, step }, now) {
  const last = Math.floor(now / step) * step;
  const times = Array.from({ length: span / step }, (_, index) => last - span + step * (index + 1));
  const inside = times.map(() => []);
  for (const row of rows) inside[Math.floor((seconds(row) - times[0]) / step)]?.push(row);
  return { times, inside };
}

const ENDS = [
  (row) => row.status === "complete",
  (row) => row.status === "stopped" || row.status === "incomplete",
  (row) => row.status === "failed",
];

/** Columns for uPlot: times, then the numbers of turns answered, cut off, and failed. */
export function turnsByEnd(turns, period, now) {
  const { times, inside } = steps(turns, period, now);
  return [times, ...ENDS.map((is) => inside.map((rows) => rows.filter(is).length))];
}

const isReply = (row) => row.purpose === "reply" && row.outcome === "ok";

/** Times, then median and 95th percentile of the duration of replies in seconds. */
export function latency(calls, period, now) {
  const replies = calls.filter(isReply);
  const { times, inside } = steps(replies, period, now);
  const at = (share) =>
    inside.map((rows) => {
      const ms = percentile(rows.map((row) => row.duration_ms), share);
      return ms === null ? null : ms / 1000;
    });
  return [times, at(0.5), at(0.95)];
}

/** The share of the prompts that came from providers' caches, of the calls that say so; null if none does. */
function cachedShare(calls) {
  const told = calls.filter((row) => row.cached_tokens != null);
  const prompts = sum(told.map((row) => row.prompt_tokens));
  return prompts ? sum(told.map((row) => row.cached_tokens)) / prompts : null;
}

/** Times, then prompt tokens and completion tokens. */
export function tokens(calls, period, now) {
  const { times, inside } = steps(calls, period, now);
  const of = (column) => inside.map((rows) => sum(rows.map((row) => row[column])));
  return [times, of("prompt_tokens"), of("completion_tokens")];
}

/** Times, then cost in US dollars. */
export function cost(calls, period, now) {
  const { times, inside } = steps(calls, period, now);
  return [times, inside.map((rows) => sum(rows.map((row) => row.cost_usd)))];
}

const PROBE_SECONDS = 60; // between two probes of a worker
const PROBES = 30; // most probes in a record

/**
 * Times, then the milliseconds of a worker's last probes that were answered, then bars for those
 * that failed. A failed probe has no duration, so its bar is as high as the longest one, or 1.
 */
export function probes({ history, lastChecked, lastCheck }) {
  const last = Date.parse(lastChecked ?? lastCheck) / 1000;
  const times = Array.from({ length: PROBES }, (_, index) => last - (PROBES - 1 - index) * PROBE_SECONDS);
  const top = Math.max(...history.map((ms) => ms ?? 0)) || 1;
  const known = [...Array(PROBES).fill(0), ...history].slice(-PROBES);
  return [times, known.map((ms) => ms ?? 0), known.map((ms) => (ms === null ? top : 0))];
}

/** Rows by the name that each is given. Not `Map.groupBy`: Node.js 20, which tests this module, lacks it. */
function grouped(rows, name) {
  const groups = new Map();
  for (const row of rows) {
    const key = name(row);
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(row);
  }
  return groups;
}

/** One line per model that was called, most calls first. */
export function byModel(calls) {
  const groups = grouped(calls, (row) => `${row.provider}:${row.model_key}`);
  const lines = [...groups].map(([name, rows]) => {
    const well = rows.filter((row) => row.outcome === "ok");
    return {
      name,
      calls: rows.length,
      well: well.length / rows.length,
      first: percentile(well.map((row) => row.first_token_ms), 0.5),
      median: percentile(well.map((row) => row.duration_ms), 0.5),
      p95: percentile(well.map((row) => row.duration_ms), 0.95),
      input: sum(rows.map((row) => row.prompt_tokens)),
      output: sum(rows.map((row) => row.completion_tokens)),
      cached: cachedShare(rows),
      cost: sum(rows.map((row) => row.cost_usd)),
    };
  });
  return lines.sort((a, b) => b.calls - a.calls);
}

/** How many turns failed for each reason, the most frequent first. */
export function failures(turns) {
  const failed = turns.filter((row) => row.status === "failed");
  const groups = grouped(failed, (row) => row.error_code ?? "unknown");
  return [...groups].map(([code, rows]) => ({ code, times: rows.length })).sort((a, b) => b.times - a.times);
}

/** The totals above the charts. */
export function totals(turns, calls) {
  const ended = turns.filter((row) => row.status !== "running");
  const well = ended.filter((row) => row.status !== "failed").length;
  const took = calls.filter(isReply).map((row) => row.duration_ms);
  return {
    turns: turns.length,
    failed: turns.filter((row) => row.status === "failed").length,
    answered: ended.length ? well / ended.length : null,
    median: percentile(took, 0.5),
    p95: percentile(took, 0.95),
    first: percentile(calls.filter(isReply).map((row) => row.first_token_ms), 0.5),
    input: sum(calls.map((row) => row.prompt_tokens)),
    output: sum(calls.map((row) => row.completion_tokens)),
    tokens: sum(calls.map((row) => (row.prompt_tokens ?? 0) + (row.completion_tokens ?? 0))),
    cached: cachedShare(calls),
    cost: sum(calls.map((row) => row.cost_usd)),
  };
}
