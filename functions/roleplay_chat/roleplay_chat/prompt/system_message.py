"""Writes the sections of the system message: template, character, persona, scene."""

from collections.abc import Mapping, Sequence

from roleplay_chat.api import ChatRequest, Tier
from roleplay_chat.prompt.composition import Section
from roleplay_chat.prompt.group_chat import introduction
from roleplay_chat.prompt.macros import Macros, without_placeholders, written
from roleplay_chat.prompt.passages import NO_WORDS, Piece, joined
from roleplay_chat.prompt.roles import PromptMessage
from roleplay_chat.rows import BegunTurn, CharacterRow, TemplateRow
from roleplay_chat.screening.decision import Part
from roleplay_chat.tokens import Tokens

HOUSE_RULES: dict[Tier, str] = {
    "sfw": "Keep everything suitable for a general audience: affection may be warm, but never"
    " explicit.",
    "nsfw": "Everyone in this story is an adult and willing.",
}
"""Part of every prompt, even if the author replaced the template."""
_FALLBACK_TEMPLATE = (
    "You are {{char}} in a fictional conversation with {{user}}. Stay in character."
)


def system_message(
    parts: Mapping[Section, Piece], world: Mapping[Section, tuple[Piece, Piece]]
) -> PromptMessage:
    """The sections in order, each between its lorebook entries."""
    sections: list[Piece] = []
    for name, part in parts.items():
        before, after = world.get(name, (NO_WORDS, NO_WORDS))
        sections += [before, part, after]
    return PromptMessage("system", joined("\n\n", sections))


def find_template(templates: Sequence[TemplateRow], tier: Tier, family: str | None) -> str:
    """The template of the tier for a model's family, else the one for all models."""
    fitting = [row for row in templates if row.content_tier == tier]
    exact = [row for row in fitting if family is not None and row.model_family == family]
    general = [row for row in fitting if row.model_family is None]
    return next((row.system_prompt for row in [*exact, *general]), _FALLBACK_TEMPLATE)


def own_prompt(begun: BegunTurn, house: Piece, macros: Macros) -> Piece:
    """The author's replacement for the template; empty if there is none."""
    text = begun.character.system_prompt if begun.character else ""
    return written(text, macros, "character", original=house)


def opening_section(tier: Tier, house: Piece, own: Piece, limit: int, tokens: Tokens) -> Piece:
    """The beginning of the system message: the template, or the author's replacement for it."""
    if not own.text.strip():
        return house
    # An author may replace the template, but neither drop the tier's rules nor push them out with a
    # long text before them.
    if house.text in tokens.beginning(own.text, limit):
        return own
    return joined("\n\n", [Piece.from_text(None, HOUSE_RULES[tier]), own])


def build_sections(
    begun: BegunTurn,
    request: ChatRequest,
    macros: Macros,
) -> dict[Section, Piece]:
    """The sections of the system message between template and memory, without the lorebook, uncut,
    in order."""
    scene = "\n".join(filter(None, [request.scene_description, request.scene_context]))
    scene_name = without_placeholders(request.scene_name or "", macros)
    scene_title = f"The scene: {scene_name}" if scene_name else "The scene"
    role = without_placeholders(request.user_role or "", macros)
    parts: dict[Section, Piece] = {
        "others": section("character", "Who else is there", introduction(begun, macros)),
    }
    if begun.character:
        parts |= _character_parts(begun.character, macros)
    else:  # There may be entries around them.
        parts |= {"description": NO_WORDS, "examples": NO_WORDS}
    if begun.persona:
        title = f"About {begun.persona.name}, played by the user"
        parts["persona"] = _author_section("persona", title, begun.persona.description, macros)
    return parts | {
        "role": section("persona", "The user plays", role),
        "scene": _author_section("scene", scene_title, scene, macros),
        "directions": _author_section(
            "scene", "Directions for the scene", request.scene_system_prompt or "", macros
        ),
    }


def _character_parts(character: CharacterRow, macros: Macros) -> dict[Section, Piece]:
    name = character.name
    vitals = [f"{name} is {character.age} years old." if character.age is not None else ""]
    vitals.append(f"{name}'s pronouns: {character.pronouns}." if character.pronouns else "")

    def titled(title: str, text: str) -> Piece:
        return _author_section("character", title, text, macros)

    return {
        "description": titled(f"About {name}", character.description),
        "vitals": Piece.from_text("character", " ".join(filter(None, vitals))),
        "personality": titled(f"{name}'s personality", character.personality),
        "scenario": titled("Scenario", character.scenario),
        "examples": titled(f"How {name} speaks", character.example_messages),
    }


def section(part: Part, title: str, text: str | None) -> Piece:
    """A section with a title. The title is screened with the text, since most contain a name."""
    text = text.strip() if text else ""
    return Piece.from_text(part, f"## {title}\n{text}") if text else NO_WORDS


def _author_section(part: Part, title: str, text: str, macros: Macros) -> Piece:
    """As `section`, for a text in which macros are expanded."""
    piece = written(text, macros, part).stripped()
    return Piece.from_runs([(part, f"## {title}\n"), *piece.runs]) if piece.runs else NO_WORDS


def section_cost(part: Piece, tokens: Tokens) -> int:
    """The tokens of a section, with the space after it."""
    return tokens.count(f"{part.text}\n\n") if part.runs else 0


def shortened(name: Section, part: Piece, limit: int, tokens: Tokens) -> Piece:
    """The section, cut to `limit` tokens; empty if little more than its title would be left."""
    text = part.text
    limit -= tokens.count("\n\n")
    title, is_titled, _ = text.partition("\n") if text.startswith("## ") else ("", "", "")
    cut = tokens.beginning(text, limit)
    if name == "examples":  # Whole lines.
        cut = cut.rpartition("\n")[0].rstrip().removesuffix("<START>")
    cut = cut.rstrip()
    return NO_WORDS if is_titled and len(cut) <= len(title) else part.beginning(len(cut))
