// Foreign texts where the pages speak themselves: names, titles, the beginnings of descriptions.

const NAME = 240;
const TURNING = /[\u061C\u200E\u200F\u202A-\u202E\u2066-\u2069]/g; // reverses the words around it
const CONTROLS = /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}]+/gu;
const STACKED = /(\p{M}{4})\p{M}+/gu;
const SEEN = /[^\p{C}\p{Z}\p{M}\u115F\u1160\u2800\u3164\uFFA0]/u; // of these letters nothing is seen

/** A name as it can stand among the page's own words; "Somebody" where nothing of it is seen. */
export function legible(name) {
  const text = name.slice(0, NAME).replace(TURNING, "").replace(CONTROLS, " ").replace(STACKED, "$1").trim();
  return SEEN.test(text) ? text : "Somebody";
}

/** The beginning of a text of a card, with the names that its macros stand for. */
export function excerpt(text, length, character, person) {
  // Cut before and after: each macro may become longer.
  const named = text
    .slice(0, length)
    .replace(/\{\{char\}\}|<BOT>/gi, () => character)
    .replace(/\{\{user\}\}|<USER>/gi, () => person);
  const whole = text.length <= length && named.length <= length;
  return whole ? named : `${named.slice(0, length)}…`;
}
