// Which models can answer now, and why the others cannot. Pure functions.

import { dateFormat, t } from "./language.js";

/** The key of any of the team's workers. */
export const WORKER = "chat_worker";

/** What stands in place of a model where the author's greeting was the reply. */
export const GREETING = "card:greeting";

const FRESH_MS = 120_000;
const clock = dateFormat({ hour: "2-digit", minute: "2-digit" });

const HEALTH = {
  none: t("No worker is registered"),
  stale: t("Worker status is out of date"),
  down: t("Worker is down"),
  up: t("Worker is ready"),
};
const AWAY = { stale: t("status is out of date"), down: t("down") };

/** State and label of a worker, {state, text}, from its health record. */
export function workerHealth(record, now = Date.now()) {
  const state = healthState(record, now);
  const took = state === "up" ? ` (${record.responseTimeMs ?? record.responseTime} ms)` : "";
  return { state, text: HEALTH[state] + took };
}

function healthState(record, now) {
  if (!record) return "none";
  const age = Math.abs(now - Date.parse(record.lastChecked ?? record.lastCheck));
  if (!(age < FRESH_MS)) return "stale";
  return record.isHealthy === true ? "up" : "down";
}

/** The state of the best of several workers, {state, text}: the label for all of them. */
export function workersHealth(workers, now = Date.now()) {
  const found = workers.map((worker) => workerHealth(worker.health, now));
  const best = ["up", "down", "stale"].map((state) => found.find((each) => each.state === state)).find(Boolean);
  if (workers.length < 2 || !best) return best ?? workerHealth(null, now);
  const ready = found.filter(({ state }) => state === "up").length;
  return { state: best.state, text: t("{ready} of {count} workers are ready", { ready, count: workers.length }) };
}

/**
 * The workers and the models that a person can choose, in order: [{key, name, why, closed, local}].
 * `why` is the reason why one cannot answer now, or "". A `closed` one cannot be chosen at all, because
 * waiting would not help. With several workers the first choice is any of them.
 */
export function choices({ models, cooldowns, workers, tier }, now = Date.now()) {
  const cools = (row) => {
    const until = Date.parse(row?.until);
    return until > now ? t("on cooldown until {time}", { time: clock.format(until) }) : "";
  };
  const local = workers.map(({ name, display_name, health }) => ({
    key: workerKey(name),
    name: display_name,
    why: AWAY[workerHealth(health, now).state] ?? cools(cooldowns.find(({ worker }) => worker === name)),
    closed: false,
    local: true,
  }));
  const offered = models.map((model) => {
    const never = whyNever(model, tier);
    const why = never || cools(cooldowns.find(({ model_id }) => model_id === model.id));
    return { key: model.model_key, name: model.display_name, why, closed: never !== "", local: false };
  });
  return [anyWorker(local), ...(local.length > 1 ? local : []), ...offered];
}

/** The choice of any worker. The only one has its own name. */
function anyWorker(local) {
  if (!local.length) return { key: WORKER, name: t("Local model"), why: t("none is registered"), closed: true, local: true };
  if (local.length === 1) return { ...local[0], key: WORKER };
  const why = local.every((each) => each.why) ? t("none is ready") : "";
  return { key: WORKER, name: t("Any local model"), why, closed: false, local: true };
}

const workerKey = (name) => `${WORKER}:${name}`;

/** The name of the worker that wrote a reply, from `model_used`; null if no worker did. */
function workerName(workers, used) {
  if (used !== WORKER && !used.startsWith(`${WORKER}:`)) return null;
  const name = used === WORKER ? WORKER : used.slice(WORKER.length + 1);
  return workers.find((worker) => worker.name === name)?.display_name ?? (name === WORKER ? t("Local model") : t("Local model {name}", { name }));
}

/** The name of what wrote a reply, from `model_used`. */
export function modelName({ workers, models }, used) {
  const worker = workerName(workers, used);
  if (worker) return worker;
  if (used === GREETING) return t("Greeting");
  const key = used.slice(used.indexOf(":") + 1);
  return models.find((model) => model.model_key === key)?.display_name ?? key;
}

function whyNever(model, tier) {
  // The provider is null if it is switched off, because only admins can read its row then.
  if (!model.api_providers?.is_active) return t("switched off");
  if (model.catalog_status === "gone") return t("no longer offered");
  if (tier === "nsfw" && model.capabilities.nsfw !== true) return t("for a general audience only");
  return "";
}

/** The choice that answers if none is selected: the default model, else the first available one. */
export function standard(models, offered) {
  const open = offered.filter(({ local, closed }) => !local && !closed);
  const preferred = models.find((model) => model.is_default)?.model_key;
  return open.find(({ key }) => key === preferred) ?? open[0];
}
