// Loads, changes and tests models and providers.

import { act, data, supabase } from "./backend.js";
import { changed, load, offerUndo, state } from "./console-data.js";
import { drawn, set } from "./page.js";

/** Everything of models and providers that the console shows; nothing in an adopted installation. */
export async function loadModels({ adopted }) {
  const catalog = await data(supabase.from("model_catalog").select("*").order("task").order("model_key"));
  if (adopted) return { providers: null, models: null, catalog };
  const [providers, models] = await Promise.all([
    data(supabase.from("provider_settings").select("*").order("name")),
    data(supabase.from("api_models").select("*").order("task").order("priority").order("display_name")),
  ]);
  return { providers, models, catalog };
}

const only = (row, names) => Object.fromEntries(names.map((name) => [name, row[name]]));
const update = (table, row, changes, said) => changed(supabase.from(table).update(changes).eq("id", row.id), said);

/** Changes a row; undoing it writes what was there before. */
async function change(table, row, changes, said, undone) {
  const before = only(row, Object.keys(changes));
  await update(table, row, changes, said);
  offerUndo(said, () => update(table, row, before, undone));
}

export const changeModel = (model, changes) =>
  change("api_models", model, changes, `${model.display_name} was changed.`, `${model.display_name} is as it was.`);

export const addModel = (row) => changed(supabase.from("api_models").insert(row), `${row.display_name} was added.`);

const COMPUTED = ["created_at", "updated_at"];

/** Deletes a model; undoing it inserts the same row. */
export async function deleteModel(model) {
  const said = `${model.display_name} was deleted.`;
  await changed(supabase.from("api_models").delete().eq("id", model.id), said);
  const row = Object.fromEntries(Object.entries(model).filter(([name]) => !COMPUTED.includes(name)));
  offerUndo(said, () => changed(supabase.from("api_models").insert(row), `${model.display_name} is back.`));
}

const setDefault = (model, said) => changed(supabase.rpc("set_default_model", { p_model_id: model.id }), said);

/** Makes a model the default of its task; undoing it brings the earlier one back, if it is active. */
export async function makeDefault(model) {
  const before = state.models.find((each) => each.task === model.task && each.modality === model.modality && each.is_default);
  const said = `${model.display_name} is the default for ${model.task} now.`;
  await setDefault(model, said);
  if (before?.is_active) offerUndo(said, () => setDefault(before, `${before.display_name} is the default for ${model.task} again.`));
}

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
  change("api_providers", provider, changes, `${provider.display_name} was changed.`, `${provider.display_name} is as it was.`);

/** Switches a provider off; undoing it switches it on. */
export async function switchOff(provider) {
  const said = `${provider.display_name} was switched off.`;
  await update("api_providers", provider, { is_active: false }, said);
  offerUndo(said, () => update("api_providers", provider, { is_active: true }, `${provider.display_name} is on again.`));
}

export const addProvider = (row) => changed(supabase.from("api_providers").insert(row), `${row.display_name} was added.`);

export const deleteProvider = (provider) =>
  changed(supabase.from("api_providers").delete().eq("id", provider.id), `${provider.display_name} was deleted.`);

const keepTest = (id, result) => set({ tests: { ...state.tests, [id]: result } });

/** Asks a model, or a provider's first one, for one token; the result is kept by the row's id. */
async function test(row, ids) {
  keepTest(row.id, { busy: true });
  try {
    const told = await act({ action: "test_model", ...ids });
    keepTest(row.id, told);
    set({ said: `${row.display_name}: ${testResult(told)}` });
  } catch (error) {
    keepTest(row.id, { is_ok: false, code: error.code, explanation: error.message });
    set({ said: error.message });
  }
}

export const testModel = (model) => test(model, { model_id: model.id });
export const testProvider = (provider) => test(provider, { provider_id: provider.id });

const inSeconds = (ms) => `${(ms / 1000).toFixed(1)} s`;

/** A test's result in words. */
export function testResult({ busy, is_ok, code, explanation, duration_ms, first_token_ms, status }) {
  if (busy) return "Testing …";
  const took = duration_ms === undefined ? "" : ` after ${inSeconds(duration_ms)}`;
  if (!is_ok) return `Failed${took}: ${explanation} [${[code, status].filter(Boolean).join(", ")}]`;
  const first = typeof first_token_ms === "number" ? `, time to first token ${inSeconds(first_token_ms)}` : "";
  return `It answers${took}${first}.`;
}

/** Reads which models a provider lists. Returns a sentence about it. */
export async function listModels(provider) {
  const told = await act({ action: "list_provider_models", provider_id: provider.id });
  set({ listed: { ...state.listed, [provider.id]: told.models } });
  if (!told.is_ok) return `${provider.display_name} did not list its models: ${told.explanation}`;
  return `${provider.display_name} lists ${told.models.length} models. Type to choose one.`;
}
