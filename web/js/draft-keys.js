// Where drafts are kept on this device: by person, so that nobody else who signs in here sees them.

const PREFIX = "draft:";
const TIER = "tier:"; // what the person chose in a conversation

export const draftKey = (person_id, conversation_id) => `${PREFIX}${person_id}:${conversation_id}`;

/** Removes what a person leaves on this device when they sign out. */
export function forgetDraftsOf(person_id) {
  const isTheirs = (name) => name.startsWith(`${PREFIX}${person_id}:`) || name.startsWith(TIER);
  Object.keys(localStorage).filter(isTheirs).forEach((name) => localStorage.removeItem(name));
}
