// The chat's state, and what follows from it. Nothing here draws or asks.

import { choices } from "./availability.js";

export const MESSAGES = 200;

export const state = {
  ready: false,
  me: null,
  conversations: [],
  characters: [],
  companions: [], // names of who is in the conversations, also of characters that the person does not find
  models: [],
  cooldowns: [], // until when models are not asked
  health: null,
  conversation: null, // the open one
  messages: [], // of all versions, in order
  answers: new Map(), // which model wrote a reply, and its notice, by message id
  shown: MESSAGES,
  turn: null, // {body, at, text, note, speaker} while a reply is written
  trouble: null, // {sentence, code, body} of what went wrong last
  notice: "", // what else the person should know
  editing: null, // a message id
  draft: "",
  dialog: null, // {name, ...}
  memory: null,
  menu: false,
  said: "", // for screen readers
  model: localStorage.getItem("model") ?? "",
  speaker: "", // who is to answer where several could; "": whoever is meant
  tier: "sfw",
  reach: localStorage.getItem("reach") ?? "conversation",
};

/** The active messages of the conversation with their versions: [{message, versions}] in order. */
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

/** A character; of one that the person does not find, but talks with, the name alone. */
export const characterOf = (id) =>
  state.characters.find((character) => character.id === id) ?? companion(id);

function companion(id) {
  const known = state.companions.find(({ character_id }) => character_id === id);
  return known && { id, name: known.name, description: "", first_message: "", alternate_greetings: [] };
}

export const nameOf = (id) => characterOf(id)?.name ?? "Somebody";

/** The characters of a conversation, the first one first; those whom the person may not meet are left out. */
export function membersOf({ character_id, conversation_characters }) {
  const others = [...conversation_characters].sort((a, b) => a.position - b.position);
  const ids = new Set([character_id, ...others.map((row) => row.character_id)]);
  return [...ids].map(characterOf).filter(Boolean);
}

/** The model that requests name: the one that was chosen, "" where that is none or cannot be had. */
export function chosenModel() {
  const choice = choices(state).find(({ key }) => key === state.model);
  return choice && !choice.closed ? choice.key : "";
}
