// <rp-prose>: formatted text by people and models. The text is hostile: HTML is shown as text, links
// and images become words (an image would tell its host who reads it), and the result passes
// DOMPurify. Text that is too complex to parse is shown as plain text.

import DOMPurify from "dompurify";
import { Marked, Tokenizer } from "marked";
import { isBeside, withLetters } from "./emphasis.js";
import { t } from "./language.js";
import { DRAW_WORK, parsedWork, sections } from "./sections.js";

const TAGS = ["p", "br", "hr", "em", "strong", "del", "code", "pre", "blockquote", "ul", "ol", "li"];
const TABLES = ["table", "thead", "tbody", "tr", "th", "td"];
const ENTITIES = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };

const escaped = (text) => text.replace(/[&<>"]/g, (char) => ENTITIES[char]);

const marked = new Marked({
  breaks: true,
  gfm: true,
  // People and models write speech, not documents. What Markdown would take from it stays as it is:
  // "[Mara]: Hello." is no definition of a link, a line that begins with spaces is no code, and one
  // tilde strikes nothing out. Undefined means "no such token".
  tokenizer: {
    def: () => undefined,
    code: () => undefined,
    del: (source) => (source.startsWith("~~") ? false : undefined),
    emStrong(source, masked, before) {
      if (source[0] !== "*") return false;
      const [, next = ""] = /^\*+([\s\S]?)/.exec(source);
      const opens = isBeside(before) || isBeside(next);
      return Tokenizer.prototype.emStrong.call(this, source, withLetters(masked), opens ? "" : before);
    },
  },
  renderer: {
    html: ({ text }) => escaped(text),
    image: ({ text }) => escaped(text),
    link({ href, tokens }) {
      const text = this.parser.parseInline(tokens);
      return text === escaped(href) ? text : `${text} (${escaped(href)})`;
    },
    heading({ tokens }) {
      return `<p><strong>${this.parser.parseInline(tokens)}</strong></p>`;
    },
  },
});

let left = DRAW_WORK;

function spend(work) {
  if (left === DRAW_WORK) setTimeout(() => (left = DRAW_WORK));
  left -= work;
}

class Prose extends HTMLElement {
  #text = "";
  #sections = [];

  set text(text) {
    if (text === this.#text) return;
    const before = text.startsWith(this.#text) ? this.#sections : [];
    // The last section may have grown.
    const kept = Math.max(before.length - 1, 0);
    this.#sections = sections(text, before, left);
    spend(parsedWork(this.#sections.slice(kept)));
    this.#text = text;
    while (this.childNodes.length > kept) this.lastChild.remove();
    this.append(...this.#sections.slice(kept).map(draw));
  }
}
customElements.define("rp-prose", Prose);

function draw(section) {
  const part = document.createElement("div");
  if (section.plain) showPlain(part, section.text);
  else {
    try {
      part.append(formatted(section.text));
      part.querySelectorAll("pre").forEach(addCopy);
    } catch (error) {
      // A text that a library cannot parse must not stop others from being drawn.
      console.warn("Shown as plain text:", error.message);
      showPlain(part, section.text);
    }
  }
  return part;
}

/** A button above a block of code. Its word is in the style sheet, so that it is not part of the text. */
function addCopy(block) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "copy";
  button.setAttribute("aria-label", t("Copy this code"));
  button.onclick = () => button.dispatchEvent(new CustomEvent("copycode", { bubbles: true, detail: block.textContent }));
  block.before(button);
}

function showPlain(part, text) {
  part.className = "plain";
  part.textContent = text;
}

const formatted = (text) =>
  DOMPurify.sanitize(marked.parse(text), {
    ALLOWED_TAGS: [...TAGS, ...TABLES],
    ALLOWED_ATTR: ["start"],
    RETURN_DOM_FRAGMENT: true,
  });
