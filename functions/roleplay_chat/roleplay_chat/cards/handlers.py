"""The actions that import and export cards. Neither is a turn or calls a model."""

import base64
from collections.abc import Mapping
from logging import getLogger
from typing import Literal
from uuid import UUID

from msgspec.structs import asdict
from pydantic import BaseModel, ConfigDict, model_validator

from edge.clients import Clients
from edge.errors import ApiError
from edge.json_values import id_text
from roleplay_chat.api import Caller, Handler, Object, from_base64, validated
from roleplay_chat.cards import charx_file, files, json_file, png_file
from roleplay_chat.cards.assets import without_missing_files
from roleplay_chat.cards.errors import invalid, too_large
from roleplay_chat.cards.formats import lorebook_of
from roleplay_chat.cards.model import Card, exported
from roleplay_chat.cards.portrait import (
    IN_ARCHIVE,
    THE_PICTURE_ITSELF,
    has_inline_picture,
    is_elsewhere,
    with_inline_picture,
    with_picture,
    without_picture,
)
from roleplay_chat.cards.unsupported import row_of, unsupported
from roleplay_chat.cards.versions import NEWER, as_v2, as_v3, is_newer
from roleplay_chat.portraits.redraw import BLANK
from roleplay_chat.portraits.store import keep, load_png
from roleplay_chat.prompt.passages import character_passage
from roleplay_chat.screening.decision import Finding, Passage, content_refused, screen
from roleplay_chat.turn_store import blocked, count_action

PICTURE_NOT_KEPT = "The picture is not stored, only the card in it: there is no storage here."
PICTURE_LATER = "The picture could not be stored right now. You can add it later."
PICTURE_ELSEWHERE = "The picture is a link to another server, which is not followed."
PICTURE_NOT_READ = "The picture could not be read right now; the file has none."

Format = Literal["json", "png", "charx"]

_log = getLogger("roleplay_chat")

TOO_LARGE = (
    "This is too large to store. Delete or shorten entries of the lorebook, or divide it into two"
    " lorebooks, and import it again."
)
"""The database counts more bytes than a file has, for example of numbers such as 1e300."""


async def import_card(clients: Clients, caller: Caller, body: Object) -> Object:
    """Create a character from `card` (JSON) or `card_base64` (a file of any format), or a lorebook
    if the file is one.

    Raises `ApiError` 400 or 413 if the card is invalid, 403 if its content would be refused in
    every turn, 404 for a conversation or persona that is not the user's, 409 at the limit of
    characters or lorebooks, and 429 before the card is read.
    """
    await count_action(clients, caller.user_id, "import_card")
    place = validated(LorebookPlace, body)
    card, warnings, picture, is_lorebook = await clients.in_thread(_read, body)
    if finding := await clients.in_thread(_finding, card):
        fields = {
            "user_id": str(caller.user_id),
            "action": "import_card",
            "refused": asdict(finding),
        }
        _log.warning("content refused", extra={"fields": fields})
        raise content_refused(finding)
    if is_lorebook:
        saved = await _save_lorebook(clients, caller.user_id, card, place)
    else:
        saved = await _save_character(clients, caller.user_id, card)
        if picture:
            warnings += await _keep_picture(clients, caller, saved["character_id"], picture)
    return saved | {"success": True, "book_entries": card.book_entries(), "warnings": warnings}


async def _save_lorebook(
    clients: Clients, user_id: UUID, card: Card, place: "LorebookPlace"
) -> Object:
    parameters = {
        "p_user_id": str(user_id),
        "p_name": card.fields.name,
        "p_content": card.book,
        "p_conversation_id": id_text(place.conversation_id),
        "p_persona_id": id_text(place.persona_id),
    }
    saved = await clients.large_rpc("import_lorebook", parameters, person=user_id)
    _check(saved)
    ids = {"user_id": str(user_id), "lorebook_id": saved["lorebook_id"]}
    _log.info("lorebook imported", extra={"fields": ids})
    return {"lorebook_id": saved["lorebook_id"], "name": card.fields.name}


async def _save_character(clients: Clients, user_id: UUID, card: Card) -> Object:
    parameters = {"p_user_id": str(user_id), "p_character": card.columns(), "p_card": card.original}
    saved = await clients.large_rpc("import_character", parameters, person=user_id)
    _check(saved)
    ids = {"user_id": str(user_id), "character_id": saved["character_id"]}
    _log.info("card imported", extra={"fields": ids | {"version": card.version}})
    return {
        "character_id": saved["character_id"],
        "name": card.fields.name,
        "greetings": card.greetings(),
    }


