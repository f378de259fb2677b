// What the console's charts and tables show, computed from rows. Nothing here draws or asks.

/** Lengths of time to look at, in seconds: all of it, and one step of the charts. */
export const PERIODS = {
  "6 hours": { span: 6 * 3600, step: 900 },
  "24 hours": { span: 24 * 3600, step: 3600 },
  "7 days": { span: 7 * 86_400, step: 6 * 3600 },
};

const seconds = (row) => Date.parse(row.created_at) / 1000;
const sum = (numbers) => numbers.reduce((total, number) => total + Number(number ?? 0), 0);

/** The smallest value that a share of all is not above; null of nothing. */
export function percentile(values, share) {
  const sorted = values.filter((value) => value !== null).sort((a, b) => a - b);
  return sorted.length ? sorted[Math.ceil(share * sorted.length) - 1] : null;
}

/** Beginnings of the steps (Unix seconds), and the rows of each. */
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

/** Columns for uPlot: times, then turns that were answered, cut off, failed. */
export function turnsByEnd(turns, period, now) {
  const { times, inside } = steps(turns, period, now);
  return [times, ...ENDS.map((is) => inside.map((rows) => rows.filter(is).length))];
}

const isReply = (row) => row.purpose === "reply" && row.outcome === "ok";

/** Times, then the median and the 95th percentile of how long replies took, in seconds. */
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

/** Times, then tokens read and tokens written. */
export function tokens(calls, period, now) {
  const { times, inside } = steps(calls, period, now);
  const of = (column) => inside.map((rows) => sum(rows.map((row) => row[column])));
  return [times, of("prompt_tokens"), of("completion_tokens")];
}

/** Times, then dollars. */
export function cost(calls, period, now) {
  const { times, inside } = steps(calls, period, now);
  return [times, inside.map((rows) => sum(rows.map((row) => row.cost_usd)))];
}

const PROBE_SECONDS = 60; // between two probes of a worker
const PROBES = 30; // that its record has at most

/**
 * Times, then milliseconds of a worker's last probes that were answered, then of those that failed:
 * these took no time; they are drawn as high as the longest, or as one.
 */
export function probes({ history, lastChecked, lastCheck }) {
  const last = Date.parse(lastChecked ?? lastCheck) / 1000;
  const times = Array.from({ length: PROBES }, (_, index) => last - (PROBES - 1 - index) * PROBE_SECONDS);
  const top = Math.max(...history.map((ms) => ms ?? 0)) || 1;
  const known = [...Array(PROBES).fill(0), ...history].slice(-PROBES);
  return [times, known.map((ms) => ms ?? 0), known.map((ms) => (ms === null ? top : 0))];
}

/** One line for each model that was asked, the busiest first. */
export function byModel(calls) {
  const groups = Map.groupBy(calls, (row) => `${row.provider}:${row.model_key}`);
  const lines = [...groups].map(([name, rows]) => {
    const well = rows.filter((row) => row.outcome === "ok");
    return {
      name,
      calls: rows.length,
      well: well.length / rows.length,
      first: percentile(well.map((row) => row.first_token_ms), 0.5),
      median: percentile(well.map((row) => row.duration_ms), 0.5),
      p95: percentile(well.map((row) => row.duration_ms), 0.95),
      tokens: sum(rows.map((row) => (row.prompt_tokens ?? 0) + (row.completion_tokens ?? 0))),
      cost: sum(rows.map((row) => row.cost_usd)),
    };
  });
  return lines.sort((a, b) => b.calls - a.calls);
}

/** How often each reason of failure ended a turn, the most frequent first. */
export function failures(turns) {
  const failed = turns.filter((row) => row.status === "failed");
  const groups = Map.groupBy(failed, (row) => row.error_code ?? "unknown");
  return [...groups].map(([code, rows]) => ({ code, times: rows.length })).sort((a, b) => b.times - a.times);
}

/** The numbers on top. */
export function totals(turns, calls) {
  const ended = turns.filter((row) => row.status !== "running");
  const well = ended.filter((row) => row.status !== "failed").length;
  const took = calls.filter(isReply).map((row) => row.duration_ms);
  return {
    turns: turns.length,
    answered: ended.length ? well / ended.length : null,
    median: percentile(took, 0.5),
    p95: percentile(took, 0.95),
    tokens: sum(calls.map((row) => (row.prompt_tokens ?? 0) + (row.completion_tokens ?? 0))),
    cost: sum(calls.map((row) => row.cost_usd)),
  };
}
