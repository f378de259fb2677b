// Files that the person chooses, and files for the person.

import { UserError } from "./backend.js";
import { t } from "./language.js";

/** The bytes of a file in base64. Throws `UserError` if it cannot be read. */
export async function inBase64(file) {
  const url = await new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(new UserError(t("The file cannot be read. Choose it again.")));
    reader.readAsDataURL(file);
  });
  return url.slice(url.indexOf(",") + 1);
}

const MAX_TEXT_BYTES = 16 * 2 ** 20; // more than the service takes
const ENCODINGS = [
  [[0xff, 0xfe], "utf-16le"],
  [[0xfe, 0xff], "utf-16be"],
];
const NOT_TEXT = [
  [0x89, 0x50, 0x4e, 0x47], // PNG
  [0x50, 0x4b], // ZIP
];

/** The text of a file; null if it has none, such as a picture, or far too much. Throws `UserError` if it cannot be read. */
export async function textOf(file) {
  if (file.size > MAX_TEXT_BYTES) return null;
  const bytes = new Uint8Array(
    await file.arrayBuffer().catch(() => {
      throw new UserError(t("The file cannot be read. Choose it again."));
    }),
  );
  const begins = (start) => start.every((byte, at) => bytes[at] === byte);
  if (NOT_TEXT.some(begins)) return null;
  const [, encoding = "utf-8"] = ENCODINGS.find(([start]) => begins(start)) ?? [];
  return new TextDecoder(encoding).decode(bytes);
}

/** Gives the person a file to save. */
export function saveFile(name, blob) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}

/** A name for a file, from a name that somebody gave to something. */
export const fileName = (name, otherwise) => name.replace(/[^\p{L}\p{N} -]/gu, "").trim().slice(0, 100) || otherwise;
