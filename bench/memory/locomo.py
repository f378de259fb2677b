"""Questions about long conversations of two people, in the format of the benchmark LoCoMo.

A conversation is replayed into the database, and each question is asked as the next message of one
of the two. What counts is how much of a question's evidence the prompt contains as messages: those
of the history, and earlier ones that were found. Summaries and facts do not count.

A file has `speaker_a`, `speaker_b`, `sessions` (`date`, and `messages` with `id`, `speaker` and
`text`) and `qa` (`question`, `category`, and in `evidence` the ids of the messages with the
answer). Questions of category 5 have no answer and are left out.

Files of the benchmark have odd records. A message without a text is its picture's caption, or left
out; an id may have another form (`D:1:03`), and a date that cannot be read is the day after the
session before. A question that nobody could ask, or that the content policy refuses, counts as not
found.
"""

import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch
from uuid import UUID, uuid4

from psycopg import sql

from bench.memory.function import (
    Function,
    RequestRefused,
    make_conversation,
    make_person,
    prepare,
    prepare_embeddings,
    undone,
)
from bench.memory.prefix import take_notes
from bench.memory.prompts import Prompt, prompt_tokens
from roleplay_chat.api import MAX_CONTENT_CHARS
from roleplay_chat.memory import embedder
from tests.support.postgres import Connection

CONTEXTS = (4_096, 8_192, 32_768)
MEANING_CONTEXT = 8_192
"""The context that is measured with an embeddings model."""
ADVERSARIAL = "5"
"""The category of questions without an answer."""
MOST_NAME_CHARACTERS = 80
_ID = re.compile(r"D:?(\d+):(\d+)", re.IGNORECASE)
_DATE = re.compile(r"(\d+):(\d+)\s*([ap]m) on (\d+) (\w+),?\s+(\d+)", re.IGNORECASE)


@dataclass(frozen=True)
class Said:
    """A message."""

    id: str
    speaker: str
    text: str
    at: datetime


@dataclass(frozen=True)
class Question:
    """A question, and the ids of the messages with its answer."""

    text: str
    evidence: Sequence[str]


@dataclass(frozen=True)
class Conversation:
    """What two people said. The person is the first speaker, the character the second."""

    person: str
    character: str
    messages: Sequence[Said]
    questions: Sequence[Question]
    left_out: int = 0
    """Further questions, without an answer or without evidence in a message."""


@dataclass(frozen=True)
class Asked:
    """What a question's prompt contained."""

    evidence: int
    found: int
    tokens: int
    """Estimated tokens of the prompt; 0 if the question was refused."""

    @property
    def share(self) -> float:
        """The share of the evidence in the prompt."""
        return self.found / self.evidence


@dataclass(frozen=True)
class Found:
    """The results with one context."""

    questions: int
    by_question: float
    """The average of the questions' shares."""
    evidence: int
    by_evidence: float
    """The share of all evidence."""
    tokens: float
    """Average tokens of a prompt."""

    @classmethod
    def from_asked(cls, asked: Sequence[Asked]) -> "Found":
        """Sum up what was asked."""
        evidence = sum(one.evidence for one in asked)
        tokens = [one.tokens for one in asked if one.tokens]
        return cls(
            questions=len(asked),
            by_question=sum(one.share for one in asked) / len(asked),
            evidence=evidence,
            by_evidence=sum(one.found for one in asked) / evidence,
            tokens=sum(tokens) / max(1, len(tokens)),
        )


class BadConversations(Exception):
    """There is nothing to ask; the message is a sentence that says why."""


def read_conversations(folder: Path) -> list[Conversation]:
    """The conversations of the JSON files in a folder. Raises `BadConversations`."""
    talks = [_read(path) for path in sorted(folder.glob("*.json"))]
    if not any(talk.questions for talk in talks):
        raise BadConversations(f"There is no JSON file with questions and evidence in {folder}.")
    return talks


def _read(path: Path) -> Conversation:
    try:
        return parse(json.loads(path.read_text()))
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise BadConversations(
            f"{path} is no conversation in LoCoMo's format, as those in tests/data/conversations"
            f" are ({type(error).__name__}: {error})."
        ) from error


