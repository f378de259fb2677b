// Loads and changes what is about people and characters: ages, reports, limits, templates; and loads what
// the page "health" shows.

import { act, data, supabase } from "./backend.js";
import { only } from "./console-changes.js";
import { change, changed, forgetUndo, ifThere, offerUndo, state } from "./console-data.js";
import { ALWAYS, knownIn } from "./console-limit.js";
import { loadModels } from "./console-models-data.js";
import { legible } from "./legible.js";
import { set } from "./page.js";

const AGES = 100;
const NEWEST = 200;
const TURN_MS = 180_000; // after its lease: health_check closes a turn long before
const COOLDOWN_MS = 780_000;
const CONFLICT = "PT409";

const before = (ms) => new Date(Date.now() - ms).toISOString();
const MOST = 1000;
const counted = async (query) => (await data(query.limit(MOST))).length;

export const loadWorkers = async () => {
  const [workers, cooldowns] = await Promise.all([
    data(supabase.from("worker_settings").select("*").order("priority").order("name")),
    data(supabase.from("model_cooldowns").select("*").gt("until", new Date().toISOString()).order("until")),
  ]);
  return { workers, cooldowns };
};

export async function loadHealth(state) {
  const [models, workers, steps, overdueTurns, overdueCooldowns] = await Promise.all([
    loadModels(state),
    loadWorkers(),
    data(supabase.from("health_check_steps").select("*").order("step")),
    counted(supabase.from("turns").select("id").eq("status", "running").lt("lease_expires_at", before(TURN_MS))),
    counted(supabase.from("model_cooldowns").select("key").lt("until", before(COOLDOWN_MS))),
  ]);
  return { ...models, ...workers, steps, overdueTurns, overdueCooldowns };
}

/** Characters by name; first those whose age matters most, because it is missing. */
export async function loadCharacters({ params }) {
  const named = (params.name ?? "").replace(/[\\%_]/g, "\\$&");
  const query = supabase.from("declared_ages").select("*").ilike("name", `%${named}%`);
  const order = query.order("content_rating").order("age", { nullsFirst: true }).order("name").order("id");
  const rows = await data(order.limit(AGES));
  return { characters: rows.map((row) => ({ ...row, name: legible(row.name) })) };
}

const whereAge = (query, age) => (age === null ? query.is("age", null) : query.eq("age", age));

/** The declared age of a character, for `change`. */
const ageOf = ({ id, name }) => ({
  name: `the age of ${name}`,
  read: async () => (await data(supabase.from("declared_ages").select("age").eq("id", id)))[0],
  write: async (now, changes) =>
    (await data(whereAge(supabase.from("declared_ages").update(changes).eq("id", id), now.age).select("id"))).length > 0,
});

const told = (name, age) => (age === null ? `${name} has no declared age now.` : `${name} is declared to be ${age} now.`);

/** Whether a declared age closes the adult tier of conversations. */
export const isMinor = (age) => age !== null && age < 18;

/** Declares an age in years; null takes the declaration back. */
export async function declareAge(character, age) {
  const said = told(character.name, age);
  await change(ageOf(character), only(character, ["age"]), { age }, said, told(character.name, character.age));
  // Writing the earlier age back would undo nothing of what this did: conversations that are marked stay marked.
  if (isMinor(age)) forgetUndo();
}

export async function loadReports() {
  const [queue, takeDowns] = await Promise.all([
    data(supabase.from("report_queue").select("*").order("oldest_at").limit(NEWEST)),
    data(supabase.from("character_take_downs").select("*").order("taken_down_at", { ascending: false }).order("id", { ascending: false }).limit(NEWEST)),
  ]);
  const named = (row, name) => ({ ...row, name: legible(name ?? "") });
  return { queue: queue.map((row) => named(row, row.name)), takeDowns: takeDowns.map((row) => named(row, row.character_name)) };
}

const decide = (name, character, reason, said, more = {}) =>
  changed(supabase.rpc(name, { p_character_id: character.character_id ?? character.id, p_reason: reason, ...more }), said);

export async function takeDown(character, reason) {
  const said = `${character.name} was taken down.`;
  await decide("take_down_character", character, reason, said);
  // Not as restoring does: its reports wait for a decision again.
  offerUndo(said, () => decide("undo_take_down", character, "Taken back at once.", `${character.name} is back.`));
}

export const restore = (character, reason) => decide("restore_character", character, reason, `${character.name} is back.`);

/** Dismisses the reports of a row of the queue, and none that came after it was read. */
export const dismiss = (row, reason) =>
  decide("dismiss_reports", row, reason, `The reports of ${row.name} were dismissed.`, { p_newest_at: row.newest_at });

export async function loadPeople() {
  const [verified, roles] = await Promise.all([
    data(supabase.from("age_verifications").select("*").order("user_id").limit(1000)),
    ifThere(supabase.from("user_roles").select("user_id, role").order("user_id").limit(1000)),
  ]);
  return {
    verified: verified.map((row) => ({ ...row, name: legible(row.display_name ?? "") })),
    roles: roles ?? [],
  };
}

export async function loadLimits() {
  const today = new Date().toISOString().slice(0, 10);
  const [limits, spent] = await Promise.all([
    data(supabase.from("limit_settings").select("*").order("role")),
    data(supabase.from("usage_daily").select("cost_usd").eq("day", today)),
  ]);
  return { limits, spentToday: spent.reduce((sum, { cost_usd }) => sum + Number(cost_usd ?? 0), 0) };
}

/** The limits of a role as `change` takes them. A role without any has the same as everybody. */
const limitsOfRole = (role) => ({
  name: `the limits of ${role}`,
  read: async () => (await data(supabase.from("limit_settings").select("limits").eq("role", role)))[0]?.limits ?? {},
  write: async (now, changes) => {
    const limits = knownIn(role, { ...now, ...changes });
    const isNone = !ALWAYS.includes(role) && !Object.keys(limits).length;
    const { error } = await supabase.rpc("set_limits", { p_role: role, p_limits: isNone ? null : limits, p_before: now });
    if (error && error.code !== CONFLICT) await data({ error });
    return !error;
  },
});

/** Changes the limits of a role from those that a form began with. */
export const setLimits = (role, before, limits) =>
  change(limitsOfRole(role), before, limits, `The limits of ${role} were saved.`, `The limits of ${role} are as they were.`);

/** Removes the limits of a role. */
export const removeLimits = ({ role, limits }) =>
  change(limitsOfRole(role), limits, {}, `The limits of ${role} were removed.`, `The limits of ${role} are as they were.`);

/** Prompt templates; none in an adopted installation, which has its own. */
export async function loadTemplates({ adopted }) {
  if (adopted) return { templates: [] };
  const rows = supabase.from("prompt_templates").select("*");
  return { templates: await data(rows.order("use_case").order("content_tier").order("name")) };
}

/** Shows the prompt that a template makes. */
export async function previewPrompt(system_prompt, content_tier) {
  const { params } = state;
  const preview = await act({ action: "preview_prompt", system_prompt, content_tier });
  if (params !== state.params) return; // Another template is shown by now.
  set({ preview, trouble: null, said: `The prompt has ${preview.tokens} tokens.` });
}
