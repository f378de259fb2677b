"""The form in which the sites of Chub and JanitorAI have characters.

There the personality is what a card calls the description, and the description is a note for
people.
"""

from roleplay_chat.cards.versions import Object

_FIELDS = {
    "personality": "description",
    "tavern_personality": "personality",
    "first_message": "first_mes",
    "example_dialogs": "mes_example",
    "example_dialogues": "mes_example",
    "description": "creator_notes",
}
_OWN = ("tavern_personality", "example_dialogs", "example_dialogues")
"""Names that no other program has."""


def is_character(value: Object) -> bool:
    """Whether this is a character of theirs."""
    return "name" in value and bool(value.get("personality")) and any(map(value.__contains__, _OWN))


def as_fields(value: Object) -> Object:
    """The character as a card's fields. Values without a field there keep their names."""
    fields = {name: kept for name, kept in value.items() if name not in _FIELDS}
    for name, ours in _FIELDS.items():
        if not fields.get(ours) and name in value:
            fields[ours] = value[name]
    greetings = fields.pop("first_messages", None)
    if isinstance(greetings, list) and greetings:
        first = fields["first_mes"] = fields.get("first_mes") or greetings[0]
        others = [greeting for greeting in greetings if greeting != first]
        fields["alternate_greetings"] = fields.get("alternate_greetings") or others
    return fields
