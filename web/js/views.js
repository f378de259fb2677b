// What the chat looks like, given its state.

import { html, nothing } from "../vendor/lit/lit-html.js";
import { live } from "../vendor/lit/directives/live.js";
import { repeat } from "../vendor/lit/directives/repeat.js";
import { workerHealth } from "./backend.js";
import * as chat from "./chat.js";
import { dialog } from "./dialogs.js";
import { avatar } from "./parts.js";
import "./prose.js";
import { signInForm, signOut } from "./session.js";

const { doing } = chat;
const when = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });

export function page(state) {
  if (!state.ready) return html`<main class="welcome"><p class="quiet">Loading …</p></main>`;
  if (!state.me) return signInForm(chat.redraw, "Talk with somebody");
  return html`
    <a class="skip" href="#message">Skip to the message box</a>
    <div class="shell">
      ${side(state)}
      <main ?inert=${state.menu}>
        ${state.conversation ? open(state) : nobody(state)}
      </main>
      ${state.menu
        ? html`<button class="shade" aria-label="Close the list"
            @click=${() => chat.set({ menu: false })}></button>`
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
          : html`<p class="quiet">None yet. Choose somebody below.</p>`}
        <h2>Characters</h2>
        <ul>
          ${repeat(state.characters, ({ id }) => id, (each) => html`
            <li>
              <button @click=${doing(() => chat.talkWith(each))}>
                ${avatar(each.name)}
                <span>${each.name}<small>Begin a conversation</small></span>
              </button>
            </li>`)}
        </ul>
        <label class="drop">
          <input type="file" accept=".json,.png,.charx" class="unseen"
            @change=${doing(async ({ target }) => {
              const [file] = target.files;
              target.value = "";
              if (file) await chat.importCard(file);
            })} />
          <strong>Import a character card</strong>
          <small>Choose a .png, .json or .charx file, or drop it anywhere</small>
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
  const { name = "Somebody" } = chat.characterOf(conversation.character_id) ?? {};
  const current = state.conversation?.id === conversation.id;
  const branched = conversation.parent_conversation_id ? "Branch · " : "";
  return html`
    <li>
      <button aria-current=${current ? "page" : "false"} @click=${doing(() => chat.open(conversation))}>
        ${avatar(name)}
        <span>${conversation.title || name}
          <small>${branched}${conversation.title ? `${name} · ` : ""}${when.format(new Date(conversation.updated_at))}</small>
        </span>
      </button>
    </li>`;
}

const menuButton = (state) => html`
  <button class="menu" aria-controls="side" aria-expanded=${state.menu} aria-label="Conversations and characters"
    @click=${() => {
      chat.set({ menu: true });
      requestAnimationFrame(() => requestAnimationFrame(() => document.querySelector("#side button")?.focus()));
    }}>
    <svg viewBox="0 0 24 24" aria-hidden="true"><path d="M4 7h16M4 12h16M4 17h10" /></svg>
  </button>`;

const nobody = (state) => html`
  <header class="bar">${menuButton(state)}<h1>Roleplay</h1></header>
  <div class="column empty">
    <h2>Who would you like to meet?</h2>
    <div class="people">
      ${state.characters.map((each) => html`
        <button class="person" @click=${doing(() => chat.talkWith(each))}>
          ${avatar(each.name)}<strong>${each.name}</strong>
          <span>${short(named(each.description, each, state))}</span>
        </button>`)}
    </div>
    ${trouble(state)}
  </div>`;

// --- the open conversation ------------------------------------------------------------------

function open(state) {
  const character = chat.characterOf(state.conversation.character_id);
  const name = character?.name ?? "Somebody";
  const places = chat.course();
  const earlier = state.messages.length >= state.shown;
  return html`
    <header class="bar">
      ${menuButton(state)}
      <div class="title">
        <h1>${state.conversation.title || name}</h1>
        ${worker(state)}
      </div>
      ${picker(state)}
      <button @click=${doing(chat.showMemory)}>Memory</button>
      <button @click=${() => chat.set({ dialog: { name: "settings" } })}>Settings</button>
    </header>
    <div class="column" tabindex="0" role="region" aria-label="What was said">
      ${earlier ? html`<button class="link" @click=${doing(chat.showEarlier)}>Show what was said earlier</button>` : nothing}
      ${places.length || state.turn ? nothing : beginning(state, character)}
      <ol class="talk">
        ${repeat(places, ({ message }) => message.position, (place, index) => said(state, place, index === places.length - 1))}
        ${state.turn && !state.turn.at ? underway(state, places) : nothing}
      </ol>
      ${state.notice ? html`<p class="notice">${state.notice}</p>` : nothing}
      ${trouble(state)}
    </div>
    ${composer(state, name, places)}
  `;
}

function worker(state) {
  const { state: health, text } = workerHealth(state.health);
  return html`<p class="health" data-state=${health}><span aria-hidden="true"></span>${text}</p>`;
}

function picker(state) {
  const { state: health } = workerHealth(state.health);
  const usable = state.models.filter((model) => model.api_providers?.is_active !== false);
  const standard = usable.find((model) => model.is_default);
  const known = ["", chat.WORKER, ...usable.map((model) => model.model_key)];
  const chosen = known.includes(state.model) ? state.model : "";
  const option = (key, text) =>
    html`<option value=${key} ?selected=${key === chosen}>${text}</option>`;
  return html`
    <label class="picker"><span class="unseen">Who answers</span>
      <select .value=${live(chosen)} @change=${({ target }) => chat.chooseModel(target.value)}>
        ${option("", `Default${standard ? ` (${standard.display_name})` : ""}`)}
        <optgroup label="The team's worker">
          ${option(chat.WORKER, `Local model${health === "up" ? "" : " (away now, others stand in)"}`)}
        </optgroup>
        <optgroup label="Available models">
          ${usable.map((model) => option(model.model_key, model.display_name))}
        </optgroup>
      </select>
    </label>`;
}

function beginning(state, character) {
  if (!character) {
    return html`<p class="notice">This character is no longer here. What was said stays; begin with somebody else.</p>`;
  }
  const openings = [character.first_message, ...(character.alternate_greetings ?? [])].filter(Boolean);
  return html`
    <section class="opening">
      ${avatar(character.name)}
      <h2>${character.name}</h2>
      <p>${named(character.description, character, state)}</p>
      <div class="choices">
        <button class="primary" @click=${doing(() => chat.take({ kickoff: true }))}>
          Let ${character.name} begin
        </button>
        ${openings.length > 1
          ? openings.map((text, index) => html`
              <button title=${named(text, character, state).slice(0, 300)}
                @click=${doing(() => chat.take({ kickoff: true, greeting: index }))}>
                Opening ${index + 1}
              </button>`)
          : nothing}
      </div>
      <p class="quiet">Or say something first.</p>
    </section>`;
}

const short = (text) => (text.length > 160 ? `${text.slice(0, 160)}…` : text);

/** A text of a card with the names that its macros stand for. */
const named = (text, character, state) =>
  text.replace(/\{\{char\}\}|<BOT>/gi, () => character.name).replace(/\{\{user\}\}|<USER>/gi, () => state.me.name);

const author = (state, message) =>
  message.sender === "user"
    ? "You"
    : (chat.characterOf(message.character_id ?? state.conversation.character_id)?.name ?? "Somebody");

function said(state, { message, versions }, last) {
  const busy = state.turn?.at?.id === message.id;
  const mine = message.sender === "user";
  const answer = state.answers.get(message.id);
  const cutOff = answer?.status === "incomplete" || answer?.status === "stopped";
  const carriedOn = busy && state.turn.body.action === "continue";
  const text = !busy ? message.content : carriedOn ? `${message.content} ${state.turn.text}` : state.turn.text;
  const notice = answer?.result?.notice;
  return html`
    <li class=${mine ? "mine" : "theirs"}>
      <article aria-label=${`${author(state, message)} said`} aria-busy=${busy}>
        <h3>${author(state, message)}${message.edited_at ? html` <small>edited</small>` : nothing}</h3>
        ${state.editing === message.id
          ? editor(message, mine)
          : html`<rp-prose .text=${text}></rp-prose>${busy ? waiting(state) : nothing}`}
        ${cutOff && !busy ? html`<p class="quiet">This reply was cut off. You can have it continued.</p>` : nothing}
        ${notice && notice !== state.notice ? html`<p class="quiet">${notice}</p>` : nothing}
        ${state.turn || state.editing ? nothing : tools(state, message, versions, last, answer)}
      </article>
    </li>`;
}

function tools(state, message, versions, last, answer) {
  const theirs = message.sender === "character";
  const place = versions.findIndex(({ id }) => id === message.id);
  const turnTo = (index) => doing(() => chat.choose(versions[index]));
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
            <button @click=${doing(() => chat.take({ action: "regenerate", message_id: message.id }, message))}>Regenerate</button>
            <button @click=${doing(() => chat.take({ action: "continue", message_id: message.id }, message))}>Continue</button>`
        : nothing}
      <button @click=${() => chat.set({ editing: message.id })}>Edit</button>
      <button @click=${doing(() => chat.branch(message))}>Branch</button>
      <button @click=${() => chat.set({ dialog: { name: "delete", message } })}>Delete</button>
      ${answer?.model_used ? html`<small class="model" title=${answer.model_used}>${modelName(state, answer.model_used)}</small>` : nothing}
    </div>`;
}

function modelName(state, used) {
  if (used === chat.WORKER) return "Local model";
  if (used === "card:greeting") return "Greeting";
  const key = used.slice(used.indexOf(":") + 1);
  return state.models.find((model) => model.model_key === key)?.display_name ?? key;
}

function editor(message, mine) {
  const save = (anew) =>
    doing((event) => chat.edit(message, event.target.closest("form").elements.text.value, anew));
  return html`
    <form class="editor" @submit=${(event) => event.preventDefault()}
      @keydown=${(event) => event.key === "Escape" && chat.set({ editing: null })}>
      <label><span class="unseen">New text</span>
        <textarea name="text" rows="5" .value=${message.content}></textarea>
      </label>
      <div class="choices">
        ${mine ? html`<button class="primary" @click=${save(true)}>Save and answer anew</button>` : nothing}
        <button class=${mine ? "" : "primary"} @click=${save(false)}>Save</button>
        <button type="button" @click=${() => chat.set({ editing: null })}>Cancel</button>
      </div>
    </form>`;
}

function underway(state, places) {
  const { body, text } = state.turn;
  const last = places.at(-1)?.message;
  const mine = body.message && !(last?.sender === "user" && last.content === body.message);
  const name = chat.characterOf(state.conversation.character_id)?.name ?? "Somebody";
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

const ADVICE = {
  no_model_available: "Or choose another model above.",
  content_refused: "Say it differently, or talk of something else.",
  unauthorized: "Sign out and in again.",
};

function trouble(state) {
  const what = state.trouble;
  if (!what) return nothing;
  const again = what.body && what.code !== "content_refused" && what.code !== "reply_incomplete";
  return html`
    <div class="error" role="alert">
      <p>${what.sentence} ${ADVICE[what.code] ?? ""}</p>
      <div class="choices">
        ${again ? html`<button @click=${doing(chat.tryAgain)}>Try again</button>` : nothing}
        <button @click=${() => chat.set({ trouble: null })}>Dismiss</button>
      </div>
    </div>`;
}

function composer(state, name, places) {
  const submit = (event) => {
    event.preventDefault();
    doing(() => chat.send(state.draft))();
  };
  const keys = (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) submit(event);
  };
  return html`
    <form class="composer" @submit=${submit}>
      <div class="box">
        <label for="message" class="unseen">Message to ${name}</label>
        <textarea id="message" rows="1" maxlength="8000" placeholder=${`Say something to ${name}`}
          .value=${live(state.draft)} @keydown=${keys}
          @input=${({ target }) => chat.set({ draft: target.value })}></textarea>
        ${state.turn
          ? html`<button type="button" class="primary" @click=${() => state.turn?.stop()}>Stop</button>`
          : html`
              ${places.length
                ? html`<button type="button" class="draft" title="A model drafts what you could say next"
                    @click=${doing(() => chat.take({ action: "impersonate" }))}>Draft</button>`
                : nothing}
              <button class="primary" ?disabled=${!state.draft.trim()}>Send</button>`}
      </div>
      <p class="quiet hint">${name} is fictional: a language model writes the replies. Escape stops one.</p>
    </form>`;
}
