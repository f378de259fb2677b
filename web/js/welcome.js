// What a first visit says: what this is, and what is kept.

import { html } from "lit-html";
import { t } from "./language.js";

export const introduction = html`
  <section class="introduction" aria-label=${t("What this is")}>
    <p>${t("Talk with fictional characters and tell a story together. A language model writes what they say.")}</p>
    <blockquote>
      <p><b>${t("You")}</b> ${t("I knock on the door of the lighthouse.")}</p>
      <p><b>${t("Keeper")}</b> <em>${t("The bolt slides back.")}</em> ${t("You are late. The tide will not wait for us.")}</p>
    </blockquote>
    <details>
      <summary>${t("What is kept")}</summary>
      <ul>
        <li>${t("Your account, conversations, characters and what characters remember are saved on the server, so that you find them on every device. You can change and delete them.")}</li>
        <li>${t("To write a reply, the last messages are sent to the model that you choose, which another company may run.")}</li>
        <li>${t("Messages that are not sent yet stay on this device until you send them or sign out; the theme and the text size stay here too.")}</li>
      </ul>
    </details>
  </section>`;
