"""Tells what a JSON or YAML file is, and makes a card of other programs' characters."""

from collections.abc import Callable
from typing import Any

from edge.errors import ApiError
from roleplay_chat.cards import agnai, pygmalion, risuai, sites
from roleplay_chat.cards.errors import invalid
from roleplay_chat.cards.lorebooks import Lorebook, read_lorebook
from roleplay_chat.cards.repair import Warnings, kind_of
from roleplay_chat.cards.versions import (
    DESCRIBING,
    Object,
    as_v2,
    declares_card,
    describes_character,
    find_fields,
    has_data,
)

CONVERTED = "The character was converted from the format of {program}."
MAX_LOREBOOK_NAME = 120
UNNAMED = "Lorebook"
CHAT = "a chat of SillyTavern"
CHAT_ADVICE = (
    " Import it as a chat: on the page as a file that ends in .jsonl, in the terminal with /import,"
    " or with the action `import_chat`."
)
LOREBOOK_ADVICE = " Put it into a character's card as its lorebook, and import that card."
_PROGRAMS: tuple[tuple[str, Callable[[Object], bool], Callable[[Object], Object]], ...] = (
    ("Agnai", agnai.is_character, agnai.as_fields),
    ("RisuAI", risuai.is_character, risuai.as_fields),
    ("text-generation-webui", pygmalion.is_character, pygmalion.as_fields),
    ("Chub or JanitorAI", sites.is_character, sites.as_fields),
)
_MARKS: tuple[tuple[str, tuple[tuple[str, ...], ...]], ...] = (
    (
        CHAT,
        (("user_name", "character_name"), ("chat_metadata",), ("mes", "is_user")),
    ),
    (
        "a preset of SillyTavern",
        (("prompts", "prompt_order"), ("chat_completion_source",), ("openai_max_tokens",)),
    ),
    ("an instruct template of SillyTavern", (("input_sequence", "output_sequence"),)),
    ("a context template of SillyTavern", (("story_string",),)),
    ("a reasoning template of SillyTavern", (("prefix", "suffix", "separator"),)),
    ("a set of quick replies of SillyTavern", (("qrList",), ("quickReplySlots",))),
    ("a theme of SillyTavern", (("main_text_color",), ("blur_strength",))),
    ("a set of personas", (("persona_descriptions",), ("personas",))),
    ("a persona of RisuAI", (("personaPrompt",),)),
    ("a settings file of SillyTavern", (("power_user",), ("extension_settings",))),
    ("a script of SillyTavern", (("scriptName",), ("findRegex",))),
    ("a group of SillyTavern", (("members", "activation_strategy"),)),
    ("an extension of SillyTavern", (("display_name", "js"),)),
    ("a preset of RisuAI", (("mainPrompt",), ("promptTemplate",))),
    ("a chat of RisuAI", (("localLore", "message"),)),
    ("a backup of RisuAI", (("botPresets",),)),
    ("a scenario of NovelAI", (("scenarioVersion",),)),
    ("a story of NovelAI", (("storyContainerVersion",),)),
    ("a story of KoboldAI", (("gamestarted",), ("savedsettings",))),
    ("an instruction template", (("instruction_template",), ("turn_template",))),
    (
        "a model's settings",
        (
            *(("temperature", "top_p"), ("temperature", "top_k"), ("top_p", "top_k")),
            *(("temp", "top_p"), ("temp", "rep_pen"), ("temperature", "rep_pen")),
            ("temperature", "max_tokens"),
        ),
    ),
    (
        "the description of a JavaScript package",
        (
            *(("version", "dependencies"), ("version", "scripts"), ("version", "main")),
            *(("version", "license"), ("devDependencies",), ("private", "workspaces")),
        ),
    ),
    ("the manifest of an app", (("manifest_version",), ("start_url",), ("short_name",))),
    ("the description of an API", (("openapi",), ("swagger",))),
    ("a schema", (("$schema",),)),
    ("an export of a whole account", (("user", "characters"), ("user", "profile"))),
    ("a list of characters", (("characters",),)),
    ("a prompt", (("name", "content"),)),
)
"""Other kinds of files, by name, with the keys that identify each: all keys of any one group."""
CHATS_READ = (
    *(CHAT, "a chat", "a chat of Agnai", "a chat of RisuAI", "a list of chats of RisuAI"),
    "a story of KoboldAI",
)
"""The files that can be imported as chats."""
_CHATS = ("messages", "history", "histories", "internal", "data_visible", "chats")
"""Lists with these names contain messages."""
_OWN_TO_CHARACTERS = ("personality", "first_mes", "mes_example")


def as_card(value: Object, warnings: Warnings) -> tuple[Object, str | None]:
    """The card in a file, and the program that it was converted from. Raises `ApiError` 400."""
    if not declares_card(value) and (converted := _converted(value)):
        return converted
    if not declares_card(value):
        _check_is_character(value)
    elif not has_data(value) and not describes_character(value):
        raise _no_data()
    _note_envelope(value, warnings)
    return value, None


