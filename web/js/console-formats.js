// How the console writes numbers and times.

const short = new Intl.NumberFormat(undefined, { notation: "compact" });
const exact = new Intl.NumberFormat();
const usd = new Intl.NumberFormat(undefined, { style: "currency", currency: "USD", currencyDisplay: "narrowSymbol", maximumFractionDigits: 4 });
const share = new Intl.NumberFormat(undefined, { style: "percent", maximumFractionDigits: 1 });
const clock = new Intl.DateTimeFormat(undefined, { dateStyle: "short", timeStyle: "medium" });
const hour = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });

const known = (format) => (value) => (value === null || value === undefined ? "–" : format(value));

export const compact = known((value) => short.format(value));
export const whole = known((value) => exact.format(value));
export const dollars = known((value) => usd.format(value));
export const percent = known((value) => share.format(value));
export const seconds = known((ms) => `${(ms / 1000).toFixed(1)} s`);

/** A time of the database, which may be missing or "infinity". */
export function at(time) {
  const ms = Date.parse(time ?? "");
  return Number.isNaN(ms) ? "–" : clock.format(ms);
}

/** The time of day, from Unix seconds. */
export const timeOfDay = (unix) => hour.format(unix * 1000);
