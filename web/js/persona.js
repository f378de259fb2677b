// The choice of the character that the person plays in the open conversation.

import { html } from "lit-html";
import { live } from "lit-html/directives/live.js";
import { changeConversation } from "./conversations.js";
import { t } from "./language.js";
import { doing, set } from "./page.js";
import { findCharacter } from "./state.js";

/** The characters that may be played: the person's own, and the one that is played already. */
function playable({ characters, me, conversation }) {
  const own = characters.filter(({ user_id }) => user_id === me.id);
  const played = findCharacter(conversation.user_character_id);
  return played && !own.includes(played) ? [played, ...own] : own;
}

export function personaChooser(state) {
  const chosen = state.conversation.user_character_id ?? "";
  const choose = doing(async ({ target }) => {
    await changeConversation(state.conversation.id, { user_character_id: target.value || null });
    set({ said: t("Saved.") });
  });
  return html`
    <label>${t("You play")}
      <select name="persona" .value=${live(chosen)} @change=${choose}>
        <option value="" ?selected=${!chosen}>${t("Yourself")}</option>
        ${playable(state).map(({ id, name }) => html`<option value=${id} ?selected=${id === chosen} dir="auto">${name}</option>`)}
      </select>
    </label>`;
}
