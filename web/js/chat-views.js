// The chat's page, made from its state.

import { html, nothing } from "lit-html";
import { live } from "lit-html/directives/live.js";
import { repeat } from "lit-html/directives/repeat.js";
import { choices, standard, workersHealth } from "./availability.js";
import { dialog } from "./chat-dialogs.js";
import { composer } from "./composer-views.js";
import { chooseModel, showSettings } from "./conversation-settings.js";
import { undoNotice } from "./conversation-views.js";
import * as talks from "./conversations.js";
import { greetings } from "./greeting-views.js";
import { t } from "./language.js";
import { excerpt } from "./legible.js";
import { showMemory } from "./memory.js";
import { said, underway } from "./message-views.js";
import { closePanel } from "./menus.js";
import { showEarlier, showLater } from "./messages.js";
import { doing, redraw, set } from "./page.js";
import { alert, health, loading, spokenOutside } from "./parts.js";
import { portrait } from "./portrait.js";
import { scrolled } from "./scrolling.js";
import { signInForm } from "./session.js";
import { menuButton, side } from "./side-views.js";
import { activeMessages, chosenModel, listMembers } from "./state.js";
import * as turns from "./turns.js";
import { introduction } from "./welcome.js";
import { openAbout } from "./whereabouts.js";

export function page(state) {
  if (!state.ready) return loading(state);
  if (!state.me) return signInForm(redraw, t("Talk with a character"), introduction);
  return html`
    <a class="skip" href="#message">${t("Skip to the message box")}</a>
    <div class="shell">
      ${side(state)}
      <main ?inert=${state.menu}>
        ${state.conversation ? open(state) : nobody(state)}
      </main>
      ${state.menu
        ? html`<button class="shade" aria-label=${t("Close the list")}
            @click=${closePanel}></button>`
        : nothing}
    </div>
    ${spokenOutside(state)}
    ${undoNotice(state)}
    ${dialog(state)}
  `;
}

const nobody = (state) => html`
  <header class="bar">${menuButton(state)}<h1>${t("Roleplay")}</h1></header>
  <div class="column empty">
    ${state.notice ? html`<p class="notice">${state.notice}</p>` : nothing}
    ${state.conversations.length ? nothing : introduction}
    <h2>${t("Who would you like to meet?")}</h2>
    <div class="people">
      ${state.characters.map((each) => html`
        <button class="person" @click=${doing(() => talks.talkWith(each))}>
          ${portrait(each)}<strong dir="auto">${each.name}</strong>
          <span dir="auto">${excerpt(each.description, 160, each.name, state.me.name)}</span>
        </button>`)}
    </div>
    ${trouble(state)}
  </div>`;

// --- the open conversation ------------------------------------------------------------------

function open(state) {
  const members = listMembers(state.conversation);
  const names = members.map(({ name }) => name).join(", ") || t("Somebody");
  const places = activeMessages();
  return html`
    <header class="bar">
      ${menuButton(state)}
      <div class="title">
        <h1 dir="auto">${state.conversation.title || names}</h1>
        <p>${health(workersHealth(state.workers))}</p>
      </div>
      <button class="more-tools" aria-expanded=${state.tools} aria-controls="tools"
        @click=${() => set({ tools: !state.tools })}>${t("Tools")}</button>
      <div class="toolbar" id="tools" ?data-open=${state.tools}>
        ${picker(state)}
        <button @click=${doing(() => tool(() => openAbout("characters")))}>${t("Characters")}</button>
        <button @click=${doing(() => tool(showMemory))}>${t("Memory")}</button>
        <button @click=${doing(() => tool(showSettings))}>${t("Settings")}</button>
      </div>
    </header>
    <div class="column" data-refuge=".column" tabindex="0" role="region" aria-label=${t("Messages")} @scroll=${scrolled}>
      ${state.hasEarlier ? html`<button class="link" @click=${doing(showEarlier)}>${t("Show earlier messages")}</button>` : nothing}
      ${phase(state, places, members)}
      <ol class="talk">
        ${repeat(places, ({ message }) => message.position, (place, index) => message(state, places, place, index))}
        ${state.turn && !state.turn.at ? underway(state, places) : nothing}
      </ol>
      ${state.hasLater ? html`<button class="link later" @click=${doing(showLater)}>${t("Show later messages")}</button>` : nothing}
      ${state.notice ? html`<p class="notice">${state.notice}</p>` : nothing}
      ${trouble(state)}
    </div>
    ${composer(state, members, places)}
  `;
}

// A phone hides the tools then: what closes later gives the focus back to their button.
function tool(action) {
  document.querySelector(".more-tools").focus();
  set({ tools: false });
  return action();
}

/** The notice in place of messages: that they are loading, that they could not be loaded, or that there are none. */
function phase(state, places, members) {
  if (state.phase === "loading" && !places.length) return html`<p class="quiet" role="status">${t("Loading the messages …")}</p>`;
  if (state.phase === "failed") {
    return html`
      <section class="failed" role="group" aria-label=${t("Messages that could not be loaded")}>
        <p>${t("The messages of this conversation could not be loaded.")}</p>
        <button class="primary" @click=${doing(() => talks.loadOpen())}>${t("Try again")}</button>
      </section>`;
  }
  return places.length || state.turn ? nothing : beginning(state, members[0], members.length > 1);
}

/** A message, and above the first new one a mark. */
function message(state, places, place, index) {
  const { newFrom } = state;
  const isFirstNew = newFrom !== null && place.message.position > newFrom && !(places[index - 1]?.message.position > newFrom);
  return said(state, place, index === places.length - 1, isFirstNew);
}

function picker(state) {
  const offered = choices(state);
  const chosen = chosenModel();
  const local = offered.filter((choice) => choice.local);
  const models = offered.filter((choice) => !choice.local);
  const preferred = standard(state.models, offered);
  const option = (choice) => html`
    <option value=${choice.key} ?selected=${choice.key === chosen} ?disabled=${choice.closed}>
      ${choice.name}${choice.why ? ` (${choice.why})` : ""}</option>`;
  return html`
    <label class="picker"><span class="unseen">${t("Who answers")}</span>
      <select .value=${live(chosen)} @change=${({ target }) => chooseModel(target.value)}>
        <option value="" ?selected=${!chosen}>${preferred ? t("Default: {name}", { name: preferred.name }) : t("Default")}${preferred?.why ? ` (${preferred.why})` : ""}</option>
        <optgroup label=${local.length > 1 ? t("The team's workers") : t("The team's worker")}>${repeat(local, ({ key }) => key, option)}</optgroup>
        <optgroup label=${t("Other models")}>${repeat(models, ({ key }) => key, option)}</optgroup>
      </select>
    </label>`;
}

function beginning(state, character, isGroup) {
  if (!character) {
    return html`<p class="notice">${t("This character is no longer available. The messages stay; start a conversation with another character.")}</p>`;
  }
  return html`
    <section class="opening">
      ${portrait(character)}
      <h2 dir="auto">${character.name}</h2>
      <p dir="auto">${excerpt(character.description, 3000, character.name, state.me.name)}</p>
      ${greetings(state, character, isGroup)}
      <p class="quiet">${t("Or write a message first.")}</p>
    </section>`;
}

/** The last error is shown where somebody looks: in a dialog, in the lists that cover the conversation on a phone, or here. */
const trouble = (state) => (state.dialog || state.menu ? nothing : alert(state, doing(turns.tryAgain)));