def lorebook_of(value: Object) -> Object | None:
    """A card that contains only the lorebook in a file, so that it is checked and screened like the
    lorebooks of cards; None if the file is something else."""
    if declares_card(value) or describes_character(value):
        return None
    if (found := read_lorebook(value)) is None or not found.entries:
        return None
    named = [value.get("name"), found.book.get("name")]
    names = [name.strip() for name in named if isinstance(name, str) and name.strip()]
    name = names[0][:MAX_LOREBOOK_NAME] if names else UNNAMED
    return as_v2({"name": name, "character_book": found.book})


def what_it_is(value: Object) -> str | None:
    """What a file is, if not a character; None if unknown."""
    if lorebook := read_lorebook(value):
        return _lorebook_with(lorebook)
    kind, type_ = value.get("kind"), value.get("type")
    if isinstance(kind, str) and kind in agnai.KINDS:
        return agnai.KINDS[kind]
    if isinstance(type_, str) and type_ in risuai.TYPES:
        return risuai.TYPES[type_]
    for name, groups in _MARKS:
        if any(all(mark in value for mark in marks) for marks in groups):
            return name
    return "a chat" if any(isinstance(value.get(name), list) for name in _CHATS) else None


def advice_for(what_it_is: str | None) -> str:
    """What to do with a file that can be imported, but not as a character."""
    return CHAT_ADVICE if what_it_is in CHATS_READ else ""


def no_character(what_it_is: str, advice: str = "") -> ApiError:
    """The error for a file that is something else; it says what to do."""
    return invalid(f"{what_it_is}, not a character.{advice}")


def _converted(value: Object) -> tuple[Object, str] | None:
    data = value.get("data")
    fields = data if isinstance(data, dict) else value
    is_other = "firstMessage" in fields or sites.is_character(fields)
    if _is_marked(fields) and not is_other:
        return None
    for program, is_character, as_fields in _PROGRAMS:
        if is_character(fields):
            card = as_v2(as_fields(fields))
            if not describes_character(find_fields(card)):
                raise _says_nothing(find_fields(card))
            return card, program
    return None


def _check_is_character(value: Object) -> None:
    """Raises `ApiError` 400 unless the fields are a character's."""
    fields = find_fields(value)
    is_other = isinstance(value.get("spec"), str) or what_it_is(fields) is not None
    if not describes_character(fields) or (is_other and not _is_marked(fields)):
        raise _refusal(value, fields)


def _is_marked(fields: Object) -> bool:
    """Whether the fields have a text under a name that only characters use."""
    return any(fields.get(name) for name in _OWN_TO_CHARACTERS)


def _refusal(value: Object, fields: Object) -> ApiError:
    found = what_it_is(value) or what_it_is(fields)
    is_lorebook = read_lorebook(value) is not None
    if value.get("spec") is not None and not is_lorebook:
        return invalid("This is not a character card: `spec` names another format.")
    if found:
        declared = "`spec` names another format: this" if "spec" in value else "This"
        advice = LOREBOOK_ADVICE if is_lorebook else advice_for(found)
        return no_character(f"{declared} is {found}", advice)
    if "data" in value and not isinstance(value["data"], dict):
        return _no_data()
    return _says_nothing(fields)


def _note_envelope(value: Object, warnings: Warnings) -> None:
    """Warn about oddities in the fields around the card's own."""
    if "data" in value and not has_data(value):
        warnings.add(("data",), f"is {kind_of(value['data'])}; the fields beside it were read")
    for name in ("spec", "spec_version"):
        stated = value.get(name)
        if stated is not None and not isinstance(stated, str):
            warnings.add((name,), f"is {kind_of(stated)}; it was left out")
    if isinstance(value.get("spec"), str) and not declares_card(value):
        warnings.add(("spec",), "names no version of a card; the file was read as one")


def _no_data() -> ApiError:
    return invalid("This is not a character card: `data` must be a JSON object.")


def _says_nothing(fields: Object) -> ApiError:
    if "name" not in fields:
        return invalid("This is not a character card: it has no `name`.")
    name: Any = fields["name"]
    if not isinstance(name, str) or not name.strip():
        return invalid("This is not a character card: its `name` is blank or no text.")
    texts = ", ".join(f"`{text}`" for text in DESCRIBING)
    return invalid(f"This is not a character card: it has a name, but none of {texts}.")


def _lorebook_with(lorebook: Lorebook) -> str:
    of = f" of {lorebook.program}" if lorebook.program else ""
    count = "1 entry" if lorebook.entries == 1 else f"{lorebook.entries:,} entries"
    return f"a lorebook{of} with {count}"
