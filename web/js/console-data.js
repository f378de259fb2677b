// The console's state, and how it is loaded and changed. Everything goes through the Data API with the admin's
// own token; row level security decides what the admin can see and change.

import { data, supabase, UserError } from "./backend.js";
import { address, parse } from "./console-address.js";
import { differing, rebase } from "./console-changes.js";
import { closeDialog, drawn, set, watchDialog } from "./page.js";

const MISSING = ["PGRST202", "PGRST205", "42P01", "42703", "42883"]; // no such table, column or function

export const state = {
  ready: false,
  me: null,
  ...parse(location.search), // page, params
  adopted: false, // in an existing product, whose own pages have models, providers and templates
  loaded: null, // the page whose rows are loaded
  now: Date.now() / 1000, // when they were
  period: null, // of turns and calls: {name, from, to, span, step}
  turns: [],
  calls: [],
  cut: false, // whether there are more rows than are loaded
  list: { rows: [], next: null }, // of turns
  report: null, // one turn
  providers: [],
  models: [],
  catalog: [],
  steps: [],
  overdueTurns: 0,
  overdueCooldowns: 0,
  characters: [],
  workers: [],
  cooldowns: [],
  limits: [],
  spentToday: 0,
  verified: [],
  roles: [],
  templates: [],
  queue: [],
  takeDowns: [],
  moved: null, // the switch of an adopted installation
  preview: null, // the prompt that a template makes
  tests: {}, // results of tests of models and providers, by id
  listed: {}, // model ids that providers list, by the provider's id
  tables: {}, // {sort, descending, words} of tables, by id
  dialog: null,
  trouble: null, // the last error: {sentence, code, field, error}
  failure: null, // {page, error}: the page could not be loaded since it was loaded last, if it was
  undo: null, // the last change that can be taken back: {sentence, act}
  said: "",
};

/** The result of a query, or null where this installation has no such table or function. */
export const ifThere = (query) =>
  data(query).catch((error) => {
    if (MISSING.includes(error.code)) return null;
    throw error;
  });

/** Looks once what kind of installation this is. */
export async function recognise() {
  const settings = await ifThere(supabase.from("provider_settings").select("id").limit(1));
  set({ adopted: settings === null });
}

let loaders = {};
let asked = 0;
let answered = 0;

/** Registers what loads each page: a function of the state that resolves to changes of it. */
export const loadWith = (functions) => {
  loaders = functions;
};

/**
 * Loads the rows of the page. A response never replaces that of a later request. Why it failed is shown until it
 * succeeds, which may be by itself in half a minute.
 */
export async function load() {
  const mine = ++asked;
  const { page, params } = state;
  const isWanted = () => mine > answered && page === state.page && params === state.params;
  try {
    const changes = (await loaders[page]?.(state)) ?? {};
    if (!isWanted()) return;
    answered = mine;
    const isOver = state.failure && state.trouble?.error === state.failure.error;
    set({ now: Date.now() / 1000, ...changes, loaded: page, ready: true, failure: null, ...(isOver ? { trouble: null } : {}) });
  } catch (error) {
    if (!isWanted()) return; // Nobody waits for it any more.
    set({ failure: { page, error } });
    throw error;
  }
}

/** Opens a page as a link does: with an address to go back from. */
export async function go(page, params = {}) {
  history.pushState(null, "", address(page, params));
  await follow();
  scrollTo(0, 0);
  await drawn();
  document.getElementById("content")?.focus({ preventScroll: true });
}

/** Shows the page of the address. */
export async function follow() {
  const { page, params } = parse(location.search);
  set({ page, params, trouble: null, failure: null, dialog: null, preview: null, report: null, loaded: page === state.page ? state.loaded : null });
  await load();
}

/** Waits for a change, announces it, and loads the page again. */
export async function changed(query, said) {
  const isStill = watchDialog();
  const result = await data(query);
  if (isStill()) closeDialog();
  set({ trouble: null, said });
  await load();
  return result;
}

/** Shows a sentence about a change, with a way to take it back. */
export const offerUndo = (sentence, undo) => set({ undo: { sentence, act: undo } });

const STALE = "stale"; // somebody else changed it meanwhile

/** Says why a change was not made, and shows the current page, on which the change can be repeated. */
export async function refuse(sentence) {
  await load();
  throw new UserError(sentence, STALE);
}

/**
 * Changes a row from `from` to `to`, both with the columns of a form, and offers to take it back. Several operators
 * may change a row at once: only what differs is written, and only where it is still as in `from`.
 *
 * `row` has a name; `read` resolves to the row as it is now, undefined if it is gone; `write(now, changes)` resolves
 * to whether it was still as in `now`.
 */
export async function change(row, from, to, said, undone) {
  if (!differing(from, to).length) return void (await changed(NOTHING, "Nothing was changed."));
  await changed(save(row, from, to), said);
  offerUndo(said, () => takeBack(row, to, from, undone));
}

const NOTHING = { data: null };

async function save({ name, read, write }, from, to) {
  const now = await read();
  const { changes, lost } = rebase(now ?? {}, from, to);
  if (now && !lost.length && (await write(now, changes))) return NOTHING;
  return refuse(`Somebody else changed or deleted ${name} meanwhile, so nothing was saved. Copy what you need, then open the form again.`);
}

/** Writes back what still holds what was written, and says what does not. */
async function takeBack({ name, read, write }, from, to, undone) {
  const now = await read();
  const { changes, lost } = rebase(now ?? {}, from, to);
  const isBack = now && Object.keys(changes).length > 0 && (await write(now, changes));
  if (isBack && !lost.length) return void (await changed(NOTHING, undone));
  const kept = isBack ? lost : differing(from, to);
  const columns = kept.map((column) => column.replaceAll("_", " ")).join(", ");
  await refuse(`Somebody else changed or deleted ${name} since. This was not taken back: ${columns}.`);
}

/** Takes the last change back, once. If that fails, it can be tried again, unless it is too late for it. */
export async function undo() {
  const taken = state.undo;
  if (!taken) return;
  set({ undo: null });
  try {
    await taken.act();
  } catch (error) {
    if (!state.undo && error.code !== STALE) set({ undo: taken });
    throw error;
  }
}

export const forgetUndo = () => set({ undo: null });
