// The chat's templates, made from its state.

import { html, nothing } from "../vendor/lit/lit-html.js";
import { live } from "../vendor/lit/directives/live.js";
import { repeat } from "../vendor/lit/directives/repeat.js";
import { choices, standard, workerName, workersHealth } from "./availability.js";
import { dialog } from "./chat-dialogs.js";
import * as talks from "./conversations.js";
import { excerpt } from "./legible.js";
import { showBooks } from "./lorebooks.js";
import { showMemory } from "./memory.js";
import { doing, drawn, openDialog, redraw, set } from "./page.js";
import { alert, health, loading } from "./parts.js";
import { portrait } from "./portrait.js";
import "./prose.js";
import { signInForm, signOut } from "./session.js";
import { activeMessages, chosenModel, listMembers, characterName } from "./state.js";
import * as turns from "./turns.js";
import { showWhy } from "./why.js";

const GREETING = "card:greeting"; // no model wrote it
const when = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });

export function page(state) {
  if (!state.ready) return loading(state);
  if (!state.me) return signInForm(redraw, "Talk with a character");
  return html`
    <a class="skip" href="#message">Skip to the message box</a>
    <div class="shell">
      ${side(state)}
      <main ?inert=${state.menu}>
        ${state.conversation ? open(state) : nobody(state)}
      </main>
      ${state.menu
        ? html`<button class="shade" aria-label="Close the list"
            @click=${() => set({ menu: false })}></button>`
        : nothing}
    </div>
    <p class="unseen" role="status">${state.said}</p>
    ${dialog(state)}
  `;
}

// --- the list at the side -------------------------------------------------------------------

function side(state) {
  return html`
    <nav class="side" id="side" aria-label="Conversations and characters" ?data-open=${state.menu}>
      <a class="brand" href="./"><img src="icon.svg" alt="" width="26" height="26" /> Roleplay</a>
      <div class="lists">
        <h2>Conversations</h2>
        ${state.conversations.length
          ? html`<ul>${repeat(state.conversations, ({ id }) => id, (each) => entry(state, each))}</ul>`
          : html`<p class="quiet">None yet. Choose a character below.</p>`}
        <h2>Characters</h2>
        <ul>
          ${repeat(state.characters, ({ id }) => id, (each) => html`
            <li>
              <button @click=${doing(() => talks.talkWith(each))}>
                ${portrait(each)}
                <span>${each.name}<small>Start a conversation</small></span>
              </button>
            </li>`)}
        </ul>
        <h2>Lorebooks</h2>
        <ul><li><button @click=${doing(showBooks)}><span>Your lorebooks<small>What characters know of your world</small></span></button></li></ul>
        <label class="drop">
          <input type="file" accept=".json,.png,.charx,.yaml,.yml,.jsonl" class="unseen"
            @change=${doing(async ({ target }) => {
              const [file] = target.files;
              target.value = "";
              if (file) await talks.importFile(file);
            })} />
          <strong>Import a character card, a lorebook or a chat</strong>
          <small>Choose a .png, .json, .charx or .yaml file, or .jsonl for a chat, or drop it anywhere</small>
        </label>
      </div>
      <footer>
        <span class="who" title=${state.me.email}>${state.me.name}</span>
        ${state.me.isAdmin ? html`<a href="console.html">Console</a>` : nothing}
        <button class="link" @click=${signOut}>Sign out</button>
      </footer>
    </nav>
  `;
}

function entry(state, conversation) {
  const members = listMembers(conversation);
  const [first = { name: "Somebody" }] = members;
  const name = members.map((character) => character.name).join(", ") || first.name;
  const current = state.conversation?.id === conversation.id;
  const branched = conversation.parent_conversation_id ? "Branch · " : "";
  return html`
    <li>
      <button aria-current=${current ? "page" : "false"} @click=${doing(() => talks.open(conversation))}>
        ${portrait(first)}
        <span>${conversation.title || name}
          <small>${branched}${conversation.title ? `${name} · ` : ""}${when.format(new Date(conversation.updated_at))}</small>
        </span>
      </button>
    </li>`;
}

