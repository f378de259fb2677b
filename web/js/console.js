// The console's entry point: draws it, follows its addresses, and loads its rows when an admin signs in and every
// half minute.

import { parse, windowTitle } from "./console-address.js";
import { follow, go, load, loadWith, recognise, state } from "./console-data.js";
import { loadModels } from "./console-models-data.js";
import * as people from "./console-people-data.js";
import { loadActivity, loadSwitch, loadTurn, loadTurns } from "./console-turns-data.js";
import { page } from "./console-views.js";
import { doing, set, show } from "./page.js";
import { onUser, whoAmI } from "./session.js";

loadWith({
  overview: loadActivity,
  turns: loadTurns,
  turn: loadTurn,
  health: people.loadHealth,
  workers: people.loadWorkers,
  models: loadModels,
  templates: people.loadTemplates,
  characters: people.loadCharacters,
  reports: people.loadReports,
  people: people.loadPeople,
  limits: people.loadLimits,
  switch: loadSwitch,
});

show(state, page, (draw) => {
  draw();
  document.title = windowTitle(state);
});

onUser(
  doing(async (user, isStill) => {
    set({ ready: false, me: null, dialog: null, trouble: null, undo: null });
    if (!user) return set({ ready: true });
    const me = await whoAmI(user);
    if (!isStill()) return;
    set({ me, ready: !me.isAdmin });
    if (!me.isAdmin) return;
    await recognise();
    if (!isStill()) return;
    set({ ready: true });
    await load();
  }),
);

addEventListener(
  "popstate",
  doing(() => state.me?.isAdmin && follow()),
);

// A link to a page of the console opens it without loading everything again.
addEventListener("click", (event) => {
  const link = event.target.closest?.('a[href^="?"]');
  if (!link || event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  const { page, params } = parse(link.search);
  doing(() => go(page, params))();
});

const OWN_PACE = ["turn", "templates"]; // what is written there stays as it is

setInterval(() => {
  const isIdle = !state.dialog && !OWN_PACE.includes(state.page) && document.visibilityState === "visible";
  if (state.me?.isAdmin && isIdle) doing(load)();
}, 30_000);
