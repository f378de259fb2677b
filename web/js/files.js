// Files that the person chooses.

import { UserError } from "./backend.js";

/** The bytes of a file in base64. Throws `UserError` if it cannot be read. */
export async function inBase64(file) {
  const url = await new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(new UserError("The file cannot be read. Choose it again."));
    reader.readAsDataURL(file);
  });
  return url.slice(url.indexOf(",") + 1);
}
