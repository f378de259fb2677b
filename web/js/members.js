// Adds characters to the open conversation, and removes them.

import { data, supabase } from "./backend.js";
import { reread } from "./conversations.js";
import { t } from "./language.js";
import { set } from "./page.js";
import { listMembers, state } from "./state.js";
import { isOpen } from "./whereabouts.js";

const FURTHER = 8; // most characters besides the first

/** Whether another character can join the open conversation. */
export const hasRoom = () => state.conversation.conversation_characters.length < FURTHER;

export async function addCharacter(character) {
  const { id, conversation_characters } = state.conversation;
  const taken = conversation_characters.map(({ position }) => position);
  // The position after the last one, or a free one if the last is taken.
  const last = Math.max(-1, ...taken);
  const places = Array.from({ length: FURTHER }, (_, index) => (last + 1 + index) % FURTHER);
  const position = places.find((place) => !taken.includes(place));
  await data(
    supabase.from("conversation_characters").insert({ conversation_id: id, character_id: character.id, position }),
  );
  set({ said: t("{name} has joined.", { name: character.name }) });
  await reread(id);
}

export async function removeCharacter(character) {
  const { id } = state.conversation;
  await data(
    supabase.from("conversation_characters").delete().match({ conversation_id: id, character_id: character.id }),
  );
  set({ said: t("{name} has left.", { name: character.name }), ...(isOpen(id) ? { speaker: "" } : {}) });
  await reread(id);
}

/** The characters that are not in the open conversation. */
export function strangers() {
  const members = listMembers(state.conversation);
  return state.characters.filter((character) => !members.includes(character));
}
