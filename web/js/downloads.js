// Files that the page makes for the person.

/** Offers a file to save. */
export function saveFile(name, blob) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}

/** A name for a file, from a name that somebody gave to something. */
export const fileName = (name, otherwise) => name.replace(/[^\p{L}\p{N} -]/gu, "").trim().slice(0, 100) || otherwise;
