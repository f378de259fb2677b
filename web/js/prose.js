// What people and models wrote, as formatted text. All of it is hostile: markup in it is shown as
// it stands, links and pictures become words (a picture would tell its host who reads), and the
// result passes DOMPurify.

import { Marked } from "../vendor/marked.js";

const TAGS = ["p", "br", "hr", "em", "strong", "del", "code", "pre", "blockquote", "ul", "ol", "li"];
const TABLES = ["table", "thead", "tbody", "tr", "th", "td"];
const ENTITIES = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };

const escaped = (text) => text.replace(/[&<>"]/g, (char) => ENTITIES[char]);

const marked = new Marked({
  breaks: true,
  gfm: true,
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

class Prose extends HTMLElement {
  #text;

  set text(text) {
    if (text === this.#text) return;
    this.#text = text;
    this.replaceChildren(
      globalThis.DOMPurify.sanitize(marked.parse(text), {
        ALLOWED_TAGS: [...TAGS, ...TABLES],
        ALLOWED_ATTR: ["start"],
        RETURN_DOM_FRAGMENT: true,
      }),
    );
  }
}
customElements.define("rp-prose", Prose);
