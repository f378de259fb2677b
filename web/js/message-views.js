// The templates of messages and of the reply that is being written.

import { html, nothing } from "lit-html";
import { GREETING, modelName } from "./availability.js";
import { branch } from "./conversations.js";
import { copy } from "./copying.js";
import { beginEdit, cancelEdit, changeEdit } from "./edits.js";
import { t } from "./language.js";
import { showDetails } from "./message-details.js";
import { choose, edit, hide } from "./messages.js";
import { doing } from "./page.js";
import "./prose.js";
import { characterName, listMembers } from "./state.js";
import { editAndAnswer, take } from "./turns.js";
import { openAbout } from "./whereabouts.js";
import { showWhy } from "./why.js";

const author = (state, message) =>
  message.sender === "user" ? t("You") : characterName(message.character_id ?? state.conversation.character_id);

/** A message with its versions and its tools. */
export function said(state, { message, versions }, last, isFirstNew = false) {
  const busy = state.turn?.at?.id === message.id;
  const mine = message.sender === "user";
  const answer = state.answers.get(message.id);
  const hidden = state.hidden.has(message.position);
  const cutOff = answer?.status === "incomplete";
  const carriedOn = busy && state.turn.body.action === "continue";
  const text = !busy ? message.content : carriedOn ? `${message.content}${state.turn.text}` : state.turn.text;
  const notice = answer?.result?.notice;
  return html`
    <li id=${`message-${message.id}`} class=${mine ? "mine" : "theirs"} tabindex="-1" ?data-hidden=${hidden} ?data-found=${state.found === message.id}>
      ${isFirstNew ? html`<p class="new">${t("New")}</p>` : nothing}
      <article aria-label=${t("{name} said", { name: author(state, message) })} aria-busy=${busy}>
        <h3 dir="auto">${author(state, message)}${message.edited_at ? html` <small>${t("edited")}</small>` : nothing}
          ${hidden ? html`<small>${t("hidden from the model")}</small>` : nothing}</h3>
        ${state.editing?.id === message.id
          ? editor(message, mine, state.editing.text)
          : html`<rp-prose dir="auto" .text=${text}></rp-prose>${busy ? waiting(state) : nothing}`}
        ${cutOff && !busy ? html`<p class="quiet">${t("This reply was cut off. You can continue it.")}</p>` : nothing}
        ${notice && notice !== state.notice ? html`<p class="quiet">${notice}</p>` : nothing}
        ${state.turn || state.editing ? nothing : tools(state, message, versions, last, answer)}
      </article>
    </li>`;
}

function tools(state, message, versions, last, answer) {
  const theirs = message.sender === "character";
  const hidden = state.hidden.has(message.position);
  const place = versions.findIndex(({ id }) => id === message.id);
  const turnTo = (index) => doing(() => choose(versions[index]));
  return html`
    <div class="tools" ?data-last=${last}>
      ${versions.length > 1
        ? html`<span class="versions">
            <button aria-label=${t("Earlier version")} ?disabled=${place === 0} @click=${turnTo(place - 1)}>‹</button>
            <span>${t("{number} of {count}", { number: place + 1, count: versions.length })}</span>
            <button aria-label=${t("Later version")} ?disabled=${place === versions.length - 1} @click=${turnTo(place + 1)}>›</button>
          </span>`
        : nothing}
      ${theirs
        ? html`
            <button @click=${doing(() => take({ action: "regenerate", message_id: message.id }, message))}>${t("Regenerate")}</button>
            <button @click=${doing(() => take({ action: "continue", message_id: message.id }, message))}>${t("Continue")}</button>`
        : nothing}
      <button @click=${doing(() => copy(message.content))}>${t("Copy")}</button>
      <button @click=${doing(() => beginEdit(message))}>${t("Edit")}</button>
      <button @click=${doing(() => branch(message))}>${t("Branch")}</button>
      <button title=${t("Models read only what is not hidden")} @click=${doing(() => hide(message, !hidden))}>
        ${hidden ? t("Show to the model") : t("Hide from the model")}</button>
      <button @click=${doing(() => openAbout("delete", () => ({ message })))}>${t("Delete")}</button>
      ${theirs && answer?.model_used && answer.model_used !== GREETING
        ? html`<button @click=${doing(() => showWhy(message))}>${t("Why?")}</button>`
        : nothing}
      <button @click=${doing(() => showDetails(message))}>${t("Details")}</button>
      ${answer?.model_used ? html`<small class="model" title=${answer.model_used}>${modelName(state, answer.model_used)}</small>` : nothing}
    </div>`;
}

function editor(message, mine, text) {
  const save = (anew) =>
    doing((event) => (anew ? editAndAnswer : edit)(message, event.target.closest("form").elements.text.value));
  return html`
    <form class="editor" @submit=${(event) => event.preventDefault()}
      @keydown=${({ key, isComposing }) => key === "Escape" && !isComposing && cancelEdit()}>
      <label><span class="unseen">${t("New text")}</span>
        <textarea name="text" rows="5" dir="auto" .value=${text}
          @input=${(event) => changeEdit(event.target.value)}></textarea>
      </label>
      <div class="choices">
        ${mine ? html`<button class="primary" @click=${save(true)}>${t("Save and regenerate")}</button>` : nothing}
        <button class=${mine ? "" : "primary"} @click=${save(false)}>${t("Save")}</button>
        <button type="button" @click=${cancelEdit}>${t("Cancel")}</button>
      </div>
    </form>`;
}

/** The message that was just sent, and the reply that is being written. */
export function underway(state, places) {
  const { body, text } = state.turn;
  const last = places.at(-1)?.message;
  const mine = body.message && !(last?.sender === "user" && last.content === body.message);
  const members = listMembers(state.conversation);
  // With several characters, the speaker is unknown until the reply starts.
  const name = state.turn.speaker || members.length === 1 ? characterName(state.turn.speaker ?? members[0].id) : t("Somebody");
  const draft = body.action === "impersonate";
  return html`
    ${mine ? html`<li class="mine"><article aria-label=${t("You said")}><h3>${t("You")}</h3><rp-prose dir="auto" .text=${body.message}></rp-prose></article></li>` : nothing}
    <li class=${draft ? "mine" : "theirs"}>
      <article aria-label=${t("{name} is answering", { name })} aria-busy="true">
        <h3 dir="auto">${draft ? t("Your draft") : name}</h3>
        <rp-prose dir="auto" .text=${text}></rp-prose>
        ${waiting(state)}
      </article>
    </li>`;
}

const waiting = (state) => html`
  <p class="waiting"><span class="dots" aria-hidden="true"><i></i><i></i><i></i></span>
    ${state.turn.note || (state.turn.text ? nothing : t("Thinking …"))}</p>`;
