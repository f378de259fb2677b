// What is kept on this device: drafts, changes, forms and scenes, by person, so that nobody else who signs in here sees
// them.

const DRAFT = "draft:";
const REPLACED = "replaced:"; // what a model's draft replaced
const EDIT = "edit:";
const FORM = "form:";
const SCENE = "scene:";
const TIER = "tier:"; // what the person chose in a conversation

export const draftKey = (person_id, conversation_id) => `${DRAFT}${person_id}:${conversation_id}`;
export const replacedKey = (person_id, conversation_id) => `${REPLACED}${person_id}:${conversation_id}`;
export const editKey = (person_id, conversation_id) => `${EDIT}${person_id}:${conversation_id}`;
export const formKey = (person_id, subject) => `${FORM}${person_id}:${subject}`;
export const sceneKey = (person_id, conversation_id) => `${SCENE}${person_id}:${conversation_id}`;

/** Keeps a text; null removes it. Where there is no room for it, it lasts as long as the page. */
export function keepText(key, text) {
  try {
    if (text === null) localStorage.removeItem(key);
    else localStorage.setItem(key, text);
  } catch {
    // There is no room.
  }
}

/** The value that is kept as JSON, or null. */
export function keptJson(key) {
  try {
    return JSON.parse(localStorage.getItem(key));
  } catch {
    return null;
  }
}

/** Removes a person's data from this device when they sign out. */
export function forgetDraftsOf(person_id) {
  const begins = [...[DRAFT, REPLACED, EDIT, FORM, SCENE].map((kind) => `${kind}${person_id}:`), TIER];
  const isTheirs = (name) => begins.some((begin) => name.startsWith(begin));
  Object.keys(localStorage).filter(isTheirs).forEach((name) => localStorage.removeItem(name));
}
