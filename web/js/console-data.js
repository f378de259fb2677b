// The console's state and what changes it. Everything goes through the Data API with the admin's own
// token; row level security decides what the admin can see and change.

import { data, supabase } from "./backend.js";
import { PERIODS } from "./figures.js";
import { legible } from "./legible.js";
import { drawn, set } from "./page.js";

const PAGE = 1000;
const PAGES = 20;
const AGES = 100;
const MISSING = ["PGRST205", "42P01", "42703"]; // no such table or column

export const state = {
  ready: false,
  me: null,
  period: "6 hours",
  now: Date.now() / 1000,
  turns: [],
  calls: [],
  cut: false, // whether there are more rows than are loaded
  providers: [], // with models null in an existing product, whose own pages have them
  models: [],
  ages: [],
  search: "", // part of the names of the characters in `ages`
  workers: [],
  cooldowns: [],
  dialog: null,
  trouble: null, // the last error: {sentence, code, field}
  undo: null, // the last change that can be taken back: {sentence, act}
  said: "",
};

async function all(query) {
  const rows = [];
  for (let page = 0; page < PAGES; page += 1) {
    const more = await data(query().range(page * PAGE, (page + 1) * PAGE - 1));
    rows.push(...more);
    if (more.length < PAGE) break;
  }
  return rows;
}

/** The rows, or null where this installation has no such table. */
const ifThere = (query) =>
  data(query).catch((error) => {
    if (MISSING.includes(error.code)) return null;
    throw error;
  });

/** Characters by name; first those whose age matters most, because it is missing. */
async function loadAges() {
  const named = state.search.replace(/[\\%_]/g, "\\$&");
  const query = supabase.from("declared_ages").select("*").ilike("name", `%${named}%`);
  const order = query.order("content_rating").order("age", { nullsFirst: true }).order("name").order("id");
  return (await data(order.limit(AGES))).map((row) => ({ ...row, name: legible(row.name) }));
}

let asked = 0;
let answered = 0;

/** Loads everything. A response never replaces that of a later request. */
export async function load() {
  const mine = ++asked;
  const now = Date.now() / 1000;
  const since = new Date((now - PERIODS[state.period].span) * 1000).toISOString();
  const recent = (table, columns) => () =>
    supabase.from(table).select(columns).gte("created_at", since).order("created_at", { ascending: false }).order("id");
  const [turns, calls, providers, models, workers, cooldowns, ages] = await Promise.all([
    all(recent("turns", "created_at, status, error_code, duration_ms")),
    all(
      recent(
        "usage_events",
        "created_at, provider, model_key, purpose, outcome, prompt_tokens, cached_tokens, completion_tokens, cost_usd, first_token_ms, duration_ms",
      ),
    ),
    ifThere(supabase.from("provider_settings").select("*").order("name")),
    ifThere(supabase.from("api_models").select("*").order("task").order("priority").order("display_name")),
    data(supabase.from("worker_settings").select("*").order("priority").order("name")),
    data(supabase.from("model_cooldowns").select("*").gt("until", new Date().toISOString()).order("until")),
    loadAges(),
  ]);
  if (mine < answered) return;
  answered = mine;
  const cut = Math.max(turns.length, calls.length) === PAGE * PAGES;
  set({ now, turns, calls, providers, models, cooldowns, workers, ages, cut, ready: true });
}

/** Waits for a change, announces it, and loads everything again. */
async function changed(query, said) {
  await data(query);
  set({ trouble: null, said, dialog: null });
  await load();
}

export const changeModel = (model, changes) =>
  changed(supabase.from("api_models").update(changes).eq("id", model.id), `${model.display_name} was changed.`);

export const addModel = (row) =>
  changed(supabase.from("api_models").insert(row), `${row.display_name} was added.`);

const COMPUTED = ["created_at", "updated_at"];

/** Deletes a model; undoing it inserts the same row. */
export async function deleteModel(model) {
  await changed(supabase.from("api_models").delete().eq("id", model.id), `${model.display_name} was deleted.`);
  const row = Object.fromEntries(Object.entries(model).filter(([name]) => !COMPUTED.includes(name)));
  offerUndo(`${model.display_name} was deleted.`, () =>
    changed(supabase.from("api_models").insert(row), `${model.display_name} is back.`),
  );
}

/** Shows a sentence about a change, with a way to take it back. */
const offerUndo = (sentence, undo) => set({ undo: { sentence, act: undo } });

/** Takes the last change back. */
export async function undo() {
  const { act } = state.undo;
  await act();
  set({ undo: null });
}

export const forgetUndo = () => set({ undo: null });

export const makeDefault = (model) =>
  changed(
    supabase.rpc("set_default_model", { p_model_id: model.id }),
    `${model.display_name} is the default for ${model.task} now.`,
  );

/** Moves a model one place earlier (-1) or later (1) among the models of its task. */
export async function moveModel(model, by) {
  const order = state.models.filter((each) => each.task === model.task);
  const from = order.indexOf(model);
  order.splice(from + by, 0, ...order.splice(from, 1));
  for (const [index, each] of order.entries()) {
    if (each.priority !== index + 1) {
      await data(supabase.from("api_models").update({ priority: index + 1 }).eq("id", each.id));
    }
  }
  set({ trouble: null, said: `${model.display_name} is number ${from + by + 1} now.` });
  await load();
  await drawn();
  // The buttons moved with the row. Focus the same one, so that it can be pressed again.
  const [same, other] = [by, -by].map((each) => document.getElementById(moverId(model, each)));
  (same?.disabled ? other : same)?.focus();
}

export const moverId = (model, by) => `${by < 0 ? "earlier" : "later"}-${model.id}`;

export const changeProvider = (provider, changes) =>
  changed(supabase.from("api_providers").update(changes).eq("id", provider.id), `${provider.display_name} was changed.`);

/** Switches a provider off; undoing it switches it on. */
export async function switchOff(provider) {
  await changeProvider(provider, { is_active: false });
  offerUndo(`${provider.display_name} was switched off.`, () => changeProvider(provider, { is_active: true }));
}

export const addProvider = (row) =>
  changed(supabase.from("api_providers").insert(row), `${row.display_name} was added.`);

export const deleteProvider = (provider) =>
  changed(supabase.from("api_providers").delete().eq("id", provider.id), `${provider.display_name} was deleted.`);

export const choosePeriod = (period) => {
  set({ period });
  return load();
};

export const searchAges = (search) => {
  set({ search });
  return load();
};

/** Declares an age in years; null takes the declaration back. */
export const declareAge = (character, age) =>
  changed(
    supabase.from("declared_ages").update({ age }).eq("id", character.id).select("id").single(),
    age === null ? `${character.name} has no declared age now.` : `${character.name} is declared to be ${age} now.`,
  );
