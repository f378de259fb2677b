// Which models can answer now, and why the others cannot. Pure functions.

export const WORKER = "chat_worker";

const FRESH_MS = 120_000;
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });

const HEALTH = {
  none: "No worker is registered",
  stale: "Worker status is out of date",
  down: "Worker is down",
  up: "Worker is ready",
};
const AWAY = { stale: "status is out of date", down: "down" };

/** State and label of a worker, {state, text}, from its record in `workerHealthCache`. */
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

/**
 * The worker and the models that a person can choose, in order: [{key, name, why, closed}]. `why`
 * is the reason why one cannot answer now, or "". A `closed` one cannot be chosen at all, because
 * waiting would not help.
 */
export function choices({ models, cooldowns, health, tier }, now = Date.now()) {
  const until = (id) => Date.parse(cooldowns.find(({ model_id }) => model_id === id)?.until);
  const onCooldown = (id) => (until(id) > now ? `on cooldown until ${clock.format(until(id))}` : "");
  const { state } = workerHealth(health, now);
  const worker = {
    key: WORKER,
    name: "Local model",
    why: state === "none" ? "none is registered" : (AWAY[state] ?? onCooldown(null)),
    closed: state === "none",
  };
  const offered = models.map((model) => {
    const never = whyNever(model, tier);
    return { key: model.model_key, name: model.display_name, why: never || onCooldown(model.id), closed: never !== "" };
  });
  return [worker, ...offered];
}

function whyNever(model, tier) {
  // The provider is null if it is switched off, because only admins can read its row then.
  if (!model.api_providers?.is_active) return "switched off";
  if (model.catalog_status === "gone") return "no longer offered";
  if (tier === "nsfw" && model.capabilities.nsfw !== true) return "for a general audience only";
  return "";
}

/** The choice that answers if none is selected: the default model, else the first available one. */
export function standard(models, offered) {
  const open = offered.filter(({ key, closed }) => key !== WORKER && !closed);
  const preferred = models.find((model) => model.is_default)?.model_key;
  return open.find(({ key }) => key === preferred) ?? open[0];
}
