// Makes untrusted names and descriptions safe to show inside the pages' own sentences.

import { t } from "./language.js";

const NAME = 240;
const TURNING = /[\u061C\u200E\u200F\u202A-\u202E\u2066-\u2069]/g; // changes the direction of the text around it
const CONTROLS = /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}]+/gu;
const STACKED = /(\p{M}{4})\p{M}+/gu;
const SEEN = /[^\p{C}\p{Z}\p{M}\u115F\u1160\u2800\u3164\uFFA0]/u; // the letters listed are invisible

/** A name that can stand among the page's own words; "Somebody" if nothing of it is visible. */
export const legible = (name) => readable(name) || t("Somebody");

function readable(name) {
  const text = withoutMarks(name.slice(0, NAME)).trim();
  return SEEN.test(text) ? text : "";
}

/** A text without what turns its direction, ends its lines or covers others. */
export const withoutMarks = (text) => text.replace(TURNING, "").replace(CONTROLS, " ").replace(STACKED, "$1");

/** The beginning of somebody's text as one line. */
export function line(text) {
  return (readable(text) || t("(nothing visible)")) + (text.length > NAME ? "…" : "");
}

const CHARACTER = /\{\{\s*(?:char|bot)\s*\}\}|<(?:BOT|CHAR)>/gi;
const PERSON = /\{\{\s*user\s*\}\}|<USER>/gi;
// Any other macro. One that is inside another is found first.
const OTHER = /\{\{(?!\s*(?:char|bot|user)\s*\}\})(?:[^{}]|\{\{\s*(?:char|bot|user)\s*\}\})*\}\}/gi;
const NESTED = 4;

/** The beginning of a card's text, with its name macros expanded and without its other macros. */
export function excerpt(text, length, character, person) {
  // Cut before and after, because expanding macros makes a text longer.
  let named = text.slice(0, length);
  for (let level = 0; level < NESTED; level += 1) named = named.replace(OTHER, "");
  named = named.replace(CHARACTER, () => character).replace(PERSON, () => person);
  const whole = text.length <= length && named.length <= length;
  return whole ? named : `${named.slice(0, length)}…`;
}
