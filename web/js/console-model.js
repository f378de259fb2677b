// A model's row as the fields of a form, and back. Pure functions.
//
// What has a name has a field; the rest of an object is JSON.

/** The fields of objects: [column, key, label, what a number field takes]. */
export const NUMBERS = [
  ["capabilities", "context_tokens", "Context (tokens)", { min: 1, step: 1 }],
  ["input_defaults", "max_tokens", "Max tokens", { min: 1, step: 1 }],
  ["input_defaults", "temperature", "Temperature", { min: 0, step: "any" }],
  ["input_defaults", "top_p", "Top P", { min: 0, max: 1, step: "any" }],
  ["input_defaults", "min_p", "Min P", { min: 0, max: 1, step: "any" }],
  ["input_defaults", "top_k", "Top K", { min: 0, step: 1 }],
  ["input_defaults", "frequency_penalty", "Frequency penalty", { step: "any" }],
  ["input_defaults", "presence_penalty", "Presence penalty", { step: "any" }],
  ["input_defaults", "repetition_penalty", "Repetition penalty", { step: "any" }],
  ["pricing", "prompt_usd_per_1k", "Input price (USD per 1,000 tokens)", { min: 0, step: "any" }],
  ["pricing", "completion_usd_per_1k", "Output price (USD per 1,000 tokens)", { min: 0, step: "any" }],
];

/** The rest of each object: its label. */
export const OBJECTS = {
  input_defaults: "Other default parameters",
  capabilities: "Other capabilities",
  pricing: "Other prices",
};

/** The modality of a new model, by its task. */
export const TASKS = { roleplay: "roleplay", storytelling: "chat", prompt_enhancement: "chat" };

const named = (column) => NUMBERS.filter(([of]) => of === column).map(([, key]) => key);
const isPlain = (value) => typeof value === "object" && value !== null && !Array.isArray(value);

/** The values of the form's fields for a row; null: a new model. */
export function fieldsOf(row) {
  const fields = { adult: row?.capabilities?.nsfw === true };
  for (const [column, key] of NUMBERS) {
    const value = row?.[column]?.[key];
    fields[key] = typeof value === "number" ? String(value) : "";
  }
  for (const column of Object.keys(OBJECTS)) fields[column] = written(restOf(row?.[column] ?? {}, column, fields));
  return fields;
}

const written = (rest) => (Object.keys(rest).length ? JSON.stringify(rest, null, 1) : "");

function restOf(object, column, fields) {
  const own = named(column).filter((key) => fields[key] !== "");
  const isOwn = (key, value) => own.includes(key) || (column === "capabilities" && key === "nsfw" && typeof value === "boolean");
  return Object.fromEntries(Object.entries(object).filter(([key, value]) => !isOwn(key, value)));
}

/** What is wrong with the JSON of a field, or "". An empty one is an empty object. */
export function jsonProblem(text, fields = {}, column = "") {
  if (!text.trim()) return "";
  let value;
  try {
    value = JSON.parse(text);
  } catch {
    return 'This is not valid JSON. An object looks like {"seed": 7}.';
  }
  if (!isPlain(value)) return 'It has to be a JSON object, such as {"seed": 7}.';
  const twice = named(column).find((key) => Object.hasOwn(value, key) && fields[key]);
  if (twice) return `“${twice}” has a field of its own.`;
  if (column === "capabilities" && Object.hasOwn(value, "nsfw")) return "“nsfw” has a field of its own: Tier.";
  return "";
}

/**
 * The columns for the form's values: {changes}, or {field, problem}. `row` is the one that is edited, null a new
 * one. What the form does not show stays as it was.
 */
export function columnsOf(fields, row = null) {
  for (const column of Object.keys(OBJECTS)) {
    const problem = jsonProblem(fields[column] ?? "", fields, column);
    if (problem) return { field: column, problem: `“${OBJECTS[column]}”: ${problem}` };
  }
  const changes = {
    display_name: fields.display_name,
    model_key: fields.model_key,
    priority: Number(fields.priority),
    is_active: Boolean(fields.is_active),
    description: fields.description || null,
    model_family: fields.model_family || null,
    endpoint_path: fields.endpoint_path || null,
  };
  for (const column of Object.keys(OBJECTS)) changes[column] = objectOf(column, fields, row);
  if (row) return { changes };
  return { changes: { ...changes, provider_id: fields.provider_id, task: fields.task, modality: TASKS[fields.task] } };
}

function objectOf(column, fields, row) {
  const text = (fields[column] ?? "").trim();
  const object = text ? JSON.parse(text) : {};
  for (const key of named(column)) if (fields[key]) object[key] = Number(fields[key]);
  const knew = typeof row?.capabilities?.nsfw === "boolean";
  if (column === "capabilities" && (fields.adult || knew)) object.nsfw = Boolean(fields.adult);
  return object;
}
