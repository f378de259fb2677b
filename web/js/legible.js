// Makes untrusted names and descriptions safe to show inside the pages' own sentences.

const NAME = 240;
const TURNING = /[\u061C\u200E\u200F\u202A-\u202E\u2066-\u2069]/g; // changes the direction of the text around it
const CONTROLS = /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}]+/gu;
const STACKED = /(\p{M}{4})\p{M}+/gu;
const SEEN = /[^\p{C}\p{Z}\p{M}\u115F\u1160\u2800\u3164\uFFA0]/u; // the letters listed are invisible

/** A name that can stand among the page's own words; "Somebody" if nothing of it is visible. */
export const legible = (name) => readable(name) || "Somebody";

function readable(name) {
  const text = name.slice(0, NAME).replace(TURNING, "").replace(CONTROLS, " ").replace(STACKED, "$1").trim();
  return SEEN.test(text) ? text : "";
}

/** The beginning of somebody's text as one line. */
export function line(text) {
  return (readable(text) || "(nothing visible)") + (text.length > NAME ? "…" : "");
}

/** The beginning of a card's text, with its name macros expanded. */
export function excerpt(text, length, character, person) {
  // Cut before and after, because expanding macros makes a text longer.
  const named = text
    .slice(0, length)
    .replace(/\{\{char\}\}|<BOT>/gi, () => character)
    .replace(/\{\{user\}\}|<USER>/gi, () => person);
  const whole = text.length <= length && named.length <= length;
  return whole ? named : `${named.slice(0, length)}…`;
}
