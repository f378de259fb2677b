// The chat's state and what is derived from it.

import { choices } from "./availability.js";

export const state = {
  ready: false,
  me: null,
  conversations: [], // the newest, a page at a time
  hasMoreConversations: false,
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
  editing: null, // a message id
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

export const characterName = (id) => findCharacter(id)?.name ?? "Somebody";

/** The characters of a conversation in order, without those that are no longer available. */
export function listMembers({ character_id, conversation_characters }) {
  const others = [...conversation_characters].sort((a, b) => a.position - b.position);
  const ids = new Set([character_id, ...others.map((row) => row.character_id)]);
  return [...ids].map(findCharacter).filter(Boolean);
}

/** The chosen model for requests; "" if none is chosen or the chosen one is closed. */
export function chosenModel() {
  const choice = choices(state).find(({ key }) => key === state.model);
  return choice && !choice.closed ? choice.key : "";
}
