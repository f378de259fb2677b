// The console's dialogs, by name.

import { nothing } from "lit-html";
import { ageForm } from "./console-characters.js";
import { knownProviderForm, modelForm, providerForm } from "./console-forms.js";
import { roleForm } from "./console-limits.js";
import { question, reason } from "./console-questions.js";

const VIEWS = {
  age: ageForm,
  "known provider": knownProviderForm,
  model: modelForm,
  provider: providerForm,
  question,
  reason,
  role: roleForm,
};

export const dialog = (state) => (state.dialog ? VIEWS[state.dialog.name](state) : nothing);
