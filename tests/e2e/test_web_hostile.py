"""Texts of models, cards and users are hostile: the pages show them only as text."""

from __future__ import annotations

import json
from collections.abc import Iterator
from math import ceil
from typing import Any

import pytest
from playwright.sync_api import Browser, FilePayload, Request, expect

from tests.support.answers import text
from tests.support.node import evaluate
from tests.support.person import PASSWORD, Person
from tests.support.upstream import Upstream, running_upstream

FIRST_LOAD_BYTES = 200_000


@pytest.mark.parametrize(("path", "bundle"), [("/", "chat"), ("/console.html", "console")])
def test_first_load_is_small_and_strict(person: Person, path: str, bundle: str) -> None:
    loaded: dict[str, int] = {}

    def count(request: Request) -> None:
        loaded[request.url.removeprefix(person.url)] = request.sizes()["responseBodySize"]

    person.page.on("requestfinished", count)
    answer = person.page.goto(f"{person.url}{path}", wait_until="networkidle")
    assert answer is not None

    expect(person.page.get_by_label("Email")).to_be_visible()
    scripts = {name for name in loaded if name.endswith(".js")}
    assert scripts == {"/theme.js", "/config.js", f"/js/{bundle}.js"}
    assert 20_000 < sum(loaded.values()) < FIRST_LOAD_BYTES
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy
    assert "unsafe" not in policy
    assert person.page.locator("script:not([src]), style, [style]").count() == 0


@pytest.mark.parametrize("language", ["en-GB", "de-DE"])
def test_first_load_of_somebody_who_signs_in_is_small(
    person: Person, browser: Browser, language: str
) -> None:
    """With their rows, and the dictionary of their language."""
    person.make_account()
    context = browser.new_context(locale=language)
    page = context.new_page()
    loaded: list[int] = []
    page.on("requestfinished", lambda request: loaded.append(request.sizes()["responseBodySize"]))
    page.goto(person.url)
    page.locator("[name=email]").fill(person.email)
    page.locator("[name=password]").fill(PASSWORD)
    page.locator("form .primary").click()
    expect(page.locator(".who")).to_have_text("Ada")
    page.wait_for_load_state("networkidle")
    context.close()
    print(f"first load with a sign-in, {language}: {sum(loaded):,} bytes")
    assert 100_000 < sum(loaded) < FIRST_LOAD_BYTES


ELSEWHERE = "http://127.0.0.1:9"
HOSTILE = [
    '<script>window.hit = 1</script><img src=x onerror="window.hit = 1">',
    f"![pixel]({ELSEWHERE}/a.png) ![x][ref]\n\n[ref]: {ELSEWHERE}/b.png",
    "[press](javascript:window.hit=1) [press](data:text/html,<script>window.hit=1</script>)",
    f"<{ELSEWHERE}/auto> {ELSEWHERE}/bare <a href='{ELSEWHERE}' ping='{ELSEWHERE}'>link</a>",
    "<style>* { display: none }</style><div style='position: fixed; inset: 0'>over all</div>",
    f"<form action='{ELSEWHERE}'><input name=password><button>Sign in</button></form>",
    f"<link rel=stylesheet href={ELSEWHERE}/a.css> <meta http-equiv=refresh content=0;{ELSEWHERE}>",
    f"<iframe src={ELSEWHERE}></iframe><object data={ELSEWHERE}></object><base href={ELSEWHERE}>",
    "<svg onload=window.hit=1><style><img src=x onerror=window.hit=1></style></svg>",
    "<math><mtext><table><mglyph><style><!--</style><img title='--&gt;<img src=x onerror=hit=1>'>",
    f"```<img src={ELSEWHERE}/c.png>\n<script>window.hit = 1</script>\n```",
    f"| <img src={ELSEWHERE}/d.png> | `<b onclick=hit=1>` |\n|---|---|\n| a | [b]({ELSEWHERE}) |",
    "# <b id=app name=body>big</b>\n> <details open ontoggle=window.hit=1>",
]
COPY_BUTTON = '<button type="button" class="copy" aria-label="Copy this code"></button>'
FORBIDDEN = (
    "img, a, script, style, link, meta, base, form, input, iframe, object, svg, math, [style]"
)


