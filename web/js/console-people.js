// The page "People": whose age is verified, and who has a role. Both are changed by commands.

import { html } from "lit-html";
import { commands, link, section, updated } from "./console-parts.js";
import { dataTable } from "./console-tables.js";

const person = { title: "User ID", value: ({ user_id }) => user_id, cell: ({ user_id }) => link("turns", { user: user_id }, user_id, { label: `Turns of the person ${user_id}` }) };
const VERIFIED = [{ title: "Name", value: ({ name }) => name }, person];
const ROLES = [{ title: "Role", value: ({ role }) => role }, person];

export const peoplePage = (state) => html`
  ${section("verified", "Age verifications", html`
    ${dataTable({ id: "verified-table", label: "People whose age counts as verified", columns: VERIFIED, rows: state.verified, none: "Nobody’s age is verified." })}
    <p class="quiet">At most 1,000 people are shown here and below, in the order of their IDs.</p>
    ${commands("An age is verified elsewhere, and recorded with the secret key:",
      ["make verify-age EMAIL=ada@example.com", "records it; REMOVE=1 takes it back"])}`, updated(state))}
  ${section("roles", "Admins and other roles", html`
    ${dataTable({ id: "roles-table", label: "Roles", columns: ROLES, rows: state.roles, none: "No roles can be seen here." })}
    ${commands("Admins are made with the secret key:",
      ["make admin EMAIL=ada@example.com", "gives somebody the console; REMOVE=1 takes it back"])}`)}`;
