"""Validates a card and maps it to columns of `characters`.

Strict about the fields that make a character and about sizes; `repair` reads the rest as it was
meant. The original card is stored in `character_cards`; the columns hold what a turn needs. An
exported card is the original with the author's later changes to the columns.
"""

import copy
import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from msgspec import Struct
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from edge.json_values import number_or_text
from roleplay_chat.api import FIRST_FAULT
from roleplay_chat.cards.errors import invalid, too_large
from roleplay_chat.cards.formats import CONVERTED, as_card
from roleplay_chat.cards.repair import Warnings, repaired
from roleplay_chat.cards.versions import Object, Version, as_v3, find_fields, parse_version
from roleplay_chat.lorebook.entries import parse_depth
from roleplay_chat.messages import Role

EXTENSION = "roleplay_backend"
"""The key in a card's `extensions` for what cards have no field for: {"age", "pronouns"}. An age is
read only from here."""

MAX_NAME = 120
MAX_TEXT = 20_000
"""Characters of one text. Every turn reads it, and longer texts would not fit a prompt anyway."""
MAX_INSTRUCTIONS = 8_000
"""Characters of the post-history instructions, and of the depth prompt: every prompt has them."""
MAX_GREETINGS = 64
MAX_GREETINGS_BYTES = 128 * 2**10
"""The limit for all alternate greetings together, and for all of groups."""
MAX_BOOK_BYTES = 512 * 2**10
"""The limit for a character book, which every turn reads from the database."""
MAX_BOOK_ENTRIES = 2_000
EMPTY = (
    "This card has a name, but nothing else that a model could read. Fill in at least one text,"
    " such as the description or the first message, and import it again."
)

TEXT_COLUMNS = {
    "name": "name",
    "description": "description",
    "personality": "personality",
    "scenario": "scenario",
    "first_mes": "first_message",
    "mes_example": "example_messages",
    "system_prompt": "system_prompt",
    "post_history_instructions": "post_history_instructions",
}
"""The columns of a card's texts, by the card's field names."""


def _instead_of_null(default: str | Object | list[Any]) -> BeforeValidator:
    return BeforeValidator(lambda value: default if value is None else value)


def _not_blank(name: str) -> str:
    if not name.strip():
        raise ValueError("must not be blank")
    return name


Remark = Annotated[str, _instead_of_null("")]
Text = Annotated[Remark, Field(max_length=MAX_TEXT)]
Texts = Annotated[list[Text], FIRST_FAULT, _instead_of_null([]), Field(max_length=MAX_GREETINGS)]
Name = Annotated[str, Field(max_length=MAX_NAME), AfterValidator(_not_blank)]

LISTS = ("alternate_greetings", "group_only_greetings")
OTHERS_READ = (*TEXT_COLUMNS, "nickname", *LISTS)
"""The fields of a card with texts for people."""
DEPTH_COLUMNS = {
    "depth_prompt": "prompt",
    "depth_prompt_depth": "depth",
    "depth_prompt_role": "role",
}
"""The columns of the extension `depth_prompt`, which SillyTavern calls the character's note."""
DEFAULT_DEPTH = 4

COLUMNS = (
    *TEXT_COLUMNS.values(),
    "nickname",
    *LISTS,
    "character_book",
    "age",
    "pronouns",
    *DEPTH_COLUMNS,
    "talkativeness",
)
"""The columns that a card fills."""


class Part(BaseModel):
    """A part of a card. Unknown fields are stored unchecked."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)


class BookEntry(Part):
    """The fields that the lorebook requires; it tolerates anything in the others."""

    keys: Annotated[list[str], FIRST_FAULT, _instead_of_null([])] = Field(default_factory=list)
    content: Remark = ""
    enabled: bool = True


class Book(Part):
    """A character's lorebook."""

    entries: Annotated[list[BookEntry], FIRST_FAULT] = Field(max_length=MAX_BOOK_ENTRIES)


class Own(Part):
    """This service's own extension of a card. `age` is in years."""

    age: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    pronouns: Annotated[str, Field(max_length=40)] | None = None


