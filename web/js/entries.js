// What the page makes of the entries of a lorebook. Pure functions.
//
// Books come from many programs. An entry keeps every field that is not changed, known or not.

import { line } from "./legible.js";

export const DEPTH = 4; // of an entry that does not say

const AMONG_MESSAGES = 4;
/** Places that a person can choose. `extension` is what SillyTavern calls it. */
const PLACES = {
  before: { position: "before_char", extension: 0 },
  after: { position: "after_char", extension: 1 },
  depth: { extension: AMONG_MESSAGES },
};
const FURTHER = [2, 3, 5, 6, 7]; // SillyTavern's other positions

/** The entries that can be shown, in the book's order: [{place, title, keys, isOn, isConstant}]. */
export function shownEntries({ entries }) {
  return entries.flatMap((entry, place) => (isEntry(entry) ? [{ place, title: title(entry), ...read(entry) }] : []));
}

/** An entry as its form has it: {keys, content, isOn, isConstant, where, depth}; without one, of a new entry. */
export function read(entry = {}) {
  const depth = Math.trunc(Number(entry.extensions?.depth ?? DEPTH));
  return {
    keys: keysOf(entry).join(", "),
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

function keysOf({ keys }) {
  const texts = typeof keys === "string" ? keys.split(",") : Array.isArray(keys) ? keys : [];
  return texts.filter((key) => typeof key === "string").map((key) => key.trim()).filter(Boolean);
}

/** Where an entry stands: one of PLACES, "text" if its first lines say so, or "kept" for any other place. */
function where({ content, position, extensions }) {
  if (isPlacedByText(content)) return "text";
  const extension = Number.isInteger(extensions?.position) ? extensions.position : null;
  if (FURTHER.includes(extension)) return "kept";
  const chosen = Object.keys(PLACES).find((name) => PLACES[name].extension === extension);
  return chosen ?? (position === "before_char" ? "before" : "after");
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
  const isNew = (name) => form[name] !== before[name];
  const changes = {
    ...(isNew("keys") ? { keys: splitKeys(form.keys, keysOf(entry)) } : {}),
    ...(isNew("content") ? { content: form.content } : {}),
    ...(isNew("isOn") ? { enabled: form.isOn } : {}),
    ...(isNew("isConstant") ? { constant: form.isConstant } : {}),
    ...(isNew("where") || (form.where === "depth" && isNew("depth")) ? placed(entry, form) : {}),
  };
  return Object.keys(changes).length ? { ...entry, ...changes } : entry;
}

function placed({ extensions }, { where, depth }) {
  const place = PLACES[where];
  if (!place) return {};
  const { extension, ...fields } = place;
  const more = isEntry(extensions) ? extensions : {};
  if (where === "depth") return { extensions: { ...more, position: extension, depth } };
  // Where programs write their own position, it counts more than the card's.
  return { ...fields, ...("position" in more ? { extensions: { ...more, position: extension } } : {}) };
}

function made({ entries }, form) {
  const ids = entries.map((entry) => entry?.id).filter(Number.isSafeInteger);
  const id = ids.reduce((most, each) => Math.max(most, each), -1) + 1;
  const entry = { id, keys: [], content: "", extensions: {}, enabled: true, insertion_order: 100, constant: false };
  return changed({ ...entry, position: "after_char" }, form);
}

const PATTERN = /\/(?:\\.|[^\\/\n])+\/[a-z]*(?=\s*(?:,|$))/y;

/** The keys of a text with commas between them. Commas stay in patterns, `/a{1,2}/`, and in `known` keys. */
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
