// The settings of a conversation: title, persona, content, memory, author's note and generation.

import { html, nothing } from "lit-html";
import { live } from "lit-html/directives/live.js";
import { exportChat, remove, rename } from "./conversation-actions.js";
import * as settingsOf from "./conversation-settings.js";
import { changeConversation } from "./conversations.js";
import { t } from "./language.js";
import { doing } from "./page.js";
import { modal } from "./parts.js";
import { personaChooser } from "./persona.js";
import { showPersonas } from "./personas.js";
import { SCENE, changeScene, sceneFields } from "./scene.js";
import { REACH, listMembers } from "./state.js";
import { openAbout } from "./whereabouts.js";

export const SETTINGS_VIEWS = { settings, discard };

function settings(state) {
  const { conversation } = state;
  const change = (changes) => doing(() => changeConversation(conversation.id, changes));
  return modal(t("Settings"), html`
    <section>
      <label>${t("Title")}
        <input maxlength="200" dir="auto" .value=${conversation.title} placeholder=${t("Untitled")}
          @change=${({ target }) => doing(() => rename(conversation.id, target.value.trim()))()} />
      </label>
      ${personaChooser(state)}
      <button @click=${doing(showPersonas)}>${t("Your personas")}</button>
    </section>
    <section>
      <h3>${t("Content")}</h3>
      ${tier(state)}
    </section>
    <section>
      <h3>${t("Memory")}</h3>
      <label class="check">
        <input type="checkbox" .checked=${live(conversation.remembers)}
          @change=${({ target }) => change({ remembers: target.checked })()} />
        ${t("Remember what happens here")}
      </label>
      <label>${t("Facts are noted and used for")}
        <select @change=${({ target }) => settingsOf.chooseReach(target.value)}>
          ${Object.entries(REACH).map(([tier, text]) => html`<option value=${tier} ?selected=${tier === state.reach}>${text}</option>`)}
        </select>
      </label>
    </section>
    ${noteForm(conversation.id, state.dialog.kept)}
    ${sceneForm(conversation.id)}
    ${samplingForm(conversation.id, state.dialog.kept.sampling)}
    <section>
      <button @click=${doing(() => exportChat(conversation))}>${t("Export the chat")}</button>
      <button class="danger" @click=${() => openAbout("discard")}>${t("Delete this conversation")}</button>
    </section>`, state);
}

const ROLES = { system: t("an instruction"), user: t("your words"), assistant: t("the character's words") };

// A field that somebody leaves by leaving its conversation tells of its change afterwards: so each knows the id.
function noteForm(id, kept) {
  const change = (changes) => doing(() => settingsOf.keepSettings(id, changes))();
  return html`
    <section>
      <h3>${t("Author's note")}</h3>
      <label>${t("Text about the story that every reply keeps in mind")}
        <textarea name="note" rows="4" maxlength="8000" dir="auto" .value=${kept.note}
          @change=${({ target }) => change({ note: target.value.trim() })}></textarea>
      </label>
      <label>${t("How many messages follow it")}
        <input name="depth" type="number" min="0" max="1000" .value=${String(kept.note_depth)}
          @change=${({ target }) => target.reportValidity() && change({ note_depth: target.valueAsNumber || 0 })} />
      </label>
      <label>${t("Read as")}
        <select name="role" @change=${({ target }) => change({ note_role: target.value })}>
          ${Object.entries(ROLES).map(([role, name]) => html`<option value=${role} ?selected=${role === kept.note_role}>${name}</option>`)}
        </select>
      </label>
    </section>`;
}

const SCENE_LABELS = {
  scene_name: t("Name of the scene"),
  scene_description: t("Where it takes place"),
  scene_context: t("What happens in it"),
  user_role: t("Who you are in it"),
};

function sceneForm(id) {
  const kept = sceneFields(id);
  return html`
    <section>
      <details>
        <summary>${t("Scene")}</summary>
        <p class="quiet">${t("It goes along with each message. It is kept on this device until you sign out.")}</p>
        ${Object.entries(SCENE).map(([name, longest]) => html`
          <label>${SCENE_LABELS[name]}
            <textarea name=${name} rows="2" maxlength=${longest} dir="auto" .value=${kept[name] ?? ""}
              @change=${({ target }) => changeScene(id, name, target.value.trim())}></textarea>
          </label>`)}
      </details>
    </section>`;
}

const SAMPLING = {
  temperature: t("Temperature"),
  top_p: t("Top P"),
  top_k: t("Top K"),
  min_p: t("Min P"),
  frequency_penalty: t("Frequency penalty"),
  presence_penalty: t("Presence penalty"),
  repetition_penalty: t("Repetition penalty"),
  max_tokens: t("Longest reply, in tokens"),
};

function samplingForm(id, sampling) {
  const change = (name) => ({ target }) => {
    const value = target.value === "" ? null : target.valueAsNumber;
    doing(() => settingsOf.keepSampling(id, sampling, name, value))();
  };
  return html`
    <section>
      <details>
        <summary>${t("Sampler settings")}</summary>
        <p class="quiet">${t("Leave a field empty to use the model's default. Values outside a model's limits are adjusted.")}</p>
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
  const several = members.length > 1;
  const locked = state.conversation.content_tier === "sfw";
  const needs = [
    [ageVerified, t("Your age is verified. The operators of this site do this: ask them for the age check.")],
    [members.length > 0 && members.every((each) => each.content_rating === "nsfw"), several ? t("Every character is rated for adults by its author.") : t("The character is rated for adults by its author.")],
    [members.every((each) => each.age >= 18), several ? t("Every character has a stated age of 18 or more.") : t("The character has a stated age of 18 or more.")],
    [!locked, t("The conversation is not set to a general audience.")],
    [!state.conversation.always_sfw, t("No character with a stated age below 18 was ever part of the conversation.")],
  ];
  const open = needs.every(([met]) => met);
  return html`
    <label>${t("Written for")}
      <select .value=${live(open ? state.tier : "sfw")} ?disabled=${!open}
        aria-describedby="needs" @change=${({ target }) => settingsOf.chooseTier(target.value)}>
        <option value="sfw">${t("A general audience")}</option>
        <option value="nsfw">${t("Adults")}</option>
      </select>
    </label>
    <div id="needs">
      <p class="quiet">${open ? t("Both are available here.") : t("Adult themes require all of these:")}</p>
      ${open ? nothing : html`<ul class="needs">
        ${needs.map(([met, text]) => html`<li data-met=${met}>${met ? t("Met") : t("Missing")}: ${text}</li>`)}
      </ul>`}
    </div>
    <label class="check">
      <input type="checkbox" .checked=${live(locked)}
        @change=${({ target }) =>
          doing(() => changeConversation(state.conversation.id, { content_tier: target.checked ? "sfw" : null }))()} />
      ${t("Always keep this conversation for a general audience")}
    </label>`;
}

function discard(state) {
  return modal(t("Delete the conversation"), html`
    <p>${t("It leaves your list. You can restore it from the deleted conversations for a while.")}</p>
    <div class="choices">
      <button class="danger" @click=${doing(() => remove(state.conversation))}>${t("Delete the conversation")}</button>
    </div>`, state);
}
