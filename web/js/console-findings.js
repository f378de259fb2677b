// Problems that the database reports, in the words of `make verify`. Pure functions.
//
// A finding is {state: "problem" | "warning" | "ok", what, found, remedy, page}: `page` is where it is mended.

const STALE_MS = 120_000;
const TASKS = ["roleplay", "storytelling", "prompt_enhancement"];
const PRICES = ["prompt_usd_per_1k", "completion_usd_per_1k"];

const CATALOG = {
  gone: ["problem", () => "is no longer offered", "Replace it with another model."],
  expiring: ["problem", ({ expires_on }) => `will be removed${expires_on ? ` on ${expires_on}` : ""}`, "Replace it in time."],
  renamed: ["problem", ({ listed_as }) => `was renamed${listed_as ? ` to ${listed_as}` : ""}`, "Change its model ID to the new name."],
  not_free: ["problem", () => "is configured as free and now costs money", "Correct its prices, or replace it."],
  missing: ["warning", () => "was not in the last catalog", "Wait for the next check, which confirms it."],
  changed: ["warning", () => "has another price or less context than its row says", "Correct its prices and its context."],
};

const finding = (state, what, found, remedy = "", page = "") => ({ state, what, found, remedy, page });

/** All findings, problems first. `known` has the rows of the page "health"; `now` is in milliseconds. */
export function findings(known, now) {
  const found = [
    ...ofCatalog(known.catalog),
    ...ofTasks(known),
    ...ofProviders(known.providers, known.models),
    ...ofPrices(known.models),
    ...ofSteps(known.steps, now),
    ...ofWorkers(known.workers, now),
    ...ofHousekeeping(known),
  ];
  const order = ["problem", "warning", "ok"];
  return found.sort((a, b) => order.indexOf(a.state) - order.indexOf(b.state));
}

/** One finding for each active model of which the catalog says something, however many tasks it has. */
function ofCatalog(catalog) {
  const active = new Map(catalog.filter((row) => row.is_active && row.catalog_status).map((row) => [`${row.provider}:${row.model_key}`, row]));
  const told = [...active.values()].filter(({ catalog_status }) => Object.hasOwn(CATALOG, catalog_status));
  if (active.size && !told.length) return [finding("ok", "Catalog", `lists all ${active.size} checked models`)];
  return told.map((row) => {
    const [state, says, remedy] = CATALOG[row.catalog_status];
    return finding(state, row.model_key, says(row), remedy, "models");
  });
}

function* ofTasks({ catalog, models, providers }) {
  const closed = new Set((providers ?? []).filter((row) => !row.is_active || !row.is_approved).map(({ id }) => id));
  const rows = models ?? catalog;
  for (const task of TASKS) {
    const usable = rows.filter((row) => row.task === task && row.is_active && !closed.has(row.provider_id));
    if (!usable.length) yield finding("problem", `Models for ${task}`, "none is active", "Switch one on.", "models");
    if (!models) continue; // A product's marks are its own.
    const marked = models.filter((row) => row.task === task && row.is_default);
    if (!marked.length) yield finding("problem", `Default for ${task}`, "none is set", "Make a model the default.", "models");
    else if (usable.length && !usable.includes(marked[0])) {
      yield finding("problem", `Default for ${task}`, `${marked[0].display_name} is switched off, or its provider is`, "Switch it on, or choose another default.", "models");
    }
  }
}

function* ofProviders(providers, models) {
  for (const row of providers ?? []) {
    const active = models.filter((model) => model.provider_id === row.id && model.is_active);
    const what = `Provider ${row.display_name}`;
    if (!row.is_approved) {
      yield finding("problem", what, `waits for approval and gets no requests (${row.base_url})`, "If it is intended, approve it with the secret key; otherwise delete it.", "models");
    } else if (row.is_active && !/^https:/i.test(row.base_url)) {
      yield finding("warning", what, `its base URL is not https: ${row.base_url}`, "Only local installations call such an address. Change it with the secret key.");
    } else if (row.is_active && !active.length) {
      yield finding("warning", what, "has no active model", "Switch one on, or switch the provider off.", "models");
    }
  }
}