async def _keep_picture(
    clients: Clients, caller: Caller, character_id: str, picture: bytes
) -> list[str]:
    """Store the picture, or warn why it was not stored: the character exists in either case."""
    try:
        await keep(clients, caller, UUID(character_id), picture)
    except ApiError as error:
        if error.code == "no_storage":
            return [PICTURE_NOT_KEPT]
        if error.code == "invalid_picture":
            return [] if error.message == BLANK else [error.message]
        return [PICTURE_LATER]
    return []


async def export_card(clients: Clients, caller: Caller, body: Object) -> Object:
    """Export a character as a card in `format`, if it is the user's own or public and visible.

    `json` is an object in the version of the imported card; `png` and `charx` are base64, and have
    the character's picture in them.
    Raises `ApiError` 400, 401, 403, 404 or 429.
    """
    request = validated(ExportRequest, body)
    await count_action(clients, caller.user_id, "export_card")
    parameters = {"p_user_id": str(caller.user_id), "p_character_id": str(request.character_id)}
    found = await clients.large_rpc("export_character", parameters)
    _check(found)
    card = await clients.in_thread(exported, found["character"], found["card"])
    picture, warnings = None, []
    if found["portrait"] and (request.format != "json" or has_inline_picture(card)):
        picture = await load_png(clients, caller, found["portrait"])
        warnings = [] if picture else [PICTURE_NOT_READ]
    file = await clients.in_thread(_written, card, picture, request.format)
    answer = {"success": True, "character_id": str(request.character_id), "format": request.format}
    return answer | {"warnings": warnings} | file


HANDLERS: Mapping[str, Handler] = {"import_card": import_card, "export_card": export_card}


class LorebookPlace(BaseModel):
    """Where an imported lorebook applies; without either field, everywhere."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    conversation_id: UUID | None = None
    persona_id: UUID | None = None

    @model_validator(mode="after")
    def _check_is_one(self) -> "LorebookPlace":
        if self.conversation_id and self.persona_id:
            raise ValueError("Send `conversation_id` or `persona_id`, not both.")
        return self


class ExportRequest(BaseModel):
    """A character's id, and the format of its card."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    character_id: UUID
    format: Format = "json"


def _read(body: Object) -> tuple[Card, list[str], bytes | None, bool]:
    """The card in a request, warnings for its owner, its picture, and whether it is a lorebook: a
    card that has nothing else."""
    # Removed from the request, so that the file's memory is freed once the card is read.
    file, encoded = body.pop("card", None), body.pop("card_base64", None)
    if (file is None) == (encoded is None):
        raise invalid("Send either `card` or `card_base64`.")
    if file is None:
        raw = _decoded(encoded)
        del encoded
        found = files.read(raw)
        del raw
    else:
        found = files.with_picture(file)
    lorebook = lorebook_of(found.card)
    card = Card.read(lorebook) if lorebook else Card.parse(found.card)
    newer = [NEWER] if is_newer(card.original) else []
    linked = [PICTURE_ELSEWHERE] if is_elsewhere(found.card) and not found.picture else []
    warnings = [*found.warnings, *linked, *newer, *card.warnings, *unsupported(card)]
    return card, warnings, found.picture, lorebook is not None


def _finding(card: Card) -> Finding | None:
    return screen(_passages(card), tier="sfw")


def _passages(card: Card) -> list[Passage]:
    """All texts of the card that may reach a model or another person."""
    row = row_of(card)
    read = row.model_copy(update={"greetings": [*row.greetings, *card.other_texts()]})
    return [character_passage("character", read)]


def _decoded(encoded: object) -> bytes:
    if not isinstance(encoded, str):
        raise invalid("`card_base64` must be text.")
    return from_base64(encoded, "card_base64", invalid)


def _check(done: Object) -> None:
    if done["outcome"] == "character_not_found":
        raise ApiError(404, "character_not_found", "This character does not exist.")
    if done["outcome"] == "too_large":
        raise too_large(TOO_LARGE)
    if done["outcome"] not in ("saved", "found"):
        raise blocked(done)


def _written(card: Object, picture: bytes | None, file_format: Format) -> Object:
    card = card if picture else without_picture(card)
    if file_format == "json":
        return {"card": with_inline_picture(card, picture) if picture else card}
    card = without_missing_files(card)
    write = _charx if file_format == "charx" else _png
    return {"card_base64": base64.b64encode(write(card, picture)).decode()}


def _charx(card: Object, picture: bytes | None) -> bytes:
    card = as_v3(card)
    if picture is None:
        return charx_file.write(json_file.write(card), {})
    card = with_picture(card, f"embeded://{IN_ARCHIVE}")
    return charx_file.write(json_file.write(card), {IN_ARCHIVE: picture})


def _png(card: Object, picture: bytes | None) -> bytes:
    if picture is not None and has_inline_picture(card):
        card = with_picture(card, THE_PICTURE_ITSELF)
    v2, v3 = json_file.write(as_v2(card)), json_file.write(as_v3(card))
    return png_file.write(v2=v2, v3=v3, picture=picture)