def parse(data: Mapping[str, Any]) -> Conversation:
    """Parse a file. Evidence that names no message is left out, and questions without any."""
    messages = list(_messages(data["sessions"]))
    known = {said.id for said in messages}
    questions = []
    for asked in data["qa"]:
        evidence = [id_ for id_ in _ids(asked.get("evidence")) if id_ in known]
        if evidence and str(asked.get("category")) != ADVERSARIAL:
            questions.append(Question(_text(asked.get("question")), evidence))
    return Conversation(
        person=_name(data["speaker_a"]),
        character=_name(data["speaker_b"]),
        messages=messages,
        questions=questions,
        left_out=len(data["qa"]) - len(questions),
    )


def _messages(sessions: Sequence[Mapping[str, Any]]) -> Iterator[Said]:
    begun = datetime(2023, 1, 1, tzinfo=UTC)
    for session in sessions:
        begun = _parse_date(session.get("date")) or begun + timedelta(days=1)
        for minute, said in enumerate(session["messages"]):
            text = _text(said.get("text")) or _text(said.get("blip_caption"))
            if text and (id_ := next(iter(_ids(said["id"])), None)):
                yield Said(id_, _name(said["speaker"]), text, begun + timedelta(minutes=minute))


def _ids(named: Any) -> list[str]:
    """The ids in a text or in several, each once, in one form: D1:3."""
    texts = named if isinstance(named, list) else [named]
    found = _ID.findall(" ".join(map(str, texts)))
    return list(dict.fromkeys(f"D{int(session)}:{int(number)}" for session, number in found))


def _text(value: Any) -> str:
    """A text as the database can store it; nothing if it is none."""
    text = value if isinstance(value, str) else ""
    text = text.replace("\0", "").encode(errors="replace").decode()
    return text.strip()[:MAX_CONTENT_CHARS]


def _name(value: Any) -> str:
    return _text(value)[:MOST_NAME_CHARACTERS] or "Somebody"


def _parse_date(text: Any) -> datetime | None:
    """Parse a date such as "1:56 pm on 8 May, 2023"; None for others."""
    found = _DATE.fullmatch(_text(text))
    if found is None:
        return None
    hour, minute, half, day, month, year = found.groups()
    try:
        at = datetime.strptime(f"{day} {month} {year}", "%d %B %Y").replace(tzinfo=UTC)
        return at + timedelta(
            hours=int(hour) % 12 + 12 * (half.lower() == "pm"), minutes=int(minute)
        )
    except (ValueError, OverflowError):
        return None


def contains(prompt: Prompt, text: str) -> bool:
    """Whether a message stands in the prompt, in the history or among those that were recalled: as
    whole lines, perhaps after the name of who said it. The system message does not count."""
    shown = "\n".join(["", *(message["content"] for message in prompt[1:]), ""])
    return f"\n{text}\n" in shown or f": {text}\n" in shown


def replay(db: Connection, talk: Conversation) -> tuple[UUID, UUID]:
    """Store the conversation. Returns the ids of the person and of the conversation."""
    user_id, character_id = make_person(db, talk.person), uuid4()
    db.execute(
        "insert into characters (id, user_id, name, description, is_public)"
        " values (%s, %s, %s, '', false)",
        [character_id, user_id, talk.character],
    )
    conversation_id = make_conversation(db, user_id, character_id)
    insert = sql.SQL(
        "insert into messages (conversation_id, sender, content, created_at)"
        " values (%s, %s, %s, %s)"
    )
    with db.cursor() as cursor:
        cursor.executemany(
            insert,
            [
                (
                    conversation_id,
                    "user" if said.speaker == talk.person else "character",
                    said.text,
                    said.at,
                )
                for said in talk.messages
            ],
        )
    return user_id, conversation_id


