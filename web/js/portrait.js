// Pictures of characters: shown where the person may see them, the first letter of the name elsewhere.
// They are read with the person's token, so a picture that is private again is not shown any more.

import { html, nothing } from "../vendor/lit/lit-html.js";
import { UserError, act, data, supabase } from "./backend.js";
import { t } from "./language.js";
import { doing, redraw, set } from "./page.js";
import { avatar } from "./parts.js";
import { inBase64 } from "./files.js";

const BUCKET = "character-portraits";
const AT_ONCE = 4;
const MAX_BYTES = 6 * 2 ** 20; // the function's own limit

let pictures = new Map(); // by character id: {path, url: "" until it is read}
let waiting = []; // pictures that are shown and not read yet
let reading = 0;

/** Loads which characters have pictures. Those that are the same stay. */
export async function loadPortraits() {
  const rows = await data(supabase.from("character_portraits").select("character_id, path").limit(1000));
  const before = new Map([...pictures.values()].map((picture) => [picture.path, picture]));
  pictures = new Map(
    rows.map(({ character_id, path }) => [character_id, before.get(path) ?? { path, url: "", asked: false }]),
  );
  const kept = new Set(rows.map(({ path }) => path));
  for (const { path, url } of before.values()) if (url && !kept.has(path)) URL.revokeObjectURL(url);
  waiting = waiting.filter(({ path }) => kept.has(path));
  redraw();
}

/** The picture of a character, or the first letter of its name. */
export function portrait({ id, name }) {
  const picture = pictures.get(id);
  if (!picture) return avatar(name);
  if (!picture.url) {
    ask(picture);
    return avatar(name);
  }
  return html`<img class="avatar" src=${picture.url} alt=${t("Picture of {name}", { name })} />`;
}

function ask(picture) {
  if (picture.asked) return;
  picture.asked = true;
  waiting.push(picture);
  readNext();
}

async function readNext() {
  if (reading >= AT_ONCE || !waiting.length) return;
  reading += 1;
  const picture = waiting.shift();
  const { data: blob } = await supabase.storage.from(BUCKET).download(picture.path);
  // Whatever the server calls it, it is shown as a picture or not at all.
  if (blob) picture.url = URL.createObjectURL(new Blob([blob], { type: "image/webp" }));
  reading -= 1;
  if (blob) redraw();
  readNext();
}

/** Buttons with which the owner of a character gives it a picture or takes it away. */
export function portraitTools(character, me) {
  if (character.user_id !== me.id) return nothing;
  const has = pictures.has(character.id);
  const choose = doing(async ({ target }) => {
    const [file] = target.files;
    target.value = "";
    if (file) await change(character, file);
  });
  return html`
    <label class="button">${has ? t("Change picture") : t("Add picture")}
      <input type="file" class="unseen" accept="image/png,image/jpeg,image/webp,image/gif"
        aria-label=${has ? t("Change the picture of {name}", character) : t("Add the picture of {name}", character)} @change=${choose} />
    </label>
    ${has
      ? html`<button aria-label=${t("Remove the picture of {name}", character)}
          @click=${doing(() => remove(character))}>${t("Remove picture")}</button>`
      : nothing}`;
}

async function change(character, file) {
  if (file.size > MAX_BYTES) throw new UserError(t("The picture is too large: at most 6 MiB."));
  await act({ action: "set_portrait", character_id: character.id, picture_base64: await inBase64(file) });
  await loadPortraits();
  set({ said: t("{name} has a new picture.", character) });
}

async function remove(character) {
  await data(supabase.from("character_portraits").delete().eq("character_id", character.id));
  await loadPortraits();
  set({ said: t("The picture of {name} was removed.", character) });
}
