// Copies a message, or a block of code in one.

import { UserError } from "./backend.js";
import { doing, set } from "./page.js";

export async function copy(text, what = "The message") {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    throw new UserError("The browser does not allow copying. Select the text and copy it yourself.");
  }
  set({ said: `${what} was copied.` });
}

// The buttons are made by <rp-prose>, which knows nothing of the page.
addEventListener(
  "copycode",
  doing(({ detail }) => copy(detail, "The code")),
);
