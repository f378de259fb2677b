"""The languages of the pages: every sentence of a script is in every dictionary."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from dev.languages import (
    DICTIONARIES,
    SCRIPTS,
    all_problems,
    bare,
    problems,
    read_dictionary,
    uses,
)
from tests.support.node import evaluate

MESSAGES = 'plural(n, { one: "{n} message", other: "{n} messages" })'


def found(source: str, dictionary: dict[str, Any]) -> list[str]:
    return problems(list(uses("a.js", source)), "de", dictionary)


def test_dictionaries_are_complete() -> None:
    assert all_problems() == []


def test_every_language_that_can_be_chosen_has_a_dictionary() -> None:
    offered = evaluate("language.js", "Object.keys(module.LANGUAGES)", None)
    assert sorted(offered) == sorted(["en", *(path.stem for path in DICTIONARIES.glob("*.json"))])


@pytest.mark.parametrize("path", sorted(DICTIONARIES.glob("*.json")), ids=lambda path: path.stem)
def test_sentences_stand_in_alphabetical_order(path: Path) -> None:
    assert list(read_dictionary(path)) == sorted(read_dictionary(path))


@pytest.mark.parametrize(
    ("source", "dictionary"),
    [
        ('t("Rename")', {"Rename": "Umbenennen"}),
        (r't("Say \"yes\"")', {'Say "yes"': "Sag „ja“"}),
        ('t(\n  "{a} and {b}",\n  { a, b })', {"{a} and {b}": "{b} und {a}"}),
        ('right("Rename"); x.t("Pin"); next("Undo")', {}),
        (MESSAGES, {"{n} messages": {"one": "Eine Nachricht", "other": "{n} Nachrichten"}}),
        (
            'plural(all.length, {\n one: "One of {a}",\n other: "{n} of {a}",\n}, { a })',
            {"{n} of {a}": {"one": "Eine von {a}", "other": "{n} von {a}"}},
        ),
    ],
)
def test_complete_dictionary_has_no_problem(source: str, dictionary: dict[str, Any]) -> None:
    assert found(source, dictionary) == []


@pytest.mark.parametrize(
    ("source", "dictionary", "problem"),
    [
        ('t("Rename")', {}, "de.json lacks “Rename” of a.js."),
        ("", {"Rename": "Umbenennen"}, "de.json has “Rename”, which no script uses."),
        ('t("Rename")', {"Rename": " "}, "de.json has an empty translation of “Rename”."),
        (
            't("{count} left", { count })',
            {"{count} left": "{anzahl} übrig"},
            "de.json has other placeholders than “{count} left”.",
        ),
        ('t("{a} {b}")', {"{a} {b}": "{a}"}, "de.json has other placeholders than “{a} {b}”."),
        (
            't("{a} left")',
            {"{a} left": "{a} {a}"},
            "de.json has other placeholders than “{a} left”.",
        ),
        (MESSAGES, {}, "de.json lacks “{n} messages” of a.js."),
        (
            MESSAGES,
            {"{n} messages": "{n} Nachrichten"},
            "de.json needs the forms “one” and “other” for “{n} messages” of a.js.",
        ),
        (
            MESSAGES,
            {"{n} messages": {"other": "{n} Nachrichten"}},
            "de.json needs the forms “one” and “other” for “{n} messages” of a.js.",
        ),
        (
            MESSAGES,
            {"{n} messages": {"one": "Eine {x}", "other": "{n} Nachrichten"}},
            "de.json has other placeholders than “{n} messages”.",
        ),
        (
            't("Pin")',
            {"Pin": {"one": "Anheften", "other": "Anheften"}},
            "de.json needs one sentence for “Pin” of a.js.",
        ),
    ],
)
def test_problem_of_a_dictionary_is_a_sentence(
    source: str, dictionary: dict[str, Any], problem: str
) -> None:
    assert found(source, dictionary) == [problem]


@pytest.mark.parametrize(
    "call", ["t(name)", "t('Pin')", "t(`Pin`)", 't("Pin" + x)', "plural(n, forms)"]
)
def test_sentence_that_is_no_literal_is_named_by_its_line(call: str) -> None:
    with pytest.raises(ValueError, match=r"^a\.js:2: give t and plural the sentence itself"):
        list(uses("a.js", f"first();\n{call};\nlast();"))


def test_sentence_that_is_twice_in_a_file_is_found(tmp_path: Path) -> None:
    path = tmp_path / "de.json"
    path.write_text('{"Pin": "Anheften", "Pin": "Heften"}')
    with pytest.raises(ValueError, match=r"A dictionary has “Pin” twice\."):
        read_dictionary(path)


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("html`<p>Hello</p>`", ["Hello"]),
        ("html`<p>${x} messages</p>`", ["messages"]),
        ("html`<p>A <b>bold</b>\n  word</p>`", ["A", "bold", "word"]),
        ("html`<p>${all.map((x) => html`<i>Inner ${x}</i>`)}</p>`", ["Inner"]),
        ('html`<input placeholder="Name" name="Name" />`', ["Name"]),
        ("html`<img alt='A cat' src='cat' />`", ["A cat"]),
        ('html`<b title="${x} of">${y}</b>`', ["of"]),
        ('html`<option value="a" label="Ah">${x ? "b" : `c`}</option>`', ["Ah"]),
        ("const pattern = /`/; html`<p>Да</p>`", ["Да"]),
        ("// it's\nhtml`<p>Hello</p>`", ["Hello"]),
        ("html`<p>${x.replace(/[`}]/g, '`')} left</p>`", ["left"]),
        ('html`<p>${t("Hello")} · ${n} ‹›&nbsp;</p>`', []),
        ('html`<p class="quiet" @click=${() => set({ a: "B" })}>${x}</p>`', []),
        ("`Plain text`", []),
        ('html`<p aria-label=${t("Hello")} dir="auto">${x > 1 ? y : nothing}</p>`', []),
    ],
)
def test_text_in_a_template_has_to_be_given_to_t(source: str, found: list[str]) -> None:
    texts = [problem.split("“")[1].split("”")[0] for problem in bare("a.js", source)]
    assert sorted(texts) == sorted(found)
    assert all(problem.startswith("a.js:") for problem in bare("a.js", source))


def test_text_of_scripts_that_is_read_is_not_empty() -> None:
    assert len(list(uses("parts.js", (SCRIPTS / "parts.js").read_text()))) >= 5


def translated(language: str, dictionary: dict[str, Any], call: str) -> str:
    made = "module.translator(given[1], given[0])"
    return str(
        evaluate("language.js", f"(({{ t, plural }}) => {call})({made})", [language, dictionary])
    )


@pytest.mark.parametrize(
    ("dictionary", "call", "text"),
    [
        ({}, 't("{a} of {b}", { a: 1, b: "<b>{a}" })', "1 of <b>{a}"),
        ({"{a} of {b}": "{b}: {a}"}, 't("{a} of {b}", { a: 1, b: 2 })', "2: 1"),
        ({}, 't("{n} left", { n: 12345 })', "12.345 left"),
        ({}, 't("toString")', "toString"),
        ({}, 't("{toString}")', "{toString}"),
        ({}, MESSAGES.replace("n,", "1,", 1), "1 message"),
        ({}, MESSAGES.replace("n,", "0,", 1), "0 messages"),
        (
            {"{n} messages": {"one": "Eine Nachricht", "other": "{n} Nachrichten"}},
            MESSAGES.replace("n,", "1,", 1),
            "Eine Nachricht",
        ),
        (
            {"{n} messages": {"one": "Eine Nachricht", "other": "{n} Nachrichten"}},
            MESSAGES.replace("n,", "2000,", 1),
            "2.000 Nachrichten",
        ),
    ],
)
def test_sentence_is_filled(dictionary: dict[str, Any], call: str, text: str) -> None:
    assert translated("de", dictionary, call) == text


def test_form_that_a_dictionary_lacks_is_the_one_for_other_numbers() -> None:
    forms = {"{n} messages": {"one": "{n} mensaje", "other": "{n} mensajes"}}
    million = translated("es", forms, MESSAGES.replace("n,", "1e6,", 1))
    assert re.fullmatch(r"1.000.000 mensajes", million)


@pytest.mark.parametrize(
    ("kept", "preferred", "language"),
    [
        (None, [], "en"),
        (None, ["de-AT", "en"], "de"),
        (None, ["fr-FR", "es-MX", "de"], "es"),
        (None, ["fr"], "en"),
        ("es", ["de"], "es"),
        ("en", ["de"], "en"),
        ("constructor", ["de"], "de"),
        ("", ["DE"], "de"),
    ],
)
def test_language_is_the_chosen_one_or_the_browsers(
    kept: str | None, preferred: list[str], language: str
) -> None:
    assert evaluate("language.js", "module.pick(...given)", [kept, preferred]) == language
