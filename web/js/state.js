// The chat's state and what is derived from it.

import { choices } from "./availability.js";

export const MESSAGES = 200;

export const state = {
  ready: false,
  me: null,
  conversations: [],
  characters: [],
  companions: [], // names of all characters in the conversations, including ones the person cannot see
  models: [],
  cooldowns: [], // until when models are on cooldown
  workers: [], // {name, display_name, health}
  conversation: null, // the open one
  messages: [], // all versions, in order
  hidden: new Set(), // positions of messages that models do not read
  answers: new Map(), // the turn of each reply (its model, its notice) by message id
  shown: MESSAGES,
  turn: null, // the running turn: {body, at, text, note, speaker}
  trouble: null, // the last error: {sentence, code, body}
  notice: "", // a sentence about the last reply
  editing: null, // a message id
  draft: "",
  dialog: null, // {name, ...}
  memory: null,
  menu: false,
  said: "", // for screen readers
  model: localStorage.getItem("model") ?? "",
  speaker: "", // id of the character who should answer in a group; "": roleplay_chat chooses
  tier: "sfw",
  reach: localStorage.getItem("reach") ?? "conversation",
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
  state.characters.find((character) => character.id === id) ?? companion(id);

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
