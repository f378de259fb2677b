// What the provider says, token by token: ordinary prose, because what reads a reply (screening,
// clean-up) takes longer over anything else.

const PROSE =
  "*She pulls the oilskin tighter and looks past you, to where the last of the light is going.* " +
  "There was a bell on that buoy once. My father hung it, and the first winter took it. " +
  '"You hear it anyway," she says, "if you stand here long enough." ' +
  "*The lamp turns above you, slow as breathing, and for a moment the whole bay is silver.* " +
  "Sit down before you fall down. The tea is hot, the bread is not, and the storm will be here " +
  "before either of us is asleep. Tell me what you saw on the stairs.";

const WORDS = PROSE.split(" ");

/** The nth token of every reply. */
export const token = (number) => (number ? " " : "") + WORDS[number % WORDS.length];

/** How much of a reply is there once its nth token is, for each of its tokens. */
export function lengths(tokens) {
  let length = 0;
  return Array.from({ length: tokens }, (_, number) => (length += token(number).length));
}
