// Reads a composition, the record of a reply's prompt, for the page. Pure functions.
//
// A composition has no texts. They come from the rows as they are now, so some may be gone.

import { t } from "./language.js";
import { line } from "./legible.js";

const PARTS = {
  template: t("Instructions of this site"),
  others: t("Who else is there"),
  description: t("The character's description"),
  vitals: t("The character's age and pronouns"),
  personality: t("The character's personality"),
  scenario: t("The scenario"),
  examples: t("Example dialogue"),
  persona: t("Your persona"),
  role: t("Your role"),
  scene: t("The scene"),
  directions: t("Directions for the scene"),
  memory: t("What is remembered"),
  lore: t("The lorebook"),
  rule: t("A rule for this reply"),
  history: t("The newest messages"),
  recalled: t("What was recalled"),
  note: t("The character's note"),
  author_note: t("Your note"),
  instructions: t("The author's last instructions"),
  message: t("Your message"),
  request: t("The request to go on"),
};

/**
 * What a composition says, with the texts that it refers to: {tokens, parts: [{name, tokens, cut}],
 * messages, entries: [{text, why}], facts, recalled: {facts, messages: [{text, who}]}, and `left`, what had no room: {messages, entries,
 * facts, summary}}. `rows` are {facts, messages, book, books}: the character's book, and others by id. A text
 * that is gone is null. `more` counts what
 * is not listed, by the list's name.
 */
export function explained(composition, rows) {
  const facts = new Map(rows.facts.map((fact) => [fact.id, line(fact.content)]));
  const messages = new Map(rows.messages.map(({ position, content, who }) => [position, { text: line(content), who }]));
  const entries = (some) => some.map((entry) => explainedEntry(entry, entry.book ? rows.books?.[entry.book] : rows.book));
  const known = (ids) => ids.map((id) => facts.get(id) ?? null);
  const { left_out: left } = composition;
  return {
    tokens: composition.tokens,
    parts: composition.parts.map(explainedPart),
    messages: composition.history.messages,
    entries: entries(composition.entries),
    facts: known(composition.facts),
    recalled: {
      facts: known(composition.recalled.facts),
      messages: composition.recalled.messages.map((position) => messages.get(position) ?? null),
    },
    left: {
      messages: composition.history.left_out,
      entries: entries(left.entries),
      facts: known(left.facts),
      summary: left.summary ?? false,
    },
    more: composition.more,
  };
}

function explainedPart({ part, tokens, of }) {
  const cut = of === undefined ? "" : tokens ? t("shortened from {count}", { count: of }) : t("left out, {count} long", { count: of });
  return { name: PARTS[part] ?? part, tokens, cut };
}

function explainedEntry(entry, book) {
  const found = findEntry(entry, book);
  if (!found) return { text: null, why: "" };
  return { text: title(found), why: reason(entry, found) };
}

/** The entry of a book that is meant. Books are edited, so an id counts more than a place. */
function findEntry({ place, id }, book) {
  const entries = Array.isArray(book?.entries) ? book.entries : [];
  const isMeant = (entry) => id === undefined || entry?.id === id;
  const found = isMeant(entries[place]) ? entries[place] : entries.find(isMeant);
  return found !== null && typeof found === "object" ? found : null;
}

function title({ name, comment, content }) {
  const named = [name, comment].find((text) => typeof text === "string" && text.trim());
  const text = named ?? (typeof content === "string" ? content : "");
  return line(text.replace(/^(?:\s*@@.*\n?)+/, ""));
}

function reason({ key, secondary, indirect, stays }, entry) {
  if (stays) return t("stays from an earlier reply");
  const keys = [keyAt(entry.keys, key), keyAt(entry.secondary_keys, secondary)].filter((text) => text !== null);
  if (key === undefined) return indirect ? t("always active, here or in another entry") : t("always active");
  if (!keys.length) return t("its keys were changed since");
  const named = { keys: keys.map((text) => `“${line(text)}”`).join(` ${t("and")} `) };
  return indirect ? t("because of {keys}, here or in another entry", named) : t("because of {keys}", named);
}

function keyAt(keys, place) {
  const texts = typeof keys === "string" ? keys.split(",") : keys;
  const text = Array.isArray(texts) ? texts[place] : null;
  return typeof text === "string" ? text.trim() : null;
}