@pytest.fixture
def elsewhere(person: Person) -> list[str]:
    """The requests to other origins than the pages' own."""
    left: list[str] = []

    def note(request: Request) -> None:
        if not request.url.startswith((person.url, "data:")):
            left.append(request.url)

    person.page.on("request", note)
    return left


class TestWords:
    def harmless(self, person: Person) -> None:
        """Checks that nothing ran and nothing covers the page."""
        page = person.page
        assert page.evaluate("[window.hit, document.body.onload]") == [None, None]
        assert page.locator("rp-prose").locator(FORBIDDEN).count() == 0
        attributes = page.evaluate(
            """(ours) => [...document.querySelectorAll("rp-prose *")]
          .filter((each) => each.outerHTML !== ours)
          .flatMap((each) => each.getAttributeNames())""",
            COPY_BUTTON,
        )
        assert set(attributes) <= {"start"}
        on_top = page.evaluate("""() => {
          const { left, top, width, height } =
            document.querySelector(".bar h1").getBoundingClientRect();
          return document.elementFromPoint(left + width / 2, top + height / 2).localName;
        }""")
        assert on_top == "h1"

    def test_replies_of_a_hostile_model(
        self, person: Person, scripted: Upstream, elsewhere: list[str]
    ) -> None:
        person.begin()
        person.ask_the_scripted_model()
        for start in range(0, len(HOSTILE), 5):
            scripted.enqueue(text("\n\n".join(["Good evening.", *HOSTILE[start : start + 5]])))
            person.say("Hello.")
            # Both while it streams and after it was saved.
            person.answered(3 + start // 5 * 2)
            self.harmless(person)
        person.page.reload()
        expect(person.said).to_have_count(7)
        assert person.said.filter(has_text="window.hit = 1").count() > 1
        self.harmless(person)
        assert elsewhere == []

    def test_every_kind_of_markup(self, person: Person, elsewhere: list[str]) -> None:
        """Including text that the reply filters would have cut off."""
        person.open()
        expect(person.page.get_by_label("Email")).to_be_visible()
        for markup in HOSTILE:
            person.page.evaluate(
                """(text) => {
                  document.querySelector("rp-prose")?.remove();
                  const prose = document.createElement("rp-prose");
                  prose.text = text;
                  document.body.append(prose);
                }""",
                markup,
            )
            prose = person.page.locator("rp-prose")
            assert prose.locator(FORBIDDEN).count() == 0, markup
            assert prose.locator("xpath=.//@*").count() == 0, markup
            assert prose.inner_text().strip(), markup
            assert person.page.evaluate("window.hit") is None, markup
            assert elsewhere == [], markup

    def test_card_of_a_hostile_author(self, person: Person, elsewhere: list[str]) -> None:
        person.begin()
        data: dict[str, Any] = {"name": "<img src=x onerror=hit=1>", "description": HOSTILE[0]}
        data |= {
            "first_mes": "\n\n".join(HOSTILE),
            "alternate_greetings": ["<script>hit=1</script>"],
        }
        card = {"spec": "chara_card_v2", "spec_version": "2.0", "data": data}
        raw = json.dumps(card).encode()
        file: FilePayload = {"name": "a.json", "mimeType": "application/json", "buffer": raw}
        person.page.locator("input[type=file]").set_input_files([file])
        person.press("Talk with <img", exact=False)
        expect(person.page.get_by_role("heading", level=1)).to_contain_text("<img src=x")
        self.harmless(person)
        person.press("Next greeting")
        self.harmless(person)
        person.press("Earlier greeting")
        person.press("Let <img", exact=False)
        person.answered(1)
        self.harmless(person)
        person.press("Characters")
        person.page.keyboard.press("Escape")
        assert elsewhere == []

    def test_markup_in_messages_is_only_words(self, person: Person) -> None:
        person.begin()
        hostile = (
            '<img src=x onerror="window.hit=1"> <script>window.hit=1</script>\n\n'
            "![pixel](https://evil.example/a.png) [click](javascript:window.hit=1) **bold**"
        )
        row = {"conversation_id": person.conversation_id, "sender": "user", "content": hostile}
        person.copy_call("POST", "/rest/v1/messages", row)
        person.page.reload()

        expect(person.said.last.locator("strong")).to_have_text("bold")
        expect(person.said.last).to_contain_text('<img src=x onerror="window.hit=1">')
        assert person.said.locator("img, a, script, [onerror]").count() == 0
        assert person.page.evaluate("window.hit") is None


MESSAGE_CHARS = 65_536
ENDLESS = [
    *[">", "> ", "x_y_", "*_", "a *b _c ", "[", "![", "[a](", "- ", "1. ", "~", "`", "<", "<!--"],
    *[
        "&amp;",
        "http://a.example/ ",
        "\\*",
        "```\n",
        "- a\n",
        "+ + + +\n",
        "|a",
        "a\n",
        "a\n\n",
        "x",
    ],
    *["\u202e", "\u200b", "e\u0301\u0301\u0301", "😀"],
]
"""Texts that are repeated to the maximum size of a message."""
DEEP = {
    "lists": "".join("  " * depth + "- a\n" for depth in range(250)),
    "numbered lists": "".join("   " * depth + "1. a\n" for depth in range(200)),
    "table": "|a" * 5000 + "|\n" + "|-" * 5000 + "|\n" + "|b\n" * 5000,
    "two thousand quotes": ">" * 2000,
}


class TestNothingStopsThePage:
    """Whatever a message contains, the others are drawn and it can be deleted."""

    @pytest.mark.parametrize("part", range(4))
    def test_messages_around_endless_ones(self, person: Person, part: int) -> None:
        person.begin()
        hostile = [(piece * MESSAGE_CHARS)[:MESSAGE_CHARS] for piece in ENDLESS[part::4]]
        hostile.append(list(DEEP.values())[part])
        person.insert_messages(
            *(
                message
                for content in hostile
                for message in (("character", content), ("user", "And then?"))
            )
        )
        expect(person.said.filter(has_text="And then?")).to_have_count(len(hostile))
        for place in range(1, len(hostile) + 1):
            person.delete(place)
        expect(person.said).to_have_count(1 + len(hostile))
        assert [row["content"] for row in person.stored()[1:]] == ["And then?"] * len(hostile)

    def test_reply_of_a_model_that_never_closes_what_it_opens(
        self, person: Person, scripted: Upstream
    ) -> None:
        person.begin()
        person.ask_the_scripted_model()
        scripted.enqueue(text("She says: " + "> *_[" * 3000), text("The sea is calm."))
        person.say("Hello.")
        person.answered(3)
        person.say("And the sea?")
        person.answered(5)
        expect(person.said.last).to_have_text("The sea is calm.")

    def test_text_on_which_the_parser_throws_is_shown_plain(
        self, person: Person, scripted: Upstream
    ) -> None:
        person.expected = ["Shown as plain text"]
        # DOMPurify is the only one who calls this.
        person.page.add_init_script("""
          const walk = Document.prototype.createNodeIterator;
          Document.prototype.createNodeIterator = function (...given) {
            if (window.isTooDeep) throw new RangeError("too deep");
            return walk.apply(this, given);
          };
        """)
        person.begin()
        person.ask_the_scripted_model()
        person.page.evaluate("window.isTooDeep = true")
        scripted.enqueue(text("She *waits*."))
        person.say("Hello.")
        person.answered(3)
        expect(person.said.last).to_have_text("She *waits*.")
        person.delete(2)
        expect(person.said).to_have_count(2)

    def test_growing_text_is_drawn_as_the_whole_one_is(self, person: Person) -> None:
        """Sections that are drawn stay; a different text is drawn from the start."""
        person.open()
        expect(person.page.get_by_label("Email")).to_be_visible()
        text = (
            "*She waits.* The lamp hisses, and **nobody** comes.\n\n" * 60
            + "> " * 99
            + "x_y_" * 999
        )
        [stayed, grown, whole, other] = person.page.evaluate(
            """(text) => {
              const drawn = (words) => {
                const prose = document.createElement("rp-prose");
                prose.text = words;
                return prose;
              };
              const prose = drawn("");
              const first = [];
              for (let end = 0; end <= text.length; end += 100) {
                prose.text = text.slice(0, end);
                if (prose.children.length > 1) first.push(prose.firstChild);
              }
              prose.text = text;
              const grown = prose.innerHTML;
              prose.text = "Another.";
              return [new Set(first).size, grown, drawn(text).innerHTML, prose.textContent.trim()];
            }""",
            text,
        )
        assert stayed == 1
        assert grown == whole
        assert "<strong>" in whole
        assert other == "Another."

    def test_many_at_once_are_drawn_as_far_as_there_is_time(self, person: Person) -> None:
        """The rest is plain text; later texts are drawn as usual."""
        person.open()
        expect(person.page.get_by_label("Email")).to_be_visible()
        text = "*ab* cdefghijklmn " * 400 + "the end"
        all_there_is_time_for = "module.DRAW_WORK / module.parsedWork(module.sections(given))"
        enough = ceil(evaluate("sections.js", all_there_is_time_for, text))
        [formatted, shown, later] = person.page.evaluate(
            """async ([text, count]) => {
              const drawn = () => {
                const prose = document.createElement("rp-prose");
                prose.text = text;
                return prose;
              };
              const many = Array.from({ length: count }, drawn);
              await new Promise((resolve) => setTimeout(resolve));
              return [
                many.filter((prose) => prose.querySelector("em")).length / many.length,
                many.every((prose) => prose.textContent.includes("the end")),
                drawn().querySelector("em") !== null,
              ];
            }""",
            [text, 4 * enough],
        )
        assert 0 < formatted < 0.5
        assert shown
        assert later

    def test_names_that_turn_around_or_hide_what_the_page_says(self, person: Person) -> None:
        person.begin()
        names = ["\u202egnisreveR", "\u200b\u2066", "W" * 120, "e" + "\u0301" * 119, "Two\nlines"]
        for name in names:
            person.character(name, description="{{char}} waits. " * 1200)
        person.page.reload()
        side = person.page.locator("#side li button > span:last-child")
        expect(side.filter(has_text="gnisreveR")).to_be_visible()
        shown = "".join(side.all_inner_texts())
        assert not set(shown) & {"\u202e", "\u2066"}
        assert "Somebody" in shown
        assert "Two lines" in shown
        assert "\u0301" * 5 not in shown
        for name in ("W" * 120, "gnisreveR"):
            person.page.locator("#side button", has_text=name).first.click()
            expect(person.page.get_by_role("heading", level=1)).to_contain_text(name)
            expect(person.page.get_by_label("Message to")).to_be_visible()
            assert person.page.evaluate("document.documentElement.scrollWidth <= innerWidth")


STOPPED = {
    "picture": "add('img', { src: elsewhere })",
    "script": "add('script', { textContent: 'hit = 1' })",
    "request": "fetch(elsewhere).catch(() => {})",
    "style": "add('style', { textContent: '* { color: red }' })",
    "form": "add('form', { action: elsewhere }), document.forms[1].submit()",
    "frame": "add('iframe', { src: elsewhere })",
    "markup": "document.body.innerHTML = '<b>hit</b>'",
}


class TestPolicy:
    """The browser's own policy blocks what gets past the sanitiser."""

    @pytest.fixture
    def other(self) -> Iterator[Upstream]:
        """A server that no request may reach."""
        with running_upstream() as upstream:
            yield upstream

    @pytest.mark.parametrize("what", list(STOPPED))
    @pytest.mark.parametrize("path", ["/", "/console.html"])
    def test_browser_blocks_scripts_styles_and_other_hosts(
        self, person: Person, other: Upstream, path: str, what: str
    ) -> None:
        person.expected = ["Content Security Policy", "TrustedHTML", "TrustedScript"]
        person.open(path)
        expect(person.page.get_by_label("Email")).to_be_visible()
        refused = person.page.evaluate(
            """async (elsewhere) => {
              const violation = new Promise((resolve) =>
                addEventListener("securitypolicyviolation", resolve, { once: true }));
              const add = (name, more) =>
                document.body.append(Object.assign(document.createElement(name), more));
              try { CODE } catch (error) { if (error.name !== "TypeError") throw error; }
              return (await violation).disposition;
            }""".replace("CODE", STOPPED[what]),
            other.url,
        )
        assert refused == "enforce"
        assert person.page.evaluate("window.hit") is None
        assert other.calls == []
