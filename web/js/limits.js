// Limits and budgets in words. Pure functions.

import { dateFormat, numberFormat, plural, t } from "./language.js";

const NAMES = {
  turns_per_minute: t("Messages per minute"),
  turns_per_day: t("Messages today"),
  running: t("Simultaneous replies"),
  usd_per_day: t("Today's budget"),
  actions_per_minute: t("Message changes per minute"),
  actions_per_day: t("Message changes today"),
  imports_per_minute: t("Imports per minute"),
  imports_per_day: t("Imports today"),
  exports_per_minute: t("Exports per minute"),
  exports_per_day: t("Exports today"),
  branched_bytes_per_minute: t("Copied into branches per minute"),
  branched_bytes_per_day: t("Copied into branches today"),
  reports_per_minute: t("Reports per minute"),
  reports_per_day: t("Reports today"),
};

const LITTLE = 0.1; // of a limit

const money = numberFormat({ style: "currency", currency: "USD", maximumFractionDigits: 2 });
const size = numberFormat({ style: "unit", unit: "megabyte", maximumFractionDigits: 1 });
const count = numberFormat({ maximumFractionDigits: 0 });
const clock = dateFormat({ hour: "2-digit", minute: "2-digit" });

function amount(name, value) {
  if (name.startsWith("usd")) return money.format(value);
  return name.includes("bytes") ? size.format(value / 1e6) : count.format(value);
}

/** A limit for display: {name, left, of, share, again}. `again`: when there is more, or "". */
export function describe({ name, limit, left, resets_at }) {
  return {
    name: NAMES[name] ?? name.replaceAll("_", " "),
    left: amount(name, left),
    of: amount(name, limit),
    share: limit > 0 ? left / limit : 0,
    again: left <= 0 && resets_at ? t("More at {time}.", { time: clock.format(new Date(resets_at)) }) : "",
  };
}

const isPast = ({ resets_at }, now) => resets_at !== null && Date.parse(resets_at) <= now;

/** One sentence if little is left for messages, else "". `found` is the answer of read_limits. */
export function warning(found, now = Date.now()) {
  if (!found) return "";
  const of = (name) => found.limits.find((each) => each.name === name && !isPast(each, now));
  const [day, minute, usd] = ["turns_per_day", "turns_per_minute", "usd_per_day"].map(of);
  if (day && day.left <= day.limit * LITTLE) return leftToday(day);
  if (minute && minute.left < 1) return t("You have sent many messages. You can send more in a moment.");
  if (found.free_only) return t("Today's budget is spent, so only free models answer.");
  if (usd && usd.left <= usd.limit * LITTLE) return t("{left} of today's budget is left.", { left: amount(usd.name, usd.left) });
  return "";
}

function leftToday({ left, resets_at }) {
  if (left >= 1) return plural(Math.floor(left), { one: "You have one message left today.", other: "You have {n} messages left today." });
  const time = clock.format(new Date(resets_at));
  return t("You have no messages left today. You can send more at {time}.", { time });
}
