// Reading long tables a page at a time. Pure functions.
//
// A page begins after the last row of the one before: numbers of rows change while somebody reads.

const quoted = (value) => `"${String(value).replace(/[\\"]/g, "\\$&")}"`;

/** A Data API filter (`or`) for the rows that follow `row` by `column`, and by id where it is the same. */
export function after(row, column, isAscending) {
  const operator = isAscending ? "gt" : "lt";
  const value = quoted(row[column]);
  return `${column}.${operator}.${value},and(${column}.eq.${value},id.${operator}.${quoted(row.id)})`;
}

/**
 * The rows of a page that has whole positions only, and whether there may be more rows. `rows` are in
 * order of position and at most `limit`, so the last position may continue on the next page.
 */
export function wholePositions(rows, limit) {
  if (rows.length < limit) return { rows, more: false };
  const last = rows.at(-1).position;
  const whole = rows.filter(({ position }) => position !== last);
  return { rows: whole.length ? whole : rows, more: true };
}

/** `list` with the first page of it as it is now: rows that left the page's range are dropped. */
export function withFirstPage(list, page, isWhole, isBefore) {
  if (isWhole) return page;
  const ids = new Set(page.map(({ id }) => id));
  const last = page.at(-1);
  return [...page, ...list.filter((row) => !ids.has(row.id) && !isBefore(row, last))];
}
