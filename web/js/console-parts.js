// Small templates that several pages of the console use.

import { html, nothing } from "lit-html";
import { address } from "./console-address.js";
import { timeOfDay } from "./console-formats.js";

/** A link to a page of the console. */
export const link = (page, params, text, more = {}) =>
  html`<a href=${address(page, params)} aria-label=${more.label ?? nothing} dir=${more.dir ?? nothing}>${text}</a>`;

/** A section of a page with its heading and what stands beside it. */
export const section = (id, title, content, beside = nothing) => html`
  <section id=${id} aria-labelledby=${`${id}-title`}>
    <div class="head"><h2 id=${`${id}-title`}>${title}</h2>${beside}</div>
    ${content}
  </section>`;

/** When the rows of the page were loaded. */
export const updated = (state) => html`<span class="quiet updated">Updated ${timeOfDay(state.now)}</span>`;

/** What only a command changes, and which. */
export const commands = (sentence, ...lines) => html`
  <div class="commands" role="note">
    <p class="quiet">${sentence}</p>
    ${lines.map(([command, what]) => html`<p><code>${command}</code><span class="quiet"> ${what}</span></p>`)}
  </div>`;

/** Names and values. */
export const facts = (pairs) => html`
  <dl class="facts">${pairs.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`;

/** The buttons of a form in a dialog. */
export const formButtons = (close, more = nothing, name = "Save") => html`
  <div class="choices"><button class="primary">${name}</button><button type="button" @click=${close}>Cancel</button>${more}</div>`;
