// Reads and changes the entries of a lorebook for the page. Pure functions.
//
// Books come from many programs. An entry keeps every field that is not changed, known or not.

import { line } from "./legible.js";

const DEPTH = 4; // of an entry that does not say

const AMONG_MESSAGES = 4;
/**
 * Places that a person can choose. `extension` is what SillyTavern calls it. An entry that says nothing stands after the
 * messages if it comes and goes, so that the prompt before it stays in caches.
 */
const PLACES = {
  auto: { position: undefined, extension: undefined },
  before: { position: "before_char", extension: 0 },
  after: { position: "after_char", extension: 1 },
  depth: { extension: AMONG_MESSAGES },
};
const FURTHER = [2, 3, 5, 6, 7]; // SillyTavern's other positions
/** When further keys let an entry be used, in SillyTavern's order. "off": they are not looked for. */
const LOGIC = ["any", "not-all", "none", "all"];

/** The entries that can be shown, in the book's order: [{place, title, keys, isOn, isConstant}]. */
export function shownEntries({ entries }) {
  return entries.flatMap((entry, place) => (isEntry(entry) ? [{ place, title: title(entry), ...read(entry) }] : []));
}

/**
 * An entry as its form has it: {keys, further, logic, content, isOn, isConstant, where, depth}; without one, of a
 * new entry.
 */
export function read(entry = {}) {
  const further = textsOf(entry.secondary_keys);
  const depth = Math.trunc(Number(entry.extensions?.depth ?? DEPTH));
  return {
    keys: keysOf(entry).join(", "),
    further: further.join(", "),
    logic: further.length && entry.selective !== true ? "off" : (LOGIC[entry.extensions?.selectiveLogic] ?? LOGIC[0]),
    content: typeof entry.content === "string" ? entry.content : "",
    isOn: entry.enabled !== false,
    isConstant: entry.constant === true,
    where: where(entry),
    depth: depth >= 0 ? depth : DEPTH,
  };
}

/** The book with an entry as a form has it; `place` null adds one. The same book if nothing was changed. */
export function withEntry(book, place, form) {
  if (place === null) return { ...book, entries: [...book.entries, made(book, form)] };
  const before = book.entries[place];
  const after = changed(before, form);
  return after === before ? book : { ...book, entries: book.entries.with(place, after) };
}

export const withoutEntry = (book, place) => ({ ...book, entries: book.entries.toSpliced(place, 1) });

const isEntry = (value) => value !== null && typeof value === "object" && !Array.isArray(value);

function title(entry) {
  const texts = [entry.name, entry.comment, keysOf(entry).join(", "), entry.content];
  return line(texts.find((text) => typeof text === "string" && text.trim()) ?? "");
}

const keysOf = ({ keys }) => textsOf(keys);

function textsOf(keys) {
  const texts = typeof keys === "string" ? keys.split(",") : Array.isArray(keys) ? keys : [];
  return texts.filter((key) => typeof key === "string").map((key) => key.trim()).filter(Boolean);
}

/** Where an entry stands: one of PLACES, "text" if its first lines say so, or "kept" for any other place. */
function where({ content, position, extensions }) {
  if (isPlacedByText(content)) return "text";
  const extension = Number.isInteger(extensions?.position) ? extensions.position : null;
  if (FURTHER.includes(extension)) return "kept";
  const chosen = Object.keys(PLACES).find((name) => PLACES[name].extension === extension);
  if (chosen) return chosen;
  if (position === "before_char") return "before";
  return position === "after_char" ? "after" : "auto";
}

function isPlacedByText(content) {
  if (typeof content !== "string") return false;
  for (const text of content.split("\n")) {
    if (!text.startsWith("@@") && text.trim()) return false;
    if (/^@+\s*(?:depth|position)\s/.test(text)) return true;
  }
  return false;
}

function changed(entry, form) {
  const before = read(entry);
  const isNew = (...names) => names.some((name) => form[name] !== before[name]);
  const isPlaced = isNew("where") || (form.where === "depth" && isNew("depth"));
  const { fields = {}, more: place = {} } = isPlaced ? placed(entry, form) : {};
  const logic = LOGIC.indexOf(form.logic);
  const more = { ...(isNew("logic") && logic >= 0 ? { selectiveLogic: logic } : {}), ...place };
  const changes = {
    ...(isNew("keys") ? { keys: splitKeys(form.keys, keysOf(entry)) } : {}),
    ...(isNew("further") ? { secondary_keys: splitKeys(form.further, textsOf(entry.secondary_keys)) } : {}),
    ...(isNew("further", "logic") ? { selective: logic >= 0 } : {}),
    ...(isNew("content") ? { content: form.content } : {}),
    ...(isNew("isOn") ? { enabled: form.isOn } : {}),
    ...(isNew("isConstant") ? { constant: form.isConstant } : {}),
    ...fields,
    ...(Object.keys(more).length ? { extensions: defined({ ...extensionsOf(entry), ...more }) } : {}),
  };
  return Object.keys(changes).length ? defined({ ...entry, ...changes }) : entry;
}

/** An object without what is undefined. */
const defined = (given) => Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));

const extensionsOf = ({ extensions }) => (isEntry(extensions) ? extensions : {});

/** The fields of an entry that its position sets: {fields, more}; `more` are extensions. */
function placed(entry, { where, depth }) {
  const place = PLACES[where];
  if (!place) return {};
  const { extension, ...fields } = place;
  if (where === "depth") return { more: { position: extension, depth } };
  // Where programs write their own position, it counts more than the card's.
  return { fields, more: "position" in extensionsOf(entry) ? { position: extension } : {} };
}

function made({ entries }, form) {
  const ids = entries.map((entry) => entry?.id).filter(Number.isSafeInteger);
  const id = ids.reduce((most, each) => Math.max(most, each), -1) + 1;
  const entry = { id, keys: [], content: "", extensions: {}, enabled: true, insertion_order: 100, constant: false };
  return changed(entry, form);
}

/** How far a book looks back for entries, as its form has it: {least, most}; 0 each if it does not say. */
export function lookingBack(book) {
  const setting = (name) => Math.trunc(Number(book[name] ?? book.extensions?.[name] ?? 0)) || 0;
  return { least: setting("min_activations"), most: setting("min_activations_depth_max") };
}

/** The book with what its form says of that. */
export const withLookingBack = (book, { least, most }) =>
  ({ ...book, min_activations: least, min_activations_depth_max: most });

const PATTERN = /\/(?:\\.|[^\\/\n])+\/[a-z]*(?=\s*(?:,|$))/y;

/** The keys in a comma-separated text. Commas stay in patterns, `/a{1,2}/`, and in `known` keys. */
export function splitKeys(text, known = []) {
  const whole = known.filter((key) => key.includes(",")).sort((a, b) => b.length - a.length);
  const keys = [];
  for (let at = 0; at < text.length; ) {
    const key = keyAt(text, at, whole);
    at += key.length + 1; // its comma, or a space before it
    if (key.trim()) keys.push(key.trim());
  }
  return keys;
}

function keyAt(text, at, whole) {
  PATTERN.lastIndex = at + text.slice(at).search(/\S|$/);
  const begin = PATTERN.lastIndex;
  const isWhole = (key) => text.startsWith(key, begin) && /^\s*(?:,|$)/.test(text.slice(begin + key.length));
  const key = whole.find(isWhole) ?? PATTERN.exec(text)?.[0];
  const end = text.indexOf(",", key === undefined ? at : begin + key.length);
  return text.slice(at, end < 0 ? text.length : end);
}
