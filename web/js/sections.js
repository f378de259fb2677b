// Splits hostile text into sections that are cheap to draw. Nothing here draws or asks.
//
// Markdown parsers recurse with nesting and take quadratic time for unmatched markers. So each
// section is short, its cost is estimated before it is parsed, and what would cost too much is
// plain text. While a reply grows, only its last section changes.

const SMALL = 600; // a section ends at the first gap after so many characters,
const LARGE = 4000; // at the latest after so many
const NESTING = 16;
export const WORK = 4_000_000; // of all parsed sections of a text, about 0.1 s;
export const SECTION_WORK = 2_000_000; // of one, which is parsed anew for each piece of a reply
const ELEMENT = 800; // what an element costs, in the same unit

const LINES = /(?<=\n)/;
const FENCE = /^ {0,3}(`{3,}|~{3,})/;
const LEAD = /^(?:[ \t]*(?:>|(?:[-+*]|\d{1,9}[.)])(?=\s|$)))+/;
const LEVELS = /[>*+.)-]/g;
const MARKERS = /[*_~`[\]<>|&\\!@:]/g;

/**
 * The sections of `text`: [{end, text, plain, work, fence}], `plain` where Markdown is not parsed.
 * `before` are the sections of a beginning of the text; all but the last of them stay as they are.
 * `most`: the work that the others may take.
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

/** What it takes to parse those of the sections that are parsed. */
export const parsedWork = (some) => some.reduce((sum, { plain, work }) => (plain ? sum : sum + work), 0);

function next(text, start, openFence) {
  const window = text.slice(start, start + LARGE);
  const { length, fence } = firstSection(window, openFence, start + LARGE < text.length);
  const part = window.slice(0, length);
  return { end: start + length, text: part, fence, work: workOf(part) };
}

/** How long the first section of `window` is, and the code fence that is open where it ends. */
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

/** Where a text that goes on is cut: after a line, else after a word, never within a character. */
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

/** An upper estimate of the work that Markdown makes of a section, Infinity for too deep nesting. */
function workOf(text) {
  const lines = text.split(/\r\n?|\n/);
  const levels = lines.map((line) => count(LEAD.exec(line)?.[0] ?? "", LEVELS));
  if (levels.some((level) => level > NESTING)) return Infinity;
  // A row of a table has as many cells as its head, however short the row is.
  const columns = lines.reduce((most, line) => Math.max(most, count(line, /\|/g)), 1);
  const elements = lines.length * columns + levels.reduce((sum, level) => sum + level, 0);
  return count(text, MARKERS) * text.length + ELEMENT * elements;
}

const count = (text, pattern) => text.match(pattern)?.length ?? 0;
