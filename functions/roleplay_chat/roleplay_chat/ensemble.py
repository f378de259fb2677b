"""Who takes part in a turn beside the character who speaks."""

from roleplay_chat.reply import Cast
from roleplay_chat.rows import BegunTurn


def cast_of(begun: BegunTurn) -> Cast:
    """Whose words a reply may be taken for."""
    people = [row.name for row in (begun.persona, begun.user) if row and row.name]
    return Cast(begun.character.name if begun.character else "", people)
