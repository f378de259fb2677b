// The addresses of the console's pages: "?page=turns&status=failed". Pure functions.

import { PERIODS } from "./figures.js";

const ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const LONGEST = 200;

/** The pages, by the name in their address: the title of each. */
export const PAGES = {
  overview: "Activity",
  turns: "Turns",
  turn: "Turn",
  health: "Health",
  workers: "Workers",
  models: "Models",
  templates: "Templates",
  characters: "Characters",
  reports: "Reports",
  people: "People",
  limits: "Limits",
  switch: "Switch",
};

export const STATUSES = ["running", "complete", "incomplete", "stopped", "failed"];

const short = (text) => (text.length <= LONGEST ? text : null);
const id = (text) => (ID.test(text) ? text : null);
// As browsers write it, and as databases do.
const TIME = /^\d{4}-\d\d-\d\d([T ][\d:.]{1,20}(Z|[+-]\d\d(:?\d\d)?)?)?$/;
const time = (text) => (TIME.test(text) && !Number.isNaN(Date.parse(text)) ? text : null);

/** A place in the list of turns, "<time>,<id>". */
function place(text) {
  const [at, turn] = text.split(",");
  return time(at) && id(turn ?? "") ? text : null;
}

/** What an address may say, by page; each function returns the value, or null if it is none. */
const PARAMETERS = {
  overview: { period: (text) => (Object.hasOwn(PERIODS, text) ? text : null), from: time, to: time },
  turns: {
    user: id,
    model: short,
    error: short,
    status: (text) => (STATUSES.includes(text) ? text : null),
    request: short,
    from: time,
    to: time,
    after: place,
  },
  turn: { id },
  templates: { id },
  characters: { name: short },
};

/** {page, params} of an address; what it says wrongly is left out. */
export function parse(search) {
  const said = new URLSearchParams(search);
  const name = said.get("page");
  const page = Object.hasOwn(PAGES, name) ? name : "overview";
  const params = {};
  for (const [key, read] of Object.entries(PARAMETERS[page] ?? {})) {
    const value = read((said.get(key) ?? "").trim());
    if (value) params[key] = value;
  }
  return { page, params };
}

/** The address of a page; parameters that are empty are left out. */
export function address(page, params = {}) {
  const given = Object.entries(params).filter(([, value]) => value);
  return `?${new URLSearchParams([["page", page], ...given])}`;
}

/** The title of the window. */
export const windowTitle = ({ page, me }) => `${me?.isAdmin ? `${PAGES[page]} · ` : ""}Console · Roleplay`;

/** A time of the browser's own zone, as a field of the type datetime-local has it. */
export function localTime(text) {
  const at = new Date(text);
  if (Number.isNaN(at.getTime())) return "";
  return new Date(at.getTime() - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

/** The same from such a field, in UTC; "" if it is empty or no time. */
export function utcTime(local) {
  const at = new Date(local);
  return Number.isNaN(at.getTime()) ? "" : at.toISOString();
}
