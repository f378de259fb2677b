// Sorts, filters and exports the rows of the console's tables. Pure functions.
//
// A column is {title, value: (row) => number, text, boolean or null}, with more for its looks.

const lower = (value) => String(value ?? "").toLowerCase();

/** The rows in which each of the words is in some column. */
export function matching(rows, columns, words) {
  const wanted = lower(words).split(/\s+/).filter(Boolean);
  if (!wanted.length) return rows;
  return rows.filter((row) => {
    const text = columns.map(({ value }) => lower(value?.(row))).join("\n");
    return wanted.every((word) => text.includes(word));
  });
}

/** Below zero if `a` comes first: numbers by size, texts by the alphabet. */
function compare(a, b) {
  if (typeof a === "number" && typeof b === "number") return a - b;
  return String(a).localeCompare(String(b), undefined, { numeric: true });
}

/** The rows in the order of a column; those without a value are last in both directions. */
export function sorted(rows, { value }, isDescending) {
  const valued = rows.map((row) => [value(row), row]);
  const has = ([found]) => found !== null && found !== undefined && found !== "";
  const order = valued.filter(has).sort(([a], [b]) => (isDescending ? compare(b, a) : compare(a, b)));
  return [...order, ...valued.filter((pair) => !has(pair))].map(([, row]) => row);
}

// Text that a spreadsheet would read as the beginning of a formula, even after spaces or as full-width characters.
const FORMULA = /^[\s\p{Cc}\uFEFF]*[=+\-@\t\r\n\uFF1D\uFF0B\uFF0D\uFF20]/u;

/** One value in a CSV file. A text that a spreadsheet could run gets an apostrophe before it. */
function cell(value) {
  if (value === null || value === undefined) return "";
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  const text = FORMULA.test(value) ? `'${value}` : String(value);
  return /[",;\t\r\n']/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** The rows as the text of a CSV file (RFC 4180, with a mark for UTF-8). */
export function csv(rows, columns) {
  const told = columns.filter(({ value }) => value);
  const lines = [told.map(({ title }) => title), ...rows.map((row) => told.map(({ value }) => value(row)))];
  return `\uFEFF${lines.map((line) => line.map(cell).join(",")).join("\r\n")}\r\n`;
}
