// Loads what turns did: the figures of a period, a filtered list, and one turn.

import { all, data, isCut, supabase } from "./backend.js";
import { PERIODS, periodBetween } from "./figures.js";

const LISTED = 50;
export const DEFAULT_PERIOD = "6 hours";

/** The period that an address means: {name, from, to, span, step}, times in Unix seconds. */
export function periodOf({ period, from, to }, now) {
  if (!from && !to) {
    const name = period ?? DEFAULT_PERIOD;
    return { name, from: now - PERIODS[name].span, to: now, ...PERIODS[name] };
  }
  const end = to ? Date.parse(to) / 1000 : now;
  const start = from ? Math.min(Date.parse(from) / 1000, end) : end - PERIODS[DEFAULT_PERIOD].span;
  return { name: null, from: start, to: end, ...periodBetween(start, end) };
}

const iso = (seconds) => new Date(seconds * 1000).toISOString();

const CALLS = "created_at, provider, model_key, purpose, outcome, prompt_tokens, cached_tokens, completion_tokens, cost_usd, first_token_ms, duration_ms";

/** The turns and calls of the period of the address. */
export async function loadActivity({ params }) {
  const period = periodOf(params, Date.now() / 1000);
  const recent = (table, columns) => () =>
    supabase
      .from(table)
      .select(columns)
      .gte("created_at", iso(period.from))
      .lte("created_at", iso(period.to))
      .order("created_at", { ascending: false })
      .order("id");
  const [turns, calls] = await Promise.all([
    all(recent("turns", "created_at, status, error_code, duration_ms")),
    all(recent("usage_events", CALLS)),
  ]);
  return { turns, calls, cut: isCut(turns) || isCut(calls), period };
}

/** A model by its name; one that ends with * means all that begin so. */
const ofModel = (query, name) =>
  name.endsWith("*")
    ? query.like("model_used", `${name.slice(0, -1).replace(/[\\%_]/g, "\\$&")}%`)
    : query.eq("model_used", name);

/** The days whose turns are searched if the address does not say from when. Few of many turns may be like the filter, and
 * reading all takes longer than a call may. */
export const SEARCHED_DAYS = 7;

/** A page of turns as the address filters them, and the names that a filter may have. */
export async function loadTurns({ params }) {
  const { user, model, error, status, request, from, to, after } = params;
  let query = supabase.from("turn_reports").select("*");
  if (user) query = query.eq("user_id", user);
  if (model) query = ofModel(query, model);
  if (error) query = query.eq("error_code", error);
  if (status) query = query.eq("status", status);
  if (request) query = query.eq("request_id", request);
  // A person's turns have an index.
  const isRecent = !from && !user;
  if (from) query = query.gte("created_at", new Date(from).toISOString());
  if (isRecent) query = query.gte("created_at", iso(Date.now() / 1000 - SEARCHED_DAYS * 24 * 3600));
  if (to) query = query.lte("created_at", new Date(to).toISOString());
  if (after) {
    const [at, id] = after.split(",");
    query = query.or(`created_at.lt."${at}",and(created_at.eq."${at}",id.lt.${id})`);
  }
  const order = query.order("created_at", { ascending: false }).order("id", { ascending: false });
  const [rows, catalog] = await Promise.all([
    data(order.limit(LISTED + 1)),
    data(supabase.from("model_catalog").select("provider, model_key")),
  ]);
  const shown = rows.slice(0, LISTED);
  const last = shown.at(-1);
  const next = rows.length > LISTED ? `${last.created_at},${last.id}` : null;
  return { list: { rows: shown, next, isRecent }, catalog };
}

/** One turn; null if it is not there, or no longer. */
export async function loadTurn({ params }) {
  if (!params.id) return { report: null };
  return { report: await data(supabase.rpc("turn_report", { p_turn_id: params.id })) };
}

/** The switch of an adopted installation and both functions side by side; null in a new one. */
export const loadSwitch = async ({ adopted }) => ({
  moved: adopted ? await data(supabase.rpc("switch_report", { p_days: 30 })) : null,
});
