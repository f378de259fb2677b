"""What is saved of the answers: those about several batches as one, and only what holds. Pure."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import uuid4

from msgspec.structs import replace

from edge.patterns import compiled_later
from roleplay_chat.memory.answer import Written
from roleplay_chat.memory.batches import Batch
from roleplay_chat.memory.changes import resolve
from roleplay_chat.memory.comparison import Words
from roleplay_chat.memory.material import Material
from roleplay_chat.memory.noted_facts import Fact
from roleplay_chat.memory.outdated import outdated
from roleplay_chat.memory.target_fact import may_change
from roleplay_chat.memory.topics import MAX_FACT_CHARS
from roleplay_chat.prompt.macros import Macros
from roleplay_chat.rows import BegunTurn, FactRow, MemoryRow, MessageRow

MAX_USED = 50
"""Known facts that are saved as mentioned."""
MAX_SENTENCES = 60
"""Sentences of a summary that are compared with the known facts, each with each."""

_SENTENCE = compiled_later(r"[^.!?]+[.!?]*")


def unnoted(begun: BegunTurn) -> Written:
    """The result for a batch that is sent to no model: the old summary."""
    return Written(begun.memory.summary if begun.memory else "", [])


def retold(begun: BegunTurn, written: Written) -> BegunTurn:
    """The turn for the batch after the one that was `written`, whose new facts are known now, with
    the next numbers."""
    memory = begun.memory or MemoryRow()
    new = [_noted(fact) for fact in written.facts if fact.action != "withdraw"]
    return begun.model_copy(
        update={
            "memory": memory.model_copy(update={"summary": written.summary}),
            "facts": [*begun.facts, *new],
        }
    )


def _noted(fact: Fact) -> FactRow:
    return FactRow(
        id=uuid4(),
        content=fact.text,
        tier=fact.tier,
        written_by="model",
        subject=fact.subject or None,
        topic=fact.topic or None,
    )


def without_unfinished(noted: Sequence[tuple[Batch, Written]]) -> list[tuple[Batch, Written]]:
    """The batches without a last message whose later parts were not noted."""
    kept = list(noted)
    while kept and kept[-1][0].is_unfinished:
        kept.pop()
    return kept


def as_one(noted: Sequence[tuple[Batch, Written]], known: int) -> tuple[Batch, Written]:
    """Consecutive batches and what was written about them, merged as if it had been one request.
    `known` is the number of facts that were known before. Facts of an earlier batch that a later
    one replaces or withdraws are left out.
    """
    rows: list[MessageRow] = []
    changes: list[Fact] = []
    numbered: list[Fact] = []
    for batch, written in noted:
        earlier, said = list(numbered), batch.texts
        if batch.part == 0:
            rows += batch.rows
        before = len(rows) - len(batch.rows)
        for fact in written.facts:
            if fact.message:
                # A number that is too high must not refer to a message of the next batch.
                is_one = fact.message <= len(batch.rows)
                fact = replace(fact, message=before + fact.message if is_one else None)
            place = (fact.known or 0) - known - 1
            if 0 <= place < len(earlier) and may_change(fact, earlier[place], said):
                changes = [one for one in changes if one is not earlier[place]]
                fact = _instead_of(earlier[place], fact)
            if fact.action != "withdraw":
                numbered.append(fact)
            if fact.action != "withdraw" or fact.known:
                changes.append(fact)
    whole = replace(noted[0][0], rows=rows, part=0, parts=1)
    return whole, Written(noted[-1][1].summary, changes)


def _instead_of(earlier: Fact, fact: Fact) -> Fact:
    """A change to a fact that is not saved yet, redirected to the saved fact that this one changes,
    if any."""
    action = fact.action if earlier.known else "withdraw" if fact.action == "withdraw" else "add"
    return replace(fact, known=earlier.known, action=action)


def without_outdated(batch: Batch, written: Written, begun: BegunTurn, macros: Macros) -> Written:
    """The answer without the sentences of the summary that facts contradict."""
    material, (old, new) = _build_material(batch, begun, macros), _sentences(written, begun)
    changes = resolve(written.facts, material, new)
    stale = outdated(new, material, changes, is_new=True)
    stale |= outdated(old, material, changes, is_new=False)
    if not stale:
        return written
    sentences = _SENTENCE.findall(written.summary)
    kept = "".join(one for one in sentences if one.strip() not in stale).strip()
    return replace(written, summary=kept or written.summary)


def _build_material(batch: Batch, begun: BegunTurn, macros: Macros) -> Material:
    return Material(
        known=begun.facts,
        messages=[(row.position, text) for row, text in zip(batch.rows, batch.texts, strict=True)],
        person=macros["user"],
        character=macros["char"],
        of_person={row.position for row in batch.rows if row.sender == "user"},
    )


def _sentences(written: Written, begun: BegunTurn) -> tuple[list[str], list[str]]:
    """The sentences of the summary that the old one had, and the new ones. Skips long ones, and
    those beyond what a real summary has."""
    told = begun.memory.text if begun.memory else ""
    sentences = _SENTENCE.findall(written.summary)
    possible = [one.strip() for one in sentences if len(one) <= MAX_FACT_CHARS][:MAX_SENTENCES]
    return [one for one in possible if one in told], [one for one in possible if one not in told]


def to_save(batch: Batch, written: Written, begun: BegunTurn, macros: Macros) -> dict[str, Any]:
    """The result in the format of private.remember."""
    material, (_, new) = _build_material(batch, begun, macros), _sentences(written, begun)
    person_summary = begun.memory.person_summary if begun.memory else ""
    changes, used = resolve(written.facts, material, new), used_ids(material)
    return {
        "summary": written.summary,
        "from": batch.covers,
        "to": batch.upto,
        "digest": batch.digest,
        "person_digest": hashlib.sha256(person_summary.encode()).hexdigest(),
        "facts": [change | {"gist": Words(change["content"]).gist} for change in changes],
        "seen": _seen(begun.facts, changes, used),
        "read": _read_since(begun.facts),
        "used": used,
    }


def _read_since(known: Sequence[FactRow]) -> list[dict[str, Any]]:
    """What the person wrote since the last notes, in the format of private.read_own_facts."""
    return [
        {"id": str(row.id), "content": row.content, "importance": row.importance}
        for row in known
        if row.is_unread
    ]


def _seen(
    known: Sequence[FactRow], changes: Sequence[Mapping[str, Any]], used: Sequence[str]
) -> dict[str, str]:
    """By their ids, the texts of known facts that the changes name or that were used."""
    named = {
        str(one)
        for change in changes
        for one in (change.get("same_as"), change.get("extends"), *change.get("replaces", ()))
    }.union(used)
    return {str(row.id): row.content for row in known if str(row.id) in named}


def used_ids(material: Material) -> list[str]:
    """The ids of known facts that the messages mention: those with most of their words in them."""
    found = []
    for row in material.known:
        bearing = material.bearing(Words(row.content))
        if row.id is not None and bearing and 2 * len(bearing & material.said) > len(bearing):
            found.append(str(row.id))
    return found[:MAX_USED]
