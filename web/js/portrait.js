// Pictures of characters: shown where the person may see them, the first letter of the name elsewhere.
// They are read with the person's token, so a picture that is private again is not shown any more.

import { html, nothing } from "lit-html";
import { UserError, act, data, supabase } from "./backend.js";
import { t } from "./language.js";
import { doing, redraw, set } from "./page.js";
import { initial } from "./parts.js";
import { inBase64 } from "./files.js";

const BUCKET = "character-portraits";
const AT_ONCE = 4;
const MAX_BYTES = 6 * 2 ** 20; // the function's own limit
const IDS = 100; // that fit in an address

const pictures = new Map(); // by character id: {path, url: "" until it is read}; null: it has none
let unknown = new Set(); // ids of characters that are shown, and not looked up yet
let waiting = []; // pictures that are shown and not read yet
let reading = 0;

/** Looks up the pictures of the characters that were shown so far again. */
export async function loadPortraits() {
  await lookUp([...pictures.keys()]);
}

/** Takes over which characters have which pictures: [[character id, path or null]]. */
export function knowPortraits(rows) {
  for (const [id, path] of rows) know(id, path);
  redraw();
}

/** A picture that is the same stays. */
function know(id, path) {
  const before = pictures.get(id);
  if (before && before.path === path) return;
  if (before?.url) URL.revokeObjectURL(before.url);
  waiting = waiting.filter((picture) => picture !== before);
  pictures.set(id, path && { path, url: "", asked: false });
}

async function lookUp(ids) {
  for (let from = 0; from < ids.length; from += IDS) {
    const some = ids.slice(from, from + IDS);
    const rows = await data(supabase.from("character_portraits").select("character_id, path").in("character_id", some));
    const paths = new Map(rows.map(({ character_id, path }) => [character_id, path]));
    knowPortraits(some.map((id) => [id, paths.get(id) ?? null]));
  }
}

/** Looks up all that one drawing shows in one request. */
function wonder(id) {
  if (!unknown.size) setTimeout(lookUpUnknown);
  unknown.add(id);
}

async function lookUpUnknown() {
  const ids = [...unknown];
  unknown = new Set();
  for (const id of ids) if (!pictures.has(id)) pictures.set(id, null);
  // Without an answer the letters stay, until the lists are loaded again.
  await lookUp(ids).catch(() => {});
}

/** The picture of a character, or the first letter of its name. */
export function portrait({ id, name }) {
  if (id && !pictures.has(id)) wonder(id);
  const picture = pictures.get(id);
  const { letter, hue } = initial(name);
  if (!picture) return html`<span class=${`avatar ${hue}`} aria-hidden="true">${letter}</span>`;
  if (!picture.url) return html`<rp-unread class=${`avatar ${hue}`} aria-hidden="true" .picture=${picture}>${letter}</rp-unread>`;
  return html`<img class="avatar" src=${picture.url} alt=${t("Picture of {name}", { name })} />`;
}

/** <rp-unread>: the place of a picture, which is read once it is in sight. */
class Unread extends HTMLElement {
  #picture = null;

  get picture() {
    return this.#picture;
  }

  set picture(picture) {
    this.#picture = picture;
    if (this.isConnected) this.connectedCallback();
  }

  connectedCallback() {
    // Once more for an element that shows another picture now, which the observer would not tell of.
    inSight.unobserve(this);
    inSight.observe(this);
  }

  disconnectedCallback() {
    inSight.unobserve(this);
  }
}

const inSight = new IntersectionObserver(
  (changes) => changes.filter(({ isIntersecting }) => isIntersecting).forEach(({ target }) => ask(target.picture)),
  { rootMargin: "200px" },
);
customElements.define("rp-unread", Unread);

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
  const blob = await readPicture(picture.path);
  // Whatever the server calls it, it is shown as a picture or not at all.
  if (blob) picture.url = URL.createObjectURL(new Blob([blob], { type: "image/webp" }));
  reading -= 1;
  if (blob) redraw();
  readNext();
}

/** The bytes of a picture; null if they cannot be read. */
export async function readPicture(path) {
  const { data: blob } = await supabase.storage.from(BUCKET).download(path);
  return blob;
}

/** Buttons with which the owner of a character gives it a picture or takes it away. */
export function portraitTools(character, me) {
  if (character.user_id !== me.id) return nothing;
  const has = Boolean(pictures.get(character.id));
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
  await setPortrait(character.id, file);
  set({ said: t("{name} has a new picture.", character) });
}

/** Gives a character a picture. Errors are about the field "picture". */
export async function setPortrait(id, file) {
  try {
    if (file.size > MAX_BYTES) throw new UserError(t("The picture is too large: at most 6 MiB."));
    await act({ action: "set_portrait", character_id: id, picture_base64: await inBase64(file) });
  } catch (error) {
    error.field = "picture";
    throw error;
  }
  await lookUp([id]);
}

async function remove(character) {
  await data(supabase.from("character_portraits").delete().eq("character_id", character.id));
  await lookUp([character.id]);
  set({ said: t("The picture of {name} was removed.", character) });
}