class DepthPrompt(Part):
    """A note among the messages, `depth` messages from the end."""

    prompt: Annotated[Remark, Field(max_length=MAX_INSTRUCTIONS)] = ""
    depth: float | None = None
    role: Role | None = None

    def columns(self) -> Object:
        """The note as columns of `characters`."""
        depth = parse_depth(self.depth)
        return {
            "depth_prompt": self.prompt if self.prompt.strip() else "",
            "depth_prompt_depth": DEFAULT_DEPTH if depth is None else depth,
            "depth_prompt_role": self.role or "system",
        }


class Extensions(Part):
    """A card's extensions. `talkativeness` is from 0 to 1, as a number or as text."""

    roleplay_backend: Annotated[Own, _instead_of_null({})] = Own()
    depth_prompt: Annotated[DepthPrompt, _instead_of_null({})] = DepthPrompt()
    talkativeness: float | str | None = None


class Fields(Part):
    """A card's fields, under the names common to all versions."""

    name: Name
    description: Text = ""
    personality: Text = ""
    scenario: Text = ""
    first_mes: Text = ""
    mes_example: Text = ""
    system_prompt: Text = ""
    post_history_instructions: Annotated[Remark, Field(max_length=MAX_INSTRUCTIONS)] = ""
    alternate_greetings: Texts = Field(default_factory=list)
    group_only_greetings: Texts = Field(default_factory=list)
    character_book: Book | None = None
    extensions: Annotated[Extensions, _instead_of_null({})] = Extensions()
    nickname: Annotated[Remark, Field(max_length=MAX_NAME)] = ""
    # Only displayed; validated so that clients can rely on the types.
    creator_notes: Remark = ""
    creator: Remark = ""
    character_version: Remark = ""
    tags: Annotated[list[str], FIRST_FAULT, _instead_of_null([])] = Field(default_factory=list)

    def says_something(self) -> bool:
        """Whether a model could read any text: without one, the character is only a name."""
        texts = [getattr(self, name) for name in TEXT_COLUMNS.keys() - {"name"}]
        texts += [self.extensions.depth_prompt.prompt]
        texts += [*self.alternate_greetings, *self.group_only_greetings]
        texts += (
            [entry.content for entry in self.character_book.entries] if self.character_book else []
        )
        return any(text.strip() for text in texts)


class Card(Struct, frozen=True):
    """A validated card. `warnings` name the fields that were not as they should be."""

    original: Object
    version: Version
    fields: Fields
    book: Object | None
    """The lorebook, with invalid values repaired or left out."""
    warnings: tuple[str, ...] = ()

    @classmethod
    def parse(cls, file: Object) -> "Card":
        """Validate a card of any version, or a character of another program, which is converted to
        a card. Raises `ApiError` 400 or 413."""
        card = cls.read(file)
        if not card.fields.says_something():
            raise invalid(EMPTY)
        return card

    @classmethod
    def read(cls, file: Object) -> "Card":
        """As `parse`, but the card may have nothing except a name, like our own characters."""
        warnings = Warnings()
        original, program = as_card(file, warnings)
        fields = repaired(find_fields(original), warnings)
        try:
            valid = Fields.model_validate(fields)
        except ValidationError as error:
            raise _card_error(error) from error
        _check_sizes(fields)
        converted = [CONVERTED.format(program=program)] if program else []
        return cls(
            original,
            parse_version(original),
            valid,
            fields.get("character_book"),
            (*converted, *warnings.sentences()),
        )

    def columns(self) -> Object:
        """The card as a row of `characters`."""
        texts = {column: getattr(self.fields, name) for name, column in TEXT_COLUMNS.items()}
        nickname = self.fields.nickname
        extensions = self.fields.extensions
        return texts | {
            "nickname": nickname if nickname.strip() else None,
            "alternate_greetings": list(self.fields.alternate_greetings),
            "group_only_greetings": list(self.fields.group_only_greetings),
            "character_book": self.book,
            **extensions.roleplay_backend.model_dump(),
            **extensions.depth_prompt.columns(),
            "talkativeness": number_or_text(extensions.talkativeness),
        }

    def other_texts(self) -> list[str]:
        """Texts that no turn uses, but other programs may show when the card is exported: V1's
        fields beside `data` if they differ, and values that were left out because of their type."""
        fields, data = find_fields(self.original), self.original.get("data")
        found = [fields.get(name) for name in OTHERS_READ if not isinstance(fields.get(name), str)]
        for beside in (self.original, data if isinstance(data, dict) else {}):
            values = ((beside.get(name), fields.get(name)) for name in OTHERS_READ)
            found += [value for value, own in values if value != own]
        found.append(_object(fields.get("extensions")).get("depth_prompt"))
        book = fields.get("character_book")
        found += _contents_in(book) if book != self.book else []
        return [text for value in found for text in _texts_in(value)]

    def greetings(self) -> int:
        """The number of greetings that are not blank."""
        texts = (self.fields.first_mes, *self.fields.alternate_greetings)
        return sum(1 for text in texts if text.strip())

    def book_entries(self) -> int:
        """The number of entries in the character book."""
        return len(self.fields.character_book.entries) if self.fields.character_book else 0


