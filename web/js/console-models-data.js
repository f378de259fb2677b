// Loads, changes and tests models and providers.

import { act, data, supabase } from "./backend.js";
import { only } from "./console-changes.js";
import { change, changed, load, offerUndo, refuse, state } from "./console-data.js";
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

/** The values that show whether a row is unchanged. Not a provider's updated_at, which browsers may not read. */
const MARKS = { api_models: ["updated_at"], api_providers: ["display_name", "is_active"] };

/** A row of a table, for `change`. */
const stored = (table, { id, display_name: name }, columns) => ({
  name,
  read: async () => {
    const names = new Set([...columns, ...MARKS[table]]);
    return (await data(supabase.from(table).select([...names].join()).eq("id", id)))[0];
  },
  write: async (now, changes) => {
    const still = { id, ...only(now, MARKS[table]) };
    return (await data(supabase.from(table).update(changes).match(still).select("id"))).length > 0;
  },
});

function changeRow(table, row, to, said = `${row.display_name} was changed.`, undone = `${row.display_name} is as it was.`) {
  const columns = Object.keys(to);
  return change(stored(table, row, columns), only(row, columns), to, said, undone);
}

export const changeModel = (model, changes) => changeRow("api_models", model, changes);

export const addModel = (row) => changed(supabase.from("api_models").insert(row), `${row.display_name} was added.`);

const COMPUTED = ["created_at", "updated_at"];

/** Deletes a model; undoing it inserts the same row: the deleted one, which may be newer than the one that was shown. */
export async function deleteModel(model) {
  const said = `${model.display_name} was deleted.`;
  const [deleted] = await changed(supabase.from("api_models").delete().eq("id", model.id).select("*"), said);
  if (!deleted) return; // by somebody else, who may undo it
  const row = Object.fromEntries(Object.entries(deleted).filter(([name]) => !COMPUTED.includes(name)));
  offerUndo(said, () => changed(supabase.from("api_models").insert(row), `${model.display_name} is back.`));
}

const setDefault = (model, said) => changed(supabase.rpc("set_default_model", { p_model_id: model.id }), said);

async function defaultLike({ task, modality }) {
  const query = supabase.from("api_models").select("id, display_name, is_active");
  return (await data(query.match({ task, modality, is_default: true })))[0];
}

/** Makes a model the default of its task; undoing it brings the earlier one back, if it is active. */
export async function makeDefault(model) {
  const before = await defaultLike(model);
  const said = `${model.display_name} is the default for ${model.task} now.`;
  await setDefault(model, said);
  if (before?.is_active) offerUndo(said, () => makeDefaultAgain(before, model));
}

async function makeDefaultAgain(before, model) {
  const now = await defaultLike(model);
  if (now?.id === model.id) return setDefault(before, `${before.display_name} is the default for ${model.task} again.`);
  await refuse(`Somebody else chose another default for ${model.task} since. It was left as it is.`);
}

/** Moves a model one place earlier (-1) or later (1) among the models of its task. */
export async function moveModel(model, by) {
  const order = state.models.filter((each) => each.task === model.task);
  const from = order.findIndex(({ id }) => id === model.id);
  // The list may have been read again since the button was drawn.
  if (from < 0 || !order[from + by]) return;
  order.splice(from + by, 0, ...order.splice(from, 1));
  const moves = order.map(({ id, priority }, index) => ({ id, from: priority, to: index + 1 }));
  const made = moves.filter((move) => move.from !== move.to);
  const said = `${model.display_name} is number ${from + by + 1} now.`;
  await renumber(made, said);
  offerUndo(said, () => renumber(made.map(({ id, from, to }) => ({ id, from: to, to: from })), `${model.display_name} is where it was.`));
  await drawn();
  // The buttons moved with the row. Focus the same one, so that it can be pressed again.
  const [same, other] = [by, -by].map((each) => document.getElementById(moverId(model, each)));
  (same?.disabled ? other : same)?.focus();
}

/** Writes priorities, unless somebody else ordered the models since they were read. */
async function renumber(moves, said) {
  const rows = await data(supabase.from("api_models").select("id, priority").in("id", moves.map(({ id }) => id)));
  const now = new Map(rows.map(({ id, priority }) => [id, priority]));
  let isStill = moves.every(({ id, from }) => now.get(id) === from);
  for (const { id, from, to } of moves) {
    isStill &&= (await data(supabase.from("api_models").update({ priority: to }).match({ id, priority: from }).select("id"))).length > 0;
  }
  if (!isStill) await refuse("Somebody else changed the order of these models. Look at it, then move the model again.");
  set({ trouble: null, said });
  await load();
}

export const moverId = (model, by) => `${by < 0 ? "earlier" : "later"}-${model.id}`;

export const changeProvider = (provider, changes) => changeRow("api_providers", provider, changes);

/** Switches a provider off; undoing it switches it on. */
export const switchOff = (provider) =>
  changeRow("api_providers", provider, { is_active: false }, `${provider.display_name} was switched off.`, `${provider.display_name} is on again.`);

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
