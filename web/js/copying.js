// Copies a message, or a block of code in one.

import { UserError } from "./backend.js";
import { t } from "./language.js";
import { doing, set } from "./page.js";

export async function copy(text, done = t("The message was copied.")) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    throw new UserError(t("The browser does not allow copying. Select the text and copy it yourself."));
  }
  set({ said: done });
}

// The buttons are made by <rp-prose>, which knows nothing of the page.
addEventListener(
  "copycode",
  doing(({ detail }) => copy(detail, t("The code was copied."))),
);