def exported(row: Mapping[str, Any], original: Object | None) -> Object:
    """The card for a row of `characters`: the original with the changes made since.

    `original` is None for a character that was not imported.
    """
    card = as_v3({"name": row["name"]}) if original is None else copy.deepcopy(original)
    before = Card.read(card).columns()
    _change(card, {name: row[name] for name in COLUMNS if row[name] != before.get(name)})
    return card


def _change(card: Object, changed: Object) -> None:
    fields = find_fields(card)
    names = {column: name for name, column in TEXT_COLUMNS.items()}
    for column, value in changed.items():
        if column in ("age", "pronouns"):
            _extend(fields, EXTENSION, column, value)
        elif column in DEPTH_COLUMNS:
            _extend(fields, "depth_prompt", DEPTH_COLUMNS[column], value)
        elif column == "talkativeness":
            fields["extensions"] = {**_object(fields.get("extensions")), column: value}
        elif value is None:
            fields.pop(column, None)
        else:
            name = names.get(column, column)
            fields[name] = value
            if name in card:  # Some tools also write V1's fields beside `data`, for older readers.
                card[name] = value


def _extend(fields: Object, extension: str, name: str, value: Any) -> None:
    extensions = _object(fields.get("extensions"))
    own = {**_object(extensions.get(extension)), name: value}
    kept = {key: known for key, known in own.items() if known is not None}
    fields["extensions"] = {**extensions, extension: kept}


def _texts_in(value: Any) -> Iterator[str]:
    """All texts in a value of any type."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _texts_in(inner)


def _contents_in(book: Any) -> Iterator[Any]:
    """The texts of a book's entries, under any program's names; all texts of a value that is not an
    entry."""
    if isinstance(book, dict):
        book = book.get("entries", book)
    rows = book.values() if isinstance(book, dict) else book if isinstance(book, list) else [book]
    for row in rows:
        is_entry = isinstance(row, dict)
        yield [row.get(name) for name in ("content", "entry", "text")] if is_entry else row


def _object(value: Any) -> Object:
    return value if isinstance(value, dict) else {}


def _card_error(error: ValidationError) -> Exception:
    first = error.errors(include_input=False, include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    fault = _FAULTS.get(first["type"], "must be {type}").format(
        type=_TYPES.get(first["type"], "of another type"), **first.get("ctx", {})
    )
    sentence = f"`{where}` {fault}."
    return too_large(sentence) if first["type"] in _TOO_LARGE else invalid(sentence)


_TOO_LARGE = ("string_too_long", "too_long")
_TYPES = {
    "string_type": "text",
    "int_type": "a whole number",
    "list_type": "a list",
    "model_type": "an object",
}
_FAULTS = {
    "missing": "is missing",
    "value_error": "must not be blank",
    "string_too_long": "is too long: at most {max_length:,} characters",
    "too_long": "has too many parts: at most {max_length:,}. Leave some out and import it again",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le:,}",
}


LESS = {
    **dict.fromkeys(LISTS, "Leave some of them out and import it again."),
    "character_book": "Delete or shorten entries, or move some to a lorebook of its own, and import"
    " that as well.",
}
"""What to do about parts that are too large."""


def _check_sizes(fields: Object) -> None:
    limits = {**dict.fromkeys(LISTS, MAX_GREETINGS_BYTES), "character_book": MAX_BOOK_BYTES}
    for name, limit in limits.items():
        size = len(json.dumps(fields.get(name), ensure_ascii=False).encode())
        if size > limit:
            raise too_large(
                f"`{name}` is too large: {size:,} bytes, at most {limit:,}. {LESS[name]}"
            )
