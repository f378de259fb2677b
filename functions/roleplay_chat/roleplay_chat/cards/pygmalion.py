"""The format of Pygmalion and text-generation-webui, which comes as JSON and as YAML."""

from roleplay_chat.cards.versions import Object

_FIELDS = {
    "char_name": "name",
    "name": "name",
    "char_persona": "description",
    "context": "description",
    "char_greeting": "first_mes",
    "greeting": "first_mes",
    "example_dialogue": "mes_example",
    "world_scenario": "scenario",
    "scenario": "scenario",
}
"""Both programs' names of a field. The first that says something counts."""


def is_character(value: Object) -> bool:
    """Whether this is a character of theirs."""
    if "char_name" in value:
        return True
    return "name" in value and ("context" in value or "greeting" in value)


def as_fields(value: Object) -> Object:
    """The character as a card's fields. Values without a field there keep their names."""
    fields = {name: kept for name, kept in value.items() if name not in _FIELDS}
    for name, ours in _FIELDS.items():
        if not fields.get(ours) and name in value:
            fields[ours] = value[name]
    return fields
