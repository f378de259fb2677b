// The page "Limits": limits and budgets of everybody, of roles, and of the project.

import { html, nothing } from "lit-html";
import { UserError } from "./backend.js";
import { dollars } from "./console-formats.js";
import { ALWAYS, fieldOf, knownIn, limitsIn, limitsOf, otherwise } from "./console-limit.js";
import { facts, formButtons, section, updated } from "./console-parts.js";
import { removeLimits, setLimits } from "./console-people-data.js";
import { ask } from "./console-questions.js";
import { dataTable } from "./console-tables.js";
import { closeDialog, openDialog, submitting } from "./page.js";
import { modal } from "./parts.js";

const TITLES = { default: "Everybody", project: "The whole project" };

const titleOf = (role) => TITLES[role] ?? `Role ${role}`;
const shown = (limits, name) => (Object.hasOwn(limits, name) ? limits[name] ?? "no limit" : null);

export function limitsPage(state) {
  const rows = ALWAYS.filter((role) => !state.limits.some((row) => row.role === role)).map((role) => ({ role, limits: {} }));
  const budget = state.limits.find(({ role }) => role === "project")?.limits.usd_per_day;
  return section("limits", "Limits", html`
    ${facts([["Spent today (UTC)", dollars(state.spentToday)], ["Budget of the project", budget === undefined || budget === null ? "no limit" : dollars(budget)]])}
    ${dataTable({ id: "limits-table", label: "Limits", columns: COLUMNS, rows: [...state.limits, ...rows], none: "" })}
    <p class="quiet">What a role does not set is as for everybody. Days are UTC. The sum of today is a few minutes old.
      When a budget is spent, only free models answer.</p>`,
    html`${updated(state)}<button class="primary" @click=${() => openDialog("role", { row: null })}>Add a role</button>`);
}

const COLUMNS = [
  { title: "Who", value: ({ role }) => titleOf(role) },
  ...limitsOf("default").map(([name, title]) => ({ title, numeric: true, value: ({ limits }) => shown(limits, name) })),
  { title: "Actions", cell: (row) => html`
    <button aria-label=${`Edit the limits of ${row.role}`} @click=${() => openDialog("role", { row })}>Edit</button>
    ${ALWAYS.includes(row.role) ? nothing : html`<button class="danger" aria-label=${`Remove the limits of ${row.role}`} @click=${() => askToRemove(row)}>Remove</button>`}` },
];

const askToRemove = (row) =>
  ask({
    title: `Remove the limits of ${row.role}`,
    text: "People with this role then have the limits of everybody.",
    name: "Remove them",
    act: () => removeLimits(row),
  });

export function roleForm(state) {
  const { row } = state.dialog;
  const save = submitting(async (event) => {
    const fields = Object.fromEntries(new FormData(event.target));
    const role = row?.role ?? fields.role.trim();
    const { limits, field, problem } = limitsIn(role, fields);
    if (problem) throw new UserError(problem, "not_a_number", 0, field);
    const known = state.limits.find((each) => each.role === role);
    if (!row && known) throw new UserError("This role has limits already. Edit those.", "known", 0, "role");
    await setLimits(role, knownIn(role, row?.limits ?? {}), limits);
  });
  return modal(row ? `Limits of ${row.role}` : "Add a role", html`
    <form class="fields" @submit=${save}>
      ${row ? nothing : html`<label>Role <input name="role" required maxlength="40" placeholder="as in user_roles" /></label>`}
      <div class="pair">
        ${limitsOf(row?.role).map(([name, label, standard]) => html`
          <label>${label}
            <input name=${name} inputmode="decimal" autocomplete="off" .value=${fieldOf(row?.limits, name)}
              placeholder=${otherwise(row?.role, standard)} />
          </label>`)}
      </div>
      <p class="quiet">Leave a field empty for what is said in it. “none” means no limit.</p>
      ${formButtons(closeDialog)}
    </form>`, state);
}
