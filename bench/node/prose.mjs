// The provider's replies, token by token. They are ordinary prose, because screening and filtering
// a reply take longer for anything else.

const PROSE =
  "*She pulls the oilskin tighter and looks past you, to where the last of the light is going.* " +
  "There was a bell on that buoy once. My father hung it, and the first winter took it. " +
  '"You hear it anyway," she says, "if you stand here long enough." ' +
  "*The lamp turns above you, slow as breathing, and for a moment the whole bay is silver.* " +
  "Sit down before you fall down. The tea is hot, the bread is not, and the storm will be here " +
  "before either of us is asleep. Tell me what you saw on the stairs.";

const WORDS = PROSE.split(" ");

// Words that change from reply to reply and from round to round of the prose: a reply that is the
// same as the last would be asked for again, and one that repeats itself would be cut.
const VERBS = ["pulls", "draws", "holds", "wraps", "grips", "hauls", "lifts", "turns", "takes"];
const THINGS = ["oilskin", "blanket", "sweater", "curtain", "bandage"];

/** The nth token of a reply; all replies have tokens of the same length. */
export function token(number, reply = 0) {
  const round = Math.floor(number / WORDS.length);
  const place = number % WORDS.length;
  let word = WORDS[place];
  if (place === 1) word = VERBS[(reply + round) % VERBS.length];
  if (place === 3) word = THINGS[Math.floor(reply / VERBS.length + round) % THINGS.length];
  return (number ? " " : "") + word;
}

/** The length of a reply after each of its tokens. */
export function lengths(tokens) {
  let length = 0;
  return Array.from({ length: tokens }, (_, number) => (length += token(number).length));
}
