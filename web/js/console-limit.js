// Limits as the fields of a form, and back. Pure functions. Names and meanings: docs/configuration.md.

/** [name, label, value where it is not set]; null: then there is no limit. */
export const LIMITS = [
  ["turns_per_minute", "Turns per minute", null],
  ["turns_per_day", "Turns per day", null],
  ["running", "Turns at the same time", null],
  ["usd_per_day", "Budget per day (USD)", null],
  ["actions_per_minute", "Actions per minute", 60],
  ["actions_per_day", "Actions per day", null],
  ["imports_per_minute", "Imports per minute", 10],
  ["imports_per_day", "Imports per day", 200],
  ["exports_per_minute", "Exports per minute", 20],
  ["exports_per_day", "Exports per day", 500],
  ["branched_bytes_per_day", "Bytes copied by branches per day", 50_000_000],
  ["reports_per_minute", "Reports per minute", 5],
  ["reports_per_day", "Reports per day", 20],
  ["rows_per_minute", "Rows per minute", 60],
  ["rows_per_day", "Rows per day", 2000],
  ["api_keys", "API keys", 10],
  ["api_turns_per_minute", "Turns per minute with API keys", 30],
  ["api_turns_per_day", "Turns per day with API keys", null],
  ["api_lists_per_minute", "Lists of models per minute with API keys", 60],
];

/** The whole project has only a budget. */
export const limitsOf = (role) => (role === "project" ? LIMITS.filter(([name]) => name === "usd_per_day") : LIMITS);

/** Who always has limits, and can have all of them taken away but not the row. */
export const ALWAYS = ["default", "project"];

/** Those of the limits that have a field. The database refuses any other. */
export const knownIn = (role, limits) =>
  Object.fromEntries(limitsOf(role).filter(([name]) => limits[name] !== undefined).map(([name]) => [name, limits[name]]));

const NONE = "none";

/** The text of a field: "" where it is not set, "none" where there is no limit. */
export function fieldOf(limits, name) {
  if (!Object.hasOwn(limits ?? {}, name)) return "";
  return limits[name] === null ? NONE : String(limits[name]);
}

/** What holds where a role sets nothing. */
export function otherwise(role, standard) {
  if (role !== "default" && role !== "project") return "as default";
  return standard === null ? "no limit" : String(standard);
}

/** The limits that fields mean: {limits}, or {field, problem}. */
export function limitsIn(role, fields) {
  const limits = {};
  for (const [name, label] of limitsOf(role)) {
    const text = (fields[name] ?? "").trim().toLowerCase();
    if (text === NONE) limits[name] = null;
    else if (/^\d+([.]\d+)?$/.test(text)) limits[name] = Number(text);
    else if (text) return { field: name, problem: `“${label}” has to be a number, or “none” for no limit.` };
  }
  return { limits };
}
