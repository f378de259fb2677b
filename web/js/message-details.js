// The details of a message: when it was said, and what its reply took.

import { html, nothing } from "lit-html";
import { data, supabase } from "./backend.js";
import { dateFormat, numberFormat, plural, t } from "./language.js";
import { doing } from "./page.js";
import { modal } from "./parts.js";
import { GREETING, modelName } from "./availability.js";
import { openAbout } from "./whereabouts.js";
import { showWhy } from "./why.js";

const COLUMNS =
  "id, action, status, created_at, model_used, duration_ms, prompt_tokens, completion_tokens, cost_usd, finish_reason, turn_prompts(turn_id)";
const MOST = 50; // turns of a message: one, and one for each time that it was continued

/** Opens the details of a message, with the turns that wrote it, which are the person's own. */
export async function showDetails(message) {
  const mine = message.sender === "user" ? "user_message_id" : "reply_message_id";
  await openAbout("details", async () => {
    const turns = await data(supabase.from("turns").select(COLUMNS).eq(mine, message.id).order("created_at").limit(MOST));
    return { message, turns: message.sender === "user" ? [] : turns };
  });
}

const moment = dateFormat({ dateStyle: "full", timeStyle: "medium" });
const seconds = numberFormat({ style: "unit", unit: "second", maximumFractionDigits: 1 });
const dollars = numberFormat({ style: "currency", currency: "USD", maximumFractionDigits: 6 });

export function details(state) {
  const { message, turns } = state.dialog;
  const edited = message.edited_at ? [[t("Edited"), moment.format(new Date(message.edited_at))]] : [];
  return modal(t("Details of the message"), html`
    ${list([
      [t("Written"), moment.format(new Date(message.created_at))],
      ...edited,
      [t("Length"), plural([...message.content].length, { one: "{n} character", other: "{n} characters" })],
    ])}
    ${turns.map((turn) => section(state, turn))}
    ${message.sender === "character" && !turns.length
      ? html`<p class="quiet">${t("There is no record of how it was written: it was copied, or it is too old.")}</p>`
      : nothing}
    ${turns.some(isKept) ? html`<button @click=${doing(() => showWhy(message))}>${t("Why this reply?")}</button>` : nothing}`, state);
}

const isKept = ({ turn_prompts: prompt }) => [prompt].flat().some(Boolean);

const list = (rows) => html`
  <dl class="facts">${rows.map(([name, value]) => html`<div><dt>${name}</dt><dd dir="auto">${value}</dd></div>`)}</dl>`;

const section = (state, turn) => html`
  <section>
    <h3>${turn.action === "continue" ? t("How it was continued") : t("How it was written")}</h3>
    ${list(facts(state, turn).filter(([, value]) => value !== null))}
  </section>`;

function facts(state, turn) {
  if (turn.model_used === GREETING) return [[t("Model"), t("None: it is the greeting of the character's author.")]];
  const { model_used, duration_ms, prompt_tokens, completion_tokens, cost_usd } = turn;
  return [
    [t("Requested"), moment.format(new Date(turn.created_at))],
    [t("Model"), model_used && modelName(state, model_used)],
    [t("Duration"), duration_ms === null ? null : seconds.format(duration_ms / 1000)],
    [t("Tokens read"), prompt_tokens === null ? null : count.format(prompt_tokens)],
    [t("Tokens written"), completion_tokens === null ? null : count.format(completion_tokens)],
    [t("Cost"), cost_usd === null ? null : Number(cost_usd) === 0 ? t("Free") : dollars.format(cost_usd)],
    [t("End"), ENDS[turn.status] ?? null],
  ];
}

const count = numberFormat();
const ENDS = {
  running: t("It is being written."),
  stopped: t("You stopped it."),
  incomplete: t("It was cut off."),
};
