// Which models can answer now, and why others cannot. Nothing here draws or asks.

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

/** The health of a worker as `workerHealthCache` has it: {state, text}. */
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
 * Who can be asked to answer: [{key, name, why, closed}] for the worker and the models, in order.
 * `why` says why one does not answer now, "" where it does; what is `closed` cannot be chosen, for
 * waiting does not help.
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
  // The provider of a model is null where it is switched off: its row is not for everybody.
  if (!model.api_providers?.is_active) return "switched off";
  if (model.catalog_status === "gone") return "no longer offered";
  if (tier === "nsfw" && model.capabilities.nsfw !== true) return "for a general audience only";
  return "";
}

/** The choice that answers when nobody is asked for: the default, else the next in order. */
export function standard(models, offered) {
  const open = offered.filter(({ key, closed }) => key !== WORKER && !closed);
  const preferred = models.find((model) => model.is_default)?.model_key;
  return open.find(({ key }) => key === preferred) ?? open[0];
}
