// Splits hostile text into sections that are cheap to draw. Pure functions.
//
// Markdown parsers recurse on nesting and take quadratic time on unmatched markers. So each section
// is short, its cost is estimated before it is parsed, and a section that would cost too much
// becomes plain text. While a reply grows, only its last section changes.

const SMALL = 600; // a section ends at the first blank line after this many characters,
const LARGE = 4000; // or after this many
const NESTING = 16;
export const WORK = 4_000_000; // limit for all parsed sections of a text, about 0.1 s
const SECTION_WORK = 2_000_000; // limit for one, parsed again for each piece of a reply
const ELEMENT = 800; // cost of an element in the same unit
export const DRAW_WORK = 40_000_000; // limit for all texts that are drawn at once, about 1 s

const LINES = /(?<=\n)/;
const FENCE = /^ {0,3}(`{3,}|~{3,})/;
const LEAD = /^(?:[ \t]*(?:>|(?:[-+*]|\d{1,9}[.)])(?=\s|$)))+/;
const LEVELS = /[>*+.)-]/g;
const MARKERS = /[*_~`[\]<>|&\\!@:]/g;

/**
 * The sections of `text`: [{end, text, plain, work, fence}]. `plain` sections are not parsed as
 * Markdown. `before` are the sections of the beginning of the text; all but the last are kept.
 * `most` limits the work of the others.
 */
export function sections(text, before = [], most = WORK) {
  const found = before.slice(0, -1);
  let { end, fence } = found.at(-1) ?? { end: 0, fence: "" };
  let left = Math.min(most, WORK - parsedWork(found));
  while (end < text.length) {
    const section = next(text, end, fence);
    section.plain = fence !== "" || section.work > Math.min(left, SECTION_WORK);
    if (!section.plain) left -= section.work;
    found.push(section);
    ({ end, fence } = section);
  }
  return found;
}

/** The work of parsing the sections that are not plain. */
export const parsedWork = (some) => some.reduce((sum, { plain, work }) => (plain ? sum : sum + work), 0);

function next(text, start, openFence) {
  const window = text.slice(start, start + LARGE);
  const { length, fence } = firstSection(window, openFence, start + LARGE < text.length);
  const part = window.slice(0, length);
  return { end: start + length, text: part, fence, work: estimateWork(part) };
}

/** The length of the first section of `window`, and the code fence that is open at its end. */
function firstSection(window, openFence, more) {
  const limit = more ? cut(window) : window.length;
  let [length, fence, gap] = [0, openFence, false];
  for (const line of window.slice(0, limit).split(LINES)) {
    // An indented line may belong to a list above the gap.
    if (gap && !fence && length >= SMALL && /^\S/.test(line)) break;
    fence = fenceAfter(line, fence);
    gap = !line.trim();
    length += line.length;
  }
  return { length, fence };
}

/** Where to cut a text that continues: after a line, else after a word, never inside a character. */
function cut(window) {
  for (const separator of ["\n", " "]) {
    const end = window.lastIndexOf(separator) + 1;
    if (end > SMALL) return end;
  }
  return /[\uD800-\uDBFF]$/.test(window) ? window.length - 1 : window.length;
}

function fenceAfter(line, open) {
  const [, fence = ""] = FENCE.exec(line) ?? [];
  if (!open) return fence;
  const closes = fence[0] === open[0] && fence.length >= open.length && line.trim() === fence;
  return closes ? "" : open;
}

/** An upper bound of the work of parsing a section; Infinity if it is nested too deeply. */
function estimateWork(text) {
  const lines = text.split(/\r\n?|\n/);
  const levels = lines.map((line) => count(LEAD.exec(line)?.[0] ?? "", LEVELS));
  if (levels.some((level) => level > NESTING)) return Infinity;
  // Every row of a table gets as many cells as its header, even if the row is short.
  const columns = lines.reduce((most, line) => Math.max(most, count(line, /\|/g)), 1);
  const elements = lines.length * columns + levels.reduce((sum, level) => sum + level, 0);
  return count(text, MARKERS) * text.length + ELEMENT * elements;
}

const count = (text, pattern) => text.match(pattern)?.length ?? 0;
