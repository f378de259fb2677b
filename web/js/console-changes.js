// Compares a form's changes to a row with changes that others made meanwhile. Pure functions.

const isObject = (value) => typeof value === "object" && value !== null;

/** Whether two values are the same as JSON. The order of an object's keys does not count: databases sort them. */
export function isSame(one, other) {
  if (!isObject(one) || !isObject(other)) return one === other;
  const names = Object.keys(one);
  return (
    Array.isArray(one) === Array.isArray(other) &&
    names.length === Object.keys(other).length &&
    names.every((name) => Object.hasOwn(other, name) && isSame(one[name], other[name]))
  );
}

export const only = (row, names) => Object.fromEntries(names.map((name) => [name, row[name]]));

/** The names of what differs between two objects. */
export const differing = (one, other) =>
  [...new Set([...Object.keys(one), ...Object.keys(other)])].filter((name) => !isSame(one[name], other[name]));

/**
 * What makes of a row that is `now` what a change from `from` to `to` means: {changes, lost}. `lost` are the names of
 * what somebody else changed meanwhile. What is already as wanted is not lost: the answer to a first try may be.
 */
export function rebase(now, from, to) {
  const names = differing(from, to);
  const lost = names.filter((name) => !isSame(now[name], from[name]) && !isSame(now[name], to[name]));
  return { changes: only(to, names.filter((name) => !lost.includes(name))), lost };
}
