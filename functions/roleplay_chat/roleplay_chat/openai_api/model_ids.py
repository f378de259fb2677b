"""Characters as models: ids such as `mara-voss-c0ffee00-0000-4000-8000-000000000001`. Pure.

Only the character's id at the end counts, so an id stays valid when the character is renamed.
"""

import re
import unicodedata
from uuid import UUID

MOST_SLUG_CHARS = 40
_CHARACTER_ID = re.compile(r"(?:.*[^0-9a-f])?([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})", re.S)


def model_id(character_id: str, name: str) -> str:
    """The id of a character's model. A name without Latin letters or digits leaves the bare id."""
    plain = unicodedata.normalize("NFKD", name[:200]).encode("ascii", "ignore").decode().lower()
    slug = "-".join(re.findall(r"[a-z0-9]+", plain))[:MOST_SLUG_CHARS].strip("-")
    return f"{slug}-{character_id}" if slug else character_id


def character_of(model: str) -> UUID | None:
    """The character's id in a model's id; None if there is none."""
    found = _CHARACTER_ID.fullmatch(model[-300:].strip().lower())
    return UUID(found[1]) if found else None
