// A character's row as pages show it, and as a form edits it. Pure functions.

import { t } from "./language.js";
import { legible } from "./legible.js";

/** The columns of texts that a person writes, with the most characters of each. */
export const TEXTS = {
  description: 20_000,
  personality: 20_000,
  scenario: 20_000,
  first_message: 20_000,
  example_messages: 20_000,
  system_prompt: 20_000,
  post_history_instructions: 8000,
  depth_prompt: 8000,
};
export const GREETINGS = ["alternate_greetings", "group_only_greetings"];
export const MOST_GREETINGS = 64;
const MOST_TAGS = 20;
const TAG = 40; // characters

const OPTIONAL = ["nickname", "pronouns"];
const NUMBERS = { age: null, talkativeness: null, depth_prompt_depth: 4 }; // what an empty field means
const BOUNDS = { age: [0, 1_000_000], talkativeness: [0, 1], depth_prompt_depth: [0, 1000] };
const CHOICES = ["content_rating", "is_public", "depth_prompt_role"];

/** The columns that the form edits. */
export const EDITED = ["name", ...OPTIONAL, ...Object.keys(TEXTS), ...GREETINGS, ...Object.keys(NUMBERS), ...CHOICES];

const texts = (value) => (Array.isArray(value) ? value.filter((text) => typeof text === "string") : []);

/** A character as pages show it. An existing product's row lacks some columns, and may have null in others. */
export const readable = (row) => ({
  ...row,
  name: legible(row.name ?? ""),
  description: row.description ?? "",
  first_message: row.first_message ?? "",
  alternate_greetings: texts(row.alternate_greetings),
  age: row.age ?? null,
  content_rating: (row.content_rating ?? "sfw").toLowerCase() === "sfw" ? "sfw" : "nsfw",
  is_public: row.is_public === true,
});

/** The values of the form for a row of my_characters, or for a new character (null). Numbers are text. */
export function formOf(row, tags = []) {
  const given = (name, otherwise) => row?.[name] ?? otherwise;
  return {
    name: given("name", ""),
    ...Object.fromEntries([...OPTIONAL, ...Object.keys(TEXTS)].map((name) => [name, given(name, "")])),
    ...Object.fromEntries(GREETINGS.map((name) => [name, [...given(name, [])]])),
    ...Object.fromEntries(Object.keys(NUMBERS).map((name) => [name, String(given(name, ""))])),
    content_rating: given("content_rating", "sfw"),
    is_public: given("is_public", false),
    depth_prompt_role: given("depth_prompt_role", "system"),
    tags: tags.join(", "),
  };
}

function valueOf(name, form) {
  const value = form[name];
  if (GREETINGS.includes(name)) return value.filter((text) => text.trim());
  if (Object.hasOwn(NUMBERS, name)) return value.trim() === "" ? NUMBERS[name] : Number(value);
  if (OPTIONAL.includes(name)) return value.trim() || null;
  return name === "name" ? value.trim() : value;
}

const isSame = (one, other) => JSON.stringify(one) === JSON.stringify(other);

/** The columns that a form changes of a row; of null, those that a new character does not have anyway. */
export function changes(row, form) {
  const before = formOf(row);
  const changed = EDITED.filter((name) => !isSame(valueOf(name, form), row ? row[name] : valueOf(name, before)));
  return Object.fromEntries(changed.map((name) => [name, valueOf(name, form)]));
}

const spelled = (tag) => tag.normalize("NFKC").toLowerCase().replace(/\s+/g, " ").trim();

/** The tags in a comma-separated text, in the database's spelling, each once. */
export const tagsIn = (text) => [...new Set(text.split(/[,，、،]/).map(spelled).filter(Boolean))];

/** Whether a form has unsaved changes: {row, tags} are the values from which it was made. */
export const isChanged = ({ row, tags }, form) =>
  Object.keys(changes(row, form)).length > 0 || !isSame(tagsIn(form.tags).sort(), [...tags].sort());

/** The first thing that is wrong with a form, {field, sentence}; null if nothing is. */
export function problem(form) {
  if (!form.name.trim()) return { field: "name", sentence: t("Enter a name.") };
  const number = Object.keys(BOUNDS).find((name) => !isWithin(form[name], BOUNDS[name]));
  if (number) {
    const [least, most] = BOUNDS[number];
    const sentence =
      number === "talkativeness"
        ? t("Enter a number from {least} to {most}.", { least, most })
        : t("Enter a whole number from {least} to {most}.", { least, most });
    return { field: number, sentence };
  }
  return tagProblem(tagsIn(form.tags));
}

function isWithin(text, [least, most]) {
  const value = Number(text);
  return value >= least && value <= most && (most === 1 || Number.isInteger(value));
}

function tagProblem(tags) {
  if (tags.length > MOST_TAGS) return { field: "tags", sentence: t("A character has at most {most} tags.", { most: MOST_TAGS }) };
  const long = tags.find((tag) => [...tag].length > TAG);
  return long ? { field: "tags", sentence: t("A tag has at most {most} characters.", { most: TAG }) } : null;
}

/** `list` with `character` in its place by name, instead of a row with the same id. */
export function placed(list, character) {
  const others = list.filter(({ id }) => id !== character.id);
  const at = others.findIndex(({ name }) => name.localeCompare(character.name) > 0);
  return others.toSpliced(at < 0 ? others.length : at, 0, character);
}

/** A pattern for `ilike` that finds names with this text in them. */
export const pattern = (text) => `%${text.trim().replace(/[\\%_]/g, "\\$&")}%`;
