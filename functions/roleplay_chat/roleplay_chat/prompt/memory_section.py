"""What is remembered: the summary and the facts in the system message, and new facts near the end
of the prompt."""

from collections.abc import Sequence

from msgspec import Struct

from roleplay_chat.prompt import recall
from roleplay_chat.prompt.composition import others_than
from roleplay_chat.prompt.passages import Piece
from roleplay_chat.prompt.system_message import section
from roleplay_chat.rows import BegunTurn, FactRow
from roleplay_chat.tokens import Tokens

KEPT_IMPORTANCE = 4
"""Facts of this importance are kept before the summary."""
TITLE = "What is remembered"


class PromptMemory(Struct, frozen=True):
    """The summary and the facts that fit, and the facts that do not."""

    text: str = ""
    left_out: Sequence[FactRow] = ()
    summary: str = ""
    """The beginning that fits."""

    @property
    def section(self) -> Piece:
        """The text under its title."""
        return section("memory", TITLE, self.text)


def build_memory(begun: BegunTurn, budget: int, tokens: Tokens) -> PromptMemory:
    """The summary and the facts within `budget` tokens.

    Pinned and important facts are kept, in at most half of it. Others are dropped first, the least
    important before the rest.
    """
    summary = begun.memory.text if begun.memory else ""
    facts = begun.shown_facts
    if not facts and not summary:
        return PromptMemory()
    kept = [fact for fact in facts if _is_kept(fact)]
    first, rest = _fact_lines(kept, budget // 2, tokens)
    budget -= tokens.count("\n".join([*first, ""]))
    fitting = tokens.beginning(summary, max(budget, 0))
    budget -= tokens.count(f"{fitting}\n")
    others = rest + [fact for fact in facts if not _is_kept(fact)]
    more, left_out = _fact_lines(others, budget, tokens)
    text = "\n".join(filter(None, [fitting, *first, *more]))
    return PromptMemory(text, left_out, fitting)


def shortened_memory(begun: BegunTurn, limit: int, tokens: Tokens) -> PromptMemory:
    """As `build_memory`, for a section of at most `limit` tokens with its title."""
    title = tokens.count("\n\n") + tokens.count(f"## {TITLE}\n")
    return build_memory(begun, limit - title, tokens)


def new_facts(begun: BegunTurn, budget: int, tokens: Tokens) -> list[FactRow]:
    """The facts that the person wrote since the beginning of the prompt last changed, within
    `budget` tokens. They move to the beginning when it changes anyway."""
    new = [fact for fact in begun.shown_facts if fact.is_new]
    title = tokens.count(f"{recall.NEW_FACTS_TITLE}\n")
    _, left_out = _fact_lines(new, budget - title, tokens)
    return others_than(new, left_out)


def without_facts(begun: BegunTurn, facts: Sequence[FactRow]) -> BegunTurn:
    """The turn without these facts."""
    if not facts:
        return begun
    return begun.model_copy(update={"facts": others_than(begun.facts, facts)})


def _is_kept(fact: FactRow) -> bool:
    return fact.pinned or fact.importance >= KEPT_IMPORTANCE


def _fact_lines(
    facts: Sequence[FactRow], budget: int, tokens: Tokens
) -> tuple[list[str], list[FactRow]]:
    """The lines of the facts that fit, and the other facts. A long one does not block those after
    it."""
    lines: list[str] = []
    left_out: list[FactRow] = []
    for fact in facts:
        line = f"- {fact.line}"
        cost = tokens.count(f"{line}\n")
        if cost > budget:
            left_out.append(fact)
        else:
            budget -= cost
            lines.append(line)
    return lines, left_out
