// The settings of a conversation: title, persona, content, memory, author's note and generation.

import { html, nothing } from "../vendor/lit/lit-html.js";
import { live } from "../vendor/lit/directives/live.js";
import { exportChat, remove, rename } from "./conversation-actions.js";
import * as talks from "./conversations.js";
import { t } from "./language.js";
import { doing, openDialog } from "./page.js";
import { modal } from "./parts.js";
import { personaChooser } from "./persona.js";
import { showPersonas } from "./personas.js";
import { REACH, listMembers } from "./state.js";

export const SETTINGS_VIEWS = { settings, discard };

function settings(state) {
  const { conversation } = state;
  const change = (changes) => doing(() => talks.changeConversation(changes));
  return modal("Settings", html`
    <section>
      <label>Title
        <input maxlength="200" dir="auto" .value=${conversation.title} placeholder="Untitled"
          @change=${({ target }) => doing(() => rename(conversation.id, target.value.trim()))()} />
      </label>
      ${personaChooser(state)}
      <button @click=${doing(showPersonas)}>${t("Your personas")}</button>
    </section>
    <section>
      <h3>Content</h3>
      ${tier(state)}
    </section>
    <section>
      <h3>Memory</h3>
      <label class="check">
        <input type="checkbox" .checked=${live(conversation.remembers)}
          @change=${({ target }) => change({ remembers: target.checked })()} />
        Remember what happens here
      </label>
      <label>New facts may be noted for
        <select @change=${({ target }) => talks.chooseReach(target.value)}>
          ${Object.entries(REACH).map(([tier, text]) => html`<option value=${tier} ?selected=${tier === state.reach}>${text}</option>`)}
        </select>
      </label>
    </section>
    ${noteForm(state.dialog.kept)}
    ${samplingForm(state.dialog.kept.sampling)}
    <section>
      <button @click=${doing(() => exportChat(conversation))}>${t("Export the chat")}</button>
      <button class="danger" @click=${() => openDialog("discard")}>Delete this conversation</button>
    </section>`, state);
}

const ROLES = { system: "an instruction", user: "your words", assistant: "the character's words" };

function noteForm(kept) {
  const change = (changes) => doing(() => talks.keepSettings(changes))();
  return html`
    <section>
      <h3>Author's note</h3>
      <label>Text about the story that every reply keeps in mind
        <textarea name="note" rows="4" maxlength="8000" dir="auto" .value=${kept.note}
          @change=${({ target }) => change({ note: target.value.trim() })}></textarea>
      </label>
      <label>How many messages stand after it
        <input name="depth" type="number" min="0" max="1000" .value=${String(kept.note_depth)}
          @change=${({ target }) => target.reportValidity() && change({ note_depth: target.valueAsNumber || 0 })} />
      </label>
      <label>Read as
        <select name="role" @change=${({ target }) => change({ note_role: target.value })}>
          ${Object.entries(ROLES).map(([role, name]) => html`<option value=${role} ?selected=${role === kept.note_role}>${name}</option>`)}
        </select>
      </label>
    </section>`;
}

const SAMPLING = {
  temperature: "Temperature",
  top_p: "Top P",
  top_k: "Top K",
  min_p: "Min P",
  frequency_penalty: "Frequency penalty",
  presence_penalty: "Presence penalty",
  repetition_penalty: "Repetition penalty",
  max_tokens: "Longest reply, in tokens",
};

function samplingForm(sampling) {
  const change = (name) => ({ target }) => {
    const value = target.value === "" ? null : target.valueAsNumber;
    doing(() => talks.keepSampling(name, value))();
  };
  return html`
    <section>
      <details>
        <summary>Sampler settings</summary>
        <p class="quiet">Empty ones are the model's own. Each model keeps them within its bounds.</p>
        ${Object.entries(SAMPLING).map(([name, text]) => html`
          <label>${text}
            <input name=${name} type="number" step="any" .value=${String(sampling[name] ?? "")} @change=${change(name)} />
          </label>`)}
      </details>
    </section>`;
}

function tier(state) {
  const { ageVerified } = state.me;
  const members = listMembers(state.conversation);
  const who = members.length > 1 ? "Every character" : "The character";
  const locked = state.conversation.content_tier === "sfw";
  const needs = [
    [ageVerified, "Your age is verified. The operators of this site do this: ask them for the age check."],
    [members.length > 0 && members.every((each) => each.content_rating === "nsfw"), `${who} is rated for adults by its author.`],
    [members.every((each) => each.age >= 18), `${who} has a stated age of 18 or more.`],
    [!locked, "The conversation is not set to a general audience."],
    [!state.conversation.always_sfw, "No character with a stated age below 18 was ever part of the conversation."],
  ];
  const open = needs.every(([met]) => met);
  return html`
    <label>Written for
      <select .value=${live(open ? state.tier : "sfw")} ?disabled=${!open}
        aria-describedby="needs" @change=${({ target }) => talks.chooseTier(target.value)}>
        <option value="sfw">A general audience</option>
        <option value="nsfw">Adults</option>
      </select>
    </label>
    <div id="needs">
      <p class="quiet">${open ? "Both are available here." : "Adult themes require all of these:"}</p>
      ${open ? nothing : html`<ul class="needs">
        ${needs.map(([met, text]) => html`<li data-met=${met}>${met ? "Met" : "Missing"}: ${text}</li>`)}
      </ul>`}
    </div>
    <label class="check">
      <input type="checkbox" .checked=${live(locked)}
        @change=${({ target }) =>
          doing(() => talks.changeConversation({ content_tier: target.checked ? "sfw" : null }))()} />
      Always keep this conversation for a general audience
    </label>`;
}

function discard(state) {
  return modal(t("Delete the conversation"), html`
    <p>${t("It leaves your list. You can restore it from the deleted conversations for a while.")}</p>
    <div class="choices">
      <button class="danger" @click=${doing(() => remove(state.conversation))}>${t("Delete the conversation")}</button>
    </div>`, state);
}