const isFree = (model) => model.model_key.endsWith(":free") || PRICES.every((name) => model.pricing?.[name] === 0);

/** Models that cost money which no budget counts. */
function ofPrices(models) {
  const unknown = (models ?? []).filter((row) => row.is_active && !isFree(row) && PRICES.some((name) => typeof row.pricing?.[name] !== "number"));
  const keys = new Set(unknown.map(({ model_key }) => model_key));
  return [...keys].map((key) => finding("problem", key, "has no price: what its provider does not report counts as nothing in budgets", "Enter its prices.", "models"));
}

const minutes = (from, now) => Math.max(0, Math.round((now - new Date(from).getTime()) / 60_000));

function* ofSteps(steps, now) {
  const shown = steps.filter(({ step }) => !step.startsWith("wake:"));
  const newest = Math.max(...shown.map(({ begun_at }) => Date.parse(begun_at)));
  const scheduler = "Check the scheduler (make status locally, gcloud scheduler jobs describe health-check elsewhere).";
  if (!shown.length) yield finding("problem", "Scheduler", "health_check has not run yet", scheduler);
  else if (now - newest > STALE_MS) yield finding("problem", "Scheduler", `health_check has not run for ${minutes(newest, now)} min`, scheduler);
  else yield finding("ok", "Scheduler", "health_check runs");
  for (const row of shown) yield* ofStep(row, now);
}

function* ofStep(row, now) {
  const { step, begun_at, done_at, error } = row;
  const what = step === "key" ? "Provider key" : `Step ${step}`;
  const isUnfinished = !done_at || Date.parse(done_at) < Date.parse(begun_at);
  if (error) {
    const remedy = step === "key" ? "See “Changing keys” in docs/operations.md." : "Look at health_check’s log.";
    yield finding("problem", what, `${error}, ${minutes(begun_at, now)} min ago`, remedy);
  } else if (isUnfinished && now - Date.parse(begun_at) > STALE_MS) {
    yield finding("problem", what, `started ${minutes(begun_at, now)} min ago and did not finish`, "Look at health_check’s log.");
  } else if (Array.isArray(row.found?.alerts) && row.found.alerts.length) {
    for (const alert of row.found.alerts) yield finding("problem", what, String(alert));
  } else if (step === "key") yield finding("ok", what, "no limit is reached");
}

function* ofWorkers(workers, now) {
  for (const worker of workers.filter(({ url }) => url)) {
    const what = `Worker ${worker.health_key ?? worker.name}`;
    const health = worker.health ?? {};
    const checked = Date.parse(health.lastChecked ?? health.lastCheck);
    if (Date.parse(worker.lease_expires_at) <= now) yield finding("problem", what, "its registration has ended", "Start it; it registers itself.", "workers");
    else if (!(Math.abs(now - checked) < STALE_MS)) yield finding("problem", what, "its health is not known, or out of date", "See the scheduler.", "workers");
    else if (health.isHealthy !== true) yield finding("problem", what, `is down: ${health.healthError ?? health.probeError ?? "no reason is known"}`, "Check its machine.", "workers");
    else if (health.failures) yield finding("warning", what, `its last probe failed: ${health.probeError ?? "no reason is known"}`, "Check its machine.", "workers");
    else yield finding("ok", what, "is healthy", "", "workers");
  }
}

function* ofHousekeeping({ overdueTurns, overdueCooldowns }) {
  if (!overdueTurns && !overdueCooldowns) return;
  yield finding("problem", "Housekeeping", `health_check did not close ${overdueTurns} turns and clear ${overdueCooldowns} cooldowns`, "Check the scheduler, then health_check’s log.");
}
