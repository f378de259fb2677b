// The dialogs of listed conversations: to rename one, and to restore deleted ones.

import { html, nothing } from "lit-html";
import { repeat } from "lit-html/directives/repeat.js";
import { rename, restoreListed } from "./conversation-actions.js";
import { pictureOf, titleOf, when } from "./conversation-views.js";
import { t } from "./language.js";
import { details } from "./message-details.js";
import { closeDialog, doing, submitting, watchDialog } from "./page.js";
import { modal } from "./parts.js";

export const CONVERSATION_VIEWS = { rename: renaming, deleted, details };

function renaming(state) {
  const { id, title } = state.dialog;
  const save = submitting(async (event) => {
    const isStill = watchDialog();
    await rename(id, event.target.elements.title.value.trim());
    if (isStill()) closeDialog();
  });
  return modal(t("Rename the conversation"), html`
    <form class="add" @submit=${save}>
      <label>${t("Title")}
        <input name="title" maxlength="200" dir="auto" autofocus .value=${title} />
      </label>
      <p class="quiet">${t("Without a title, it has the first words that you say in it.")}</p>
      <button class="primary">${t("Save")}</button>
    </form>`, state);
}

function deleted(state) {
  const { deleted: rows } = state.dialog;
  return modal(t("Deleted conversations"), html`
    <section>
      ${rows.length
        ? html`<p class="quiet">${t("They are deleted for good after a while.")}</p>`
        : html`<p class="quiet">${t("There are no deleted conversations.")}</p>`}
      <ul class="rows">
        ${repeat(rows, ({ id }) => id, (row) => html`
          <li>
            ${pictureOf(row)}
            <span dir="auto">${titleOf(row)}
              <small>${t("Deleted: {when}", { when: when(row.deleted_at) })}</small>
              ${row.last_line ? html`<small dir="auto">${row.last_line}</small>` : nothing}
            </span>
            <button aria-label=${t("Restore {title}", { title: titleOf(row) })} @click=${doing(() => restoreListed(row))}>${t("Restore")}</button>
          </li>`)}
      </ul>
    </section>`, state);
}