async def compare(
    function: Function,
    talks: Sequence[Conversation],
    say: Callable[[str], None],
    contexts: Sequence[int] = CONTEXTS,
) -> tuple[dict[int, Found], dict[int, Found]]:
    """Ask every question with every context: before any notes were taken of the conversations, and
    after they were. Each question is undone before the next."""
    db = function.db
    replayed = [(talk, *replay(db, talk)) for talk in talks]
    db.execute("analyze")
    asked = sum(len(talk.questions) for talk in talks)
    say(f"{asked:,} questions to ask, {sum(talk.left_out for talk in talks):,} left out")
    plain, noted = {}, {}
    for context in contexts:
        prepare(db, context)
        plain[context] = await _ask_all(function, replayed)
        say(f"context {context:,}: {plain[context].by_question:.1%} of a question's evidence")
        with db.transaction(force_rollback=True):
            for _, user_id, conversation_id in replayed:
                await _catch_up(function, user_id, conversation_id)
            noted[context] = await _ask_all(function, replayed)
        say(f"context {context:,}, with notes: {noted[context].by_question:.1%}")
    return plain, noted


async def find_by_meaning(
    function: Function, talks: Sequence[Conversation], say: Callable[[str], None]
) -> Found:
    """Ask every question with the context `MEANING_CONTEXT` and the embeddings model of the
    function, after all messages were embedded. The model may be slow, and one person asks all."""
    with patch.multiple(
        embedder,
        QUERY_SECONDS=60,
        BATCH_SECONDS=600,
        COOLDOWN_SECONDS=0,
        KNOWN_SECONDS=sys.maxsize,
        MAX_QUERIES_A_MINUTE=sys.maxsize,
    ):
        return await _find_by_meaning(function, talks, say)


async def _find_by_meaning(
    function: Function, talks: Sequence[Conversation], say: Callable[[str], None]
) -> Found:
    db = function.db
    prepare(db, MEANING_CONTEXT)
    prepare_embeddings(db)
    replayed = [(talk, *replay(db, talk)) for talk in talks]
    for talk, user_id, conversation_id in replayed:
        before = sys.maxsize
        while (left := _without_embedding(db, conversation_id)) > 0:
            if left >= before:
                raise RuntimeError("The embeddings model does not answer any more.")
            before = left
            say(f"{left} messages of {talk.person}'s conversation to embed")
            await _pass(function, user_id, conversation_id)
    db.execute("analyze")
    before = function.embedded
    found = await _ask_all(function, replayed)
    asked = [question.text for talk in talks for question in talk.questions]
    if function.embedded - before < sum(map(embedder.is_harmless, asked)):
        raise RuntimeError("The embeddings model did not answer for each question.")
    say(f"context {MEANING_CONTEXT:,}, with an embeddings model: {found.by_question:.1%}")
    return found


def _without_embedding(db: Connection, conversation: UUID) -> int:
    row = db.execute(
        "select count(*) as left from messages m where m.conversation_id = %s and not exists"
        " (select from private.message_embeddings e where e.message_id = m.id)",
        [conversation],
    ).fetchall()[0]
    return int(row["left"])


async def _pass(function: Function, user: UUID, conversation: UUID) -> None:
    """A turn that leaves no messages."""
    await function.say(user, conversation, "Go on.", "I see.")
    function.db.execute(
        "delete from messages where conversation_id = %s and content in ('Go on.', 'I see.')",
        [conversation],
    )


async def _catch_up(function: Function, user: UUID, conversation: UUID) -> None:
    """Take notes of a conversation until none are due."""
    function.take_notes, steps = take_notes, -1
    while steps < function.steps:
        steps = function.steps
        await _pass(function, user, conversation)


async def _ask_all(
    function: Function, replayed: Sequence[tuple[Conversation, UUID, UUID]]
) -> Found:
    asked = [
        await _ask(function, talk, question, user_id, conversation_id)
        for talk, user_id, conversation_id in replayed
        for question in talk.questions
    ]
    return Found.from_asked(asked)


async def _ask(
    function: Function, talk: Conversation, question: Question, user: UUID, conversation: UUID
) -> Asked:
    texts = {said.id: said.text for said in talk.messages}
    with undone(function):
        try:
            prompt = await function.say(user, conversation, question.text, "I see.")
        except RequestRefused:
            return Asked(len(question.evidence), 0, 0)
    found = sum(contains(prompt, texts[id_]) for id_ in question.evidence)
    return Asked(len(question.evidence), found, prompt_tokens(prompt))
