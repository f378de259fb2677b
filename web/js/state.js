// The chat's state and what is derived from it.

import { choices } from "./availability.js";
import { t } from "./language.js";

export const state = {
  ready: false,
  me: null,
  conversations: [], // as they are listed, pinned ones first, a page at a time
  nextConversations: null, // where the next page begins
  menuOf: null, // the listed conversation whose menu is open
  search: { query: "", results: null, next: null }, // null: nothing is searched for
  undo: null, // what can be taken back: {sentence, action}
  characters: [], // by name, a page at a time
  hasMoreCharacters: false,
  others: [], // characters of opened conversations that are on later pages
  companions: [], // names of all characters in the conversations, including ones the person cannot see
  models: [],
  cooldowns: [], // until when models are on cooldown
  workers: [], // {name, display_name, health}
  conversation: null, // the open one
  phase: "ready", // of the open conversation's messages: "loading", "failed" or "ready"
  messages: [], // all versions, in order
  hasEarlier: false, // whether there are messages before those
  hasLater: false, // whether there are messages after those
  found: null, // the id of the message that a search led to
  target: null, // the id of the message that the next drawing scrolls to
  hidden: new Set(), // positions of messages that models do not read
  answers: new Map(), // the turn of each reply (its model, its notice) by message id; null if there is none
  running: new Map(), // running turns by conversation: {id, body, at, text, note, speaker, isStopped, abort}
  away: false, // whether the newest message is out of sight
  fresh: false, // whether there are new ones meanwhile
  newFrom: null, // the position after which those begin
  toEnd: false, // whether the next drawing shows the newest message
  offline: !navigator.onLine,
  heldUntil: 0, // in ms; nothing is sent before
  trouble: null, // the last error: {sentence, code, body}
  notice: "", // a sentence about the last reply
  editing: null, // the message that is being changed: {id, text}
  greeting: 0, // which of a character's greetings is shown before a conversation begins
  draft: "", // what is in the message box
  replaced: null, // what a model's draft took the place of
  dialog: null, // {name, ...}
  memory: null,
  menu: false,
  tools: false, // whether the menu of tools is open, on a phone
  said: "", // for screen readers
  limits: null, // what is left of one's limits, as read_limits answers
  blocked: null, // the authors that one has blocked, once they are loaded
  model: localStorage.getItem("model") ?? "",
  speaker: "", // id of the character who should answer in a group; "": roleplay_chat chooses
  tier: "sfw",
  reach: localStorage.getItem("reach") ?? "conversation",

  /** The running turn of the open conversation, or null. */
  get turn() {
    return this.running.get(this.conversation?.id) ?? null;
  },
};

/** The conversation's active messages in order, each with its versions: [{message, versions}]. */
export function activeMessages() {
  const places = new Map();
  for (const message of state.messages) {
    const place = places.get(message.position) ?? { versions: [] };
    place.versions.push(message);
    if (message.is_active) place.message = message;
    places.set(message.position, place);
  }
  return [...places.values()].filter(({ message }) => message);
}

/** A character by id. One that the person talks with but cannot see has only a name. */
export const findCharacter = (id) =>
  [...state.characters, ...state.others].find((character) => character.id === id) ?? companion(id);

function companion(id) {
  const known = state.companions.find(({ character_id }) => character_id === id);
  return known && { id, name: known.name, description: "", first_message: "", alternate_greetings: [] };
}

export const characterName = (id) => findCharacter(id)?.name ?? t("Somebody");

/** The characters of a conversation in order, without those that are no longer available. */
export function listMembers({ character_id, conversation_characters }) {
  const others = [...conversation_characters].sort((a, b) => a.position - b.position);
  const ids = new Set([character_id, ...others.map((row) => row.character_id)]);
  return [...ids].map(findCharacter).filter(Boolean);
}

/** How far a fact reaches, by the tier of its memory. */
export const REACH = {
  conversation: t("this conversation"),
  character: t("everything with this character"),
  profile: t("all my conversations"),
};

/** The chosen model for requests; "" if none is chosen or the chosen one is closed. */
export function chosenModel() {
  const choice = choices(state).find(({ key }) => key === state.model);
  return choice && !choice.closed ? choice.key : "";
}