const menuButton = (state) => html`
  <button class="menu" aria-controls="side" aria-expanded=${state.menu} aria-label="Conversations and characters"
    @click=${doing(async () => {
      set({ menu: true });
      await drawn();
      document.querySelector("#side button").focus();
    })}>
    <svg viewBox="0 0 24 24" aria-hidden="true"><path d="M4 7h16M4 12h16M4 17h10" /></svg>
  </button>`;

const nobody = (state) => html`
  <header class="bar">${menuButton(state)}<h1>Roleplay</h1></header>
  <div class="column empty">
    <h2>Who would you like to meet?</h2>
    <div class="people">
      ${state.characters.map((each) => html`
        <button class="person" @click=${doing(() => talks.talkWith(each))}>
          ${portrait(each)}<strong>${each.name}</strong>
          <span>${excerpt(each.description, 160, each.name, state.me.name)}</span>
        </button>`)}
    </div>
    ${trouble(state)}
  </div>`;

// --- the open conversation ------------------------------------------------------------------

function open(state) {
  const members = listMembers(state.conversation);
  const names = members.map(({ name }) => name).join(", ") || "Somebody";
  const places = activeMessages();
  const earlier = state.messages.length >= state.shown;
  return html`
    <header class="bar">
      ${menuButton(state)}
      <div class="title">
        <h1>${state.conversation.title || names}</h1>
        <p>${health(workersHealth(state.workers))}</p>
      </div>
      ${picker(state)}
      <button @click=${() => openDialog("characters")}>Characters</button>
      <button @click=${doing(showMemory)}>Memory</button>
      <button @click=${doing(talks.showSettings)}>Settings</button>
    </header>
    <div class="column" data-refuge=".column" tabindex="0" role="region" aria-label="Messages">
      ${earlier ? html`<button class="link" @click=${doing(talks.showEarlier)}>Show earlier messages</button>` : nothing}
      ${places.length || state.turn ? nothing : beginning(state, members[0])}
      <ol class="talk">
        ${repeat(places, ({ message }) => message.position, (place, index) => said(state, place, index === places.length - 1))}
        ${state.turn && !state.turn.at ? underway(state, places) : nothing}
      </ol>
      ${state.notice ? html`<p class="notice">${state.notice}</p>` : nothing}
      ${trouble(state)}
    </div>
    ${composer(state, members, places)}
  `;
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
    <label class="picker"><span class="unseen">Who answers</span>
      <select .value=${live(chosen)} @change=${({ target }) => talks.chooseModel(target.value)}>
        <option value="" ?selected=${!chosen}>Default${preferred ? `: ${preferred.name}` : ""}${preferred?.why ? ` (${preferred.why})` : ""}</option>
        <optgroup label=${local.length > 1 ? "The team's workers" : "The team's worker"}>${repeat(local, ({ key }) => key, option)}</optgroup>
        <optgroup label="Other models">${repeat(models, ({ key }) => key, option)}</optgroup>
      </select>
    </label>`;
}

/** A note that the chosen model cannot answer now. */
function outlook(state) {
  const offered = choices(state);
  const chosen = chosenModel();
  const asked = chosen ? offered.find(({ key }) => key === chosen) : standard(state.models, offered);
  if (!asked?.why) return nothing;
  return html`<p class="quiet outlook">${asked.name}: ${asked.why}. Another model will answer for now.</p>`;
}

function beginning(state, character) {
  if (!character) {
    return html`<p class="notice">This character is no longer available. The messages stay; start a conversation with another character.</p>`;
  }
  const openings = [character.first_message, ...(character.alternate_greetings ?? [])].filter(Boolean);
  return html`
    <section class="opening">
      ${portrait(character)}
      <h2>${character.name}</h2>
      <p>${excerpt(character.description, 3000, character.name, state.me.name)}</p>
      <div class="choices">
        <button class="primary" @click=${doing(() => turns.take({ kickoff: true }))}>
          Let ${character.name} begin
        </button>
        ${openings.length > 1
          ? openings.map((text, index) => html`
              <button title=${excerpt(text, 300, character.name, state.me.name)}
                @click=${doing(() => turns.take({ kickoff: true, greeting: index }))}>
                Opening ${index + 1}
              </button>`)
          : nothing}
      </div>
      <p class="quiet">Or write a message first.</p>
    </section>`;
}

const author = (state, message) =>
  message.sender === "user" ? "You" : characterName(message.character_id ?? state.conversation.character_id);

function said(state, { message, versions }, last) {
  const busy = state.turn?.at?.id === message.id;
  const mine = message.sender === "user";
  const answer = state.answers.get(message.id);
  const hidden = state.hidden.has(message.position);
  const cutOff = answer?.status === "incomplete" || answer?.status === "stopped";
  const carriedOn = busy && state.turn.body.action === "continue";
  const text = !busy ? message.content : carriedOn ? `${message.content}${state.turn.text}` : state.turn.text;
  const notice = answer?.result?.notice;
  return html`
    <li class=${mine ? "mine" : "theirs"} ?data-hidden=${hidden}>
      <article aria-label=${`${author(state, message)} said`} aria-busy=${busy}>
        <h3>${author(state, message)}${message.edited_at ? html` <small>edited</small>` : nothing}
          ${hidden ? html`<small>hidden from the model</small>` : nothing}</h3>
        ${state.editing === message.id
          ? editor(message, mine)
          : html`<rp-prose .text=${text}></rp-prose>${busy ? waiting(state) : nothing}`}
        ${cutOff && !busy ? html`<p class="quiet">This reply was cut off. You can continue it.</p>` : nothing}
        ${notice && notice !== state.notice ? html`<p class="quiet">${notice}</p>` : nothing}
        ${state.turn || state.editing ? nothing : tools(state, message, versions, last, answer)}
      </article>
    </li>`;
}

function tools(state, message, versions, last, answer) {
  const theirs = message.sender === "character";
  const hidden = state.hidden.has(message.position);
  const place = versions.findIndex(({ id }) => id === message.id);
  const turnTo = (index) => doing(() => turns.choose(versions[index]));
  return html`
    <div class="tools" ?data-last=${last}>
      ${versions.length > 1
        ? html`<span class="versions">
            <button aria-label="Earlier version" ?disabled=${place === 0} @click=${turnTo(place - 1)}>‹</button>
            <span>${place + 1} of ${versions.length}</span>
            <button aria-label="Later version" ?disabled=${place === versions.length - 1} @click=${turnTo(place + 1)}>›</button>
          </span>`
        : nothing}
      ${theirs
        ? html`
            <button @click=${doing(() => turns.take({ action: "regenerate", message_id: message.id }, message))}>Regenerate</button>
            <button @click=${doing(() => turns.take({ action: "continue", message_id: message.id }, message))}>Continue</button>`
        : nothing}
      <button @click=${doing(async () => {
        set({ editing: message.id });
        await drawn();
        document.querySelector(".editor textarea").focus();
      })}>Edit</button>
      <button @click=${doing(() => talks.branch(message))}>Branch</button>
      <button title="Models read only what is not hidden" @click=${doing(() => turns.hide(message, !hidden))}>
        ${hidden ? "Show to the model" : "Hide from the model"}</button>
      <button @click=${() => openDialog("delete", { message })}>Delete</button>
      ${theirs && answer?.model_used && answer.model_used !== GREETING
        ? html`<button @click=${doing(() => showWhy(message))}>Why?</button>`
        : nothing}
      ${answer?.model_used ? html`<small class="model" title=${answer.model_used}>${modelName(state, answer.model_used)}</small>` : nothing}
    </div>`;
}

function modelName(state, used) {
  const worker = workerName(state.workers, used);
  if (worker) return worker;
  if (used === GREETING) return "Greeting";
  const key = used.slice(used.indexOf(":") + 1);
  return state.models.find((model) => model.model_key === key)?.display_name ?? key;
}

function editor(message, mine) {
  const save = (anew) =>
    doing((event) => turns.edit(message, event.target.closest("form").elements.text.value, anew));
  return html`
    <form class="editor" @submit=${(event) => event.preventDefault()}
      @keydown=${(event) => event.key === "Escape" && set({ editing: null })}>
      <label><span class="unseen">New text</span>
        <textarea name="text" rows="5" .value=${message.content}></textarea>
      </label>
      <div class="choices">
        ${mine ? html`<button class="primary" @click=${save(true)}>Save and regenerate</button>` : nothing}
        <button class=${mine ? "" : "primary"} @click=${save(false)}>Save</button>
        <button type="button" @click=${() => set({ editing: null })}>Cancel</button>
      </div>
    </form>`;
}

function underway(state, places) {
  const { body, text } = state.turn;
  const last = places.at(-1)?.message;
  const mine = body.message && !(last?.sender === "user" && last.content === body.message);
  const members = listMembers(state.conversation);
  // With several characters, the speaker is unknown until the reply starts.
  const name = state.turn.speaker || members.length === 1 ? characterName(state.turn.speaker ?? members[0].id) : "Somebody";
  const draft = body.action === "impersonate";
  return html`
    ${mine ? html`<li class="mine"><article aria-label="You said"><h3>You</h3><rp-prose .text=${body.message}></rp-prose></article></li>` : nothing}
    <li class=${draft ? "mine" : "theirs"}>
      <article aria-label=${`${name} is answering`} aria-busy="true">
        <h3>${draft ? "Your draft" : name}</h3>
        <rp-prose .text=${text}></rp-prose>
        ${waiting(state)}
      </article>
    </li>`;
}

const waiting = (state) => html`
  <p class="waiting"><span class="dots" aria-hidden="true"><i></i><i></i><i></i></span>
    ${state.turn.note || (state.turn.text ? nothing : "Thinking …")}</p>`;

// An open dialog shows it instead.
const trouble = (state) => (state.dialog ? nothing : alert(state, doing(turns.tryAgain)));

function composer(state, members, places) {
  const several = members.length > 1;
  const whom = several ? "everybody" : (members[0]?.name ?? "Somebody");
  const submit = (event) => {
    event.preventDefault();
    doing(() => turns.send(state.draft))();
  };
  const keys = (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) submit(event);
  };
  return html`
    <form class="composer" data-refuge="#message" @submit=${submit}>
      ${outlook(state)}
      ${several ? speakers(state, members, places) : nothing}
      <div class="box">
        <label for="message" class="unseen">Message to ${whom}</label>
        <textarea id="message" rows="1" maxlength="8000" placeholder="Write a message"
          .value=${live(state.draft)} @keydown=${keys}
          @input=${({ target }) => set({ draft: target.value })}></textarea>
        ${state.turn
          ? html`<button type="button" class="primary" @click=${() => state.turn?.stop()}>Stop</button>`
          : html`
              ${places.length
                ? html`<button type="button" class="draft" title="A model drafts your next message"
                    @click=${doing(() => turns.take({ action: "impersonate" }))}>Draft</button>`
                : nothing}
              <button class="primary" ?disabled=${!state.draft.trim()}>Send</button>`}
      </div>
      <p class="quiet hint">${several ? "All of them are" : `${whom} is`} fictional: a language model writes the replies. Escape stops one.</p>
    </form>`;
}

/** Selects who speaks next in a group, and a button that lets them speak. */
const speakers = (state, members, places) => html`
  <div class="speakers">
    <label>Who speaks
      <select .value=${live(state.speaker)} @change=${({ target }) => set({ speaker: target.value })}>
        <option value="">The one I name, or in turn</option>
        ${repeat(members, ({ id }) => id, ({ id, name }) => html`<option value=${id}>${name}</option>`)}
      </select>
    </label>
    ${places.length && !state.turn
      ? html`<button type="button" title="The next character speaks without a message from you"
          @click=${doing(() => turns.take({ kickoff: true }))}>Let them talk</button>`
      : nothing}
  </div>`;
