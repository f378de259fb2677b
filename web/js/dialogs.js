// The chat's dialogs.

import { html, nothing } from "../vendor/lit/lit-html.js";
import { live } from "../vendor/lit/directives/live.js";
import { repeat } from "../vendor/lit/directives/repeat.js";
import * as chat from "./chat.js";
import { modal } from "./parts.js";

const { doing } = chat;
const close = () => chat.set({ dialog: null });
const VIEWS = { memory, settings, delete: deletion, discard, imported };

export function dialog(state) {
  return state.dialog ? VIEWS[state.dialog.name](state) : nothing;
}

// --- memory ---------------------------------------------------------------------------------

const REACH = {
  conversation: "this conversation",
  character: "everything with this character",
  profile: "all my conversations",
};

function memory(state) {
  const { summary, facts } = state.memory;
  const add = doing(async (event) => {
    event.preventDefault();
    const { content, tier } = event.target.elements;
    await chat.addFact(content.value.trim(), tier.value);
    content.value = "";
  });
  return modal("Memory", html`
    <section>
      <h3>So far</h3>
      ${summary
        ? html`<p>${summary}</p><button @click=${doing(chat.forgetSummary)}>Forget this summary</button>`
        : html`<p class="quiet">Nothing is retold yet. A summary is written when a conversation grows longer than a model can read.</p>`}
    </section>
    <section>
      <h3>Facts</h3>
      ${facts.length ? nothing : html`<p class="quiet">No facts are noted.</p>`}
      <ul class="facts">
        ${repeat(facts, ({ id }) => id, (fact) => html`
          <li>
            <span>${fact.content}
              <small>${REACH[fact.memories.tier]}${fact.written_by === "model" ? " · noted by a model" : ""}</small></span>
            <button aria-pressed=${fact.pinned} @click=${doing(() => chat.pinFact(fact))}>
              ${fact.pinned ? "Pinned" : "Pin"}</button>
            <button aria-label=${`Forget: ${fact.content}`} @click=${doing(() => chat.forgetFact(fact))}>Forget</button>
          </li>`)}
      </ul>
      <form class="add" @submit=${add}>
        <label>A fact to remember <input name="content" maxlength="2000" required /></label>
        <label>In <select name="tier">${reaches("conversation", state)}</select></label>
        <button class="primary">Add</button>
      </form>
    </section>`, close);
}

const reaches = (chosen, state) =>
  Object.entries(REACH)
    .filter(([tier]) => tier !== "character" || state.conversation.character_id)
    .map(([tier, text]) => html`<option value=${tier} ?selected=${tier === chosen}>${text}</option>`);

// --- settings of a conversation -------------------------------------------------------------

function settings(state) {
  const { conversation } = state;
  const change = (changes) => doing(() => chat.changeConversation(changes));
  return modal("Settings", html`
    <section>
      <label>Title
        <input maxlength="200" .value=${conversation.title} placeholder="Untitled"
          @change=${({ target }) => change({ title: target.value.trim() })()} />
      </label>
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
        <select @change=${({ target }) => chat.chooseReach(target.value)}>${reaches(state.reach, state)}</select>
      </label>
    </section>
    <section>
      <button class="danger" @click=${() => chat.set({ dialog: { name: "discard" } })}>Delete this conversation</button>
    </section>`, close);
}

function tier(state) {
  const { ageVerified } = state.me;
  const character = chat.characterOf(state.conversation.character_id);
  const locked = state.conversation.content_tier === "sfw";
  const needs = [
    [ageVerified, "Your age is verified. This is done by the operators of this site, not here: ask them for the age check."],
    [character?.content_rating === "nsfw", "The character is rated for adults by its author."],
    [character?.age >= 18, "The character has a stated age of 18 or more."],
    [!locked, "The conversation is not kept for a general audience."],
  ];
  const open = needs.every(([met]) => met);
  return html`
    <label>Written for
      <select .value=${live(open ? state.tier : "sfw")} ?disabled=${!open}
        aria-describedby="needs" @change=${({ target }) => chat.chooseTier(target.value)}>
        <option value="sfw">A general audience</option>
        <option value="nsfw">Adults</option>
      </select>
    </label>
    <div id="needs">
      <p class="quiet">${open ? "Both are open here." : "Adult themes need all of these:"}</p>
      ${open ? nothing : html`<ul class="needs">
        ${needs.map(([met, text]) => html`<li data-met=${met}>${met ? "Met" : "Missing"}: ${text}</li>`)}
      </ul>`}
    </div>
    <label class="check">
      <input type="checkbox" .checked=${live(locked)}
        @change=${({ target }) =>
          doing(() => chat.changeConversation({ content_tier: target.checked ? "sfw" : null }))()} />
      Always keep this conversation for a general audience
    </label>`;
}

// --- questions ------------------------------------------------------------------------------

function deletion(state) {
  const { message } = state.dialog;
  return modal("Delete", html`
    <p>What is deleted is gone, with all its versions.</p>
    <div class="choices">
      <button class="danger" @click=${doing(() => chat.remove(message, false))}>Delete this message</button>
      <button class="danger" @click=${doing(() => chat.remove(message, true))}>Delete it and everything after</button>
    </div>`, close);
}

function discard() {
  return modal("Delete the conversation", html`
    <p>Everything that was said in it is gone then, and what is remembered of it.</p>
    <div class="choices">
      <button class="danger" @click=${doing(chat.deleteConversation)}>Delete the conversation</button>
    </div>`, close);
}

function imported(state) {
  const { card } = state.dialog;
  const talk = doing(async () => {
    close();
    await chat.talkWith(chat.characterOf(card.character_id));
  });
  return modal(`${card.name} is here`, html`
    <p>${card.greetings === 1 ? "One greeting" : `${card.greetings} greetings`} and
      ${card.book_entries === 1 ? "one lorebook entry" : `${card.book_entries} lorebook entries`} came along.</p>
    ${card.warnings.length ? html`<ul class="needs">${card.warnings.map((text) => html`<li>${text}</li>`)}</ul>` : nothing}
    <div class="choices"><button class="primary" @click=${talk}>Talk with ${card.name}</button></div>`, close);
}
