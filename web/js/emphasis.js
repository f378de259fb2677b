// Emphasis in scripts that are written without spaces. Pure functions.
//
// Markdown decides by the characters on both sides whether `*` opens or closes: closing after
// punctuation needs a space or punctuation behind it. In Chinese, Japanese and Korean none is there:
// "**重要：**请看". So punctuation beside such a script counts as a letter.

const SCRIPT = String.raw`[\p{sc=Han}\p{sc=Hiragana}\p{sc=Katakana}\p{sc=Hangul}\p{sc=Bopomofo}]`;
const WIDE = String.raw`[\u3001-\u303F\uFE10-\uFE1F\uFE30-\uFE6F\uFF01-\uFF0F\uFF1A-\uFF20\uFF3B-\uFF40\uFF5B-\uFF65\uFFE0-\uFFE6]`;
const QUOTES = String.raw`[\u2014\u2018-\u201F\u2026\u00B7]`; // that Chinese shares with other scripts
const MARKS = String.raw`(?![*_~])[\p{P}\p{S}]`;
const TOGETHER = `(?:${SCRIPT}|${WIDE})`;

const AS_LETTERS = new RegExp(
  `${WIDE}|${QUOTES}|${MARKS}(?=\\*+${TOGETHER})|(?<=${TOGETHER}\\*+)${MARKS}`,
  "gu",
);
const BESIDE = new RegExp(`^(?:${TOGETHER}|${QUOTES})$`, "u");

let last = { text: null, letters: null };

/** `text` of the same length, with letters in place of such punctuation. */
export function withLetters(text) {
  // A parser asks for the same text at each of its markers.
  if (last.text !== text) last = { text, letters: text.replace(AS_LETTERS, (mark) => "x".repeat(mark.length)) };
  return last.letters;
}

/** Whether a character is one beside which `*` may open. */
export const isBeside = (character) => BESIDE.test(character);
