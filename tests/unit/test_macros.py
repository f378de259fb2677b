"""Macros in the texts of authors."""

import pytest

from roleplay_chat.api import ChatRequest
from roleplay_chat.prompt.macros import MAX_GROWTH, Macros, build_macros, expand, names_in
from tests.support.turns import accepted

MACROS = Macros(
    {"char": "Mara", "user": "Ada", "said": "{{user}} x"}, {"description": "{{user}} y"}
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{{char}} and {{user}}", "Mara and Ada"),
        ("{{Char}} {{ USER }}", "Mara Ada"),
        ("<USER>, <BOT>, <char>", "Ada, Mara, Mara"),
        ("<START> <b>", "<START> <b>"),
        ("{{nonsense}} {char} {{char", " {char} {{char"),
        ("a{{// to myself }}b{{comment: later}}c", "abc"),
        ("{{said}}", "{{user}} x"),
        ("{{description}}", "Ada y"),
        ("{{{char}}} and {{{{user}}}}", "Mara and Ada"),
        ("{{char|upper}} {{char::x}}", "Mara Mara"),
        ("{{random::{{char}}::Mara}}", "Mara"),
        ("{{{char} x}} {{char}}}", "{ Mara}"),
        ('{{"a": {"b": "{{char}}"}}} }}', '{{"a": {"b": "Mara"}}} }}'),
        ("{{}} {{ }} {{ {{char}} }}", "{{}} {{ }} Mara"),
    ],
)
def test_macros_are_expanded(text: str, expected: str) -> None:
    assert expand(text, MACROS) == expected


def test_text_grows_only_so_far() -> None:
    long = "x" * 20_000
    text = "{{said}}" * 800
    expanded = expand(text, Macros({"said": long}))
    assert expanded.startswith(long * 2)
    assert len(expanded) <= len(text) + MAX_GROWTH


def test_only_names_are_expanded_in_lists() -> None:
    assert names_in(MACROS).values == {"char": "Mara", "user": "Ada"}
    assert expand("{{char}}{{description}}{{said}}", names_in(MACROS)) == "Mara"


OLD = (
    "character_name character_description character_personality character_background"
    " character_speaking_style character_goals character_quirks character_relationships"
    " character_visual_description mood scene_context voice_examples voice_tone"
    " character_pronoun_they character_pronoun_them character_pronoun_their"
    " user_name user_gender user_appearance user_persona"
    " user_pronoun_they user_pronoun_them user_pronoun_their"
)
"""The placeholders of an older product's templates and characters."""


@pytest.mark.parametrize("persona", [None, {"name": "Reyes", "pronouns": "he/him"}])
@pytest.mark.parametrize("texts", [{"description": "A keeper.", "personality": "Dry."}, {}])
@pytest.mark.parametrize("name", OLD.split())
def test_placeholders_of_an_older_product_never_stay(
    name: str, texts: dict[str, str], persona: dict[str, str] | None
) -> None:
    person = persona and {"id": "00000000-0000-4000-8000-000000000001", **persona}
    turn = accepted(
        character={
            "id": "00000000-0000-4000-8000-000000000002",
            "name": "Mara",
            **texts,
        },
        persona=person,
    )
    macros = build_macros(turn.begun, ChatRequest(message="Hello."))
    for form in FORMS:
        for known in (macros, names_in(macros)):
            written = expand(form.replace("name", name), known)
            assert "{" not in written, form
            assert "}" not in written, form


FORMS = (
    *("{{name}}", "{{ name }}", "{{{name}}}", "{{{ name }}}", "{{{{name}}}}", "{{name|upper}}"),
    *("{{name | default: 'calm'}}", "{{name:x}}", "{{ {{name}} }}", "{{name {{mood}}}}"),
    *("{{character_{{name}}}}", "{{a {{name}} b}}", "{{a {{b {{name}} c}} d}}"),
    "{{user_{{character_{{name}}}}}}",
)
"""How a placeholder may be written."""


@pytest.mark.parametrize(
    "name", ["character_hobby", "USER_HOBBY", "scene_time", "character.mood", "character-name"]
)
def test_unknown_placeholders_of_its_look_are_left_out(name: str) -> None:
    assert expand(f"a {{{{{name}}}}} b", MACROS) == "a  b"


def test_values_bring_no_placeholders() -> None:
    character = {
        "id": "00000000-0000-4000-8000-000000000002",
        "name": "Mara",
        "description": "A keeper, {{mood}}, and {{character_pronoun_they}} knows {{user}}.",
        "pronouns": "she/her",
    }
    macros = build_macros(accepted(character=character).begun, ChatRequest(message="Hello."))
    assert expand("{{character_description}}", macros) == "A keeper, , and she knows Ada."


def test_placeholders_that_never_end_are_read_once() -> None:
    """Each takes far longer than a test may where every beginning is tried to the end."""
    for text in ("{" * 200_000, "{{a " * 100_000, "{{mood|" * 50_000, "{{ " + " " * 200_000):
        assert expand(text, MACROS) == text


@pytest.mark.parametrize(
    ("pronouns", "forms"),
    [
        ("she/her", "she her her"),
        ("He/Him", "he him his"),
        ("they/them", "they them their"),
        ("xe/xem", "they them their"),
        (None, "they them their"),
    ],
)
def test_forms_of_pronouns(pronouns: str | None, forms: str) -> None:
    mara = {"id": "00000000-0000-4000-8000-000000000002", "name": "Mara", "pronouns": pronouns}
    macros = build_macros(accepted(character=mara).begun, ChatRequest(message="Hello."))
    written = " ".join(f"{{{{character_pronoun_{form}}}}}" for form in ("they", "them", "their"))
    assert expand(written, macros) == forms


@pytest.mark.parametrize("place", PLACES := ("template", "character", "persona", "other", "scene"))
def test_no_placeholder_reaches_a_prompt(place: str) -> None:
    """From any field that authors write."""
