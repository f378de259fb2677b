// The form of an entry of a lorebook.

import { html, nothing } from "lit-html";
import { live } from "lit-html/directives/live.js";
import { read } from "./entries.js";
import { t } from "./language.js";
import * as books from "./lorebooks.js";
import { doing, redraw, submitting } from "./page.js";
import { anew, keptNotice, noting } from "./unsaved.js";

const WHERE = {
  auto: t("Automatic: near the end"),
  before: t("Before the character"),
  after: t("After the character"),
  depth: t("Among the messages"),
  kept: t("Where its file put it"),
  text: t("Where its first lines say"),
};

const FURTHER = {
  any: t("at least one is found"),
  all: t("all are found"),
  none: t("none is found"),
  "not-all": t("not all are found"),
  off: t("they are ignored"),
};

/** The form of the open entry: its place in the book, null for a new one. */
export function entryForm({ dialog }, place) {
  const { book, entry } = dialog;
  const { values } = entry.form;
  const before = read(book.content.entries[place] ?? undefined);
  const offered = Object.entries(WHERE).filter(([where]) =>
    before.where === "text" ? where === "text" : where === before.where || !["kept", "text"].includes(where));
  const save = submitting((event) => books.saveEntry(book, entry, filled(event.target.elements, before)));
  return html`
    <form class="add" @submit=${save} @input=${noting(entry.form)}>
      ${keptNotice(entry.form, () => books.changeEntry(anew(entry.form)))}
      <label>${t("Primary keys, separated by commas")} <input id="entry-keys" name="keys" dir="auto" .value=${live(values.keys)} /></label>
      <label>${t("Secondary keys, separated by commas")} <input name="further" dir="auto" .value=${live(values.further)} /></label>
      <label>${t("The entry is used if, of the secondary keys,")}
        <select name="logic" .value=${live(values.logic)}>
          ${Object.entries(FURTHER).map(([value, text]) => html`<option value=${value} ?selected=${value === values.logic}>${text}</option>`)}
        </select>
      </label>
      <label>${t("Text")} <textarea name="content" rows="6" ?required=${place === null} dir="auto" .value=${live(values.content)}></textarea></label>
      <label class="check"><input type="checkbox" name="isOn" .checked=${live(values.isOn)} /> ${t("Use this entry")}</label>
      <label class="check"><input type="checkbox" name="isConstant" .checked=${live(values.isConstant)} /> ${t("Always active, whatever is said")}</label>
      <label>${t("Position")}
        <select name="where" .value=${live(values.where)} @change=${redraw}>
          ${offered.map(([value, text]) => html`<option value=${value} ?selected=${value === values.where}>${text}</option>`)}
        </select>
      </label>
      ${["before", "after"].includes(values.where) && !values.isConstant
        ? html`<p class="quiet">${t("When this entry comes or goes, the whole conversation is read again, which takes longer and costs more.")}</p>`
        : nothing}
      ${values.where === "depth"
        ? html`<label>${t("How many messages follow it")}
            <input name="depth" type="number" min="0" max="1000" required .value=${live(values.depth)} /></label>`
        : nothing}
      <div class="choices">
        <button class="primary">${t("Save")}</button>
        <button type="button" @click=${doing(() => books.giveEntryUp(entry))}>${t("Cancel")}</button>
      </div>
    </form>`;
}

// Line breaks of textareas are \n, and browsers take them out of inputs. What looks as before is as before.
function filled(elements, before) {
  const { keys, further, logic, content, isOn, isConstant, where, depth } = elements;
  const plain = (text) => text.replace(/\r\n?/g, "\n");
  const typed = ({ value }, text) => (value === text.replace(/[\r\n]/g, "") ? text : value);
  return {
    keys: typed(keys, before.keys),
    further: typed(further, before.further),
    logic: logic.value,
    content: content.value === plain(before.content) ? before.content : content.value,
    isOn: isOn.checked,
    isConstant: isConstant.checked,
    where: where.value,
    depth: depth ? depth.valueAsNumber : before.depth,
  };
}
