"""Types for the result of begin_turn. Field names are the database's."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from roleplay_chat.api import MemoryTier, Object, Tier


class Row(BaseModel):
    """A part of the result. Unknown columns are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True, defer_build=True)


class TurnRow(Row):
    """The new turn.

    `message` is the person's message, None if there is none; `speaker` is the name of the persona
    who wrote it, None if that is this turn's. `continues` is the reply to continue. `position` is
    that of the message, None if it is not stored.
    """

    id: UUID
    user_message_id: UUID | None = None
    message: str | None = None
    speaker: str | None = None
    continues: str | None = None
    position: int | None = None


class UserRow(Row):
    """The user."""

    name: str | None = None
    age_verified: bool = False


class ConversationRow(Row):
    """The conversation. With `content_tier` None, the request decides the tier."""

    id: UUID
    content_tier: Tier | None = None
    remembers: bool = False


class SettingsRow(Row):
    """The person's settings for the conversation: the author's note, the role of its message, how
    many messages follow it, and sampler settings by name."""

    note: str = ""
    note_depth: int = 4
    note_role: Literal["system", "user", "assistant"] = "system"
    sampling: Object = Field(default_factory=dict)
    stop: Sequence[str] = ()
    """Texts before which the reply ends. Only requests have them."""


class CharacterRow(Row):
    """A character, or the persona that the user plays. `age` is in years.

    `greetings` has the first message, then the alternate ones; blank ones keep their index. Those
    of `group_only_greetings` are for conversations with several characters. `depth_prompt` stands
    among the messages, with `depth_prompt_depth` of them after it.
    `character_book` is unvalidated JSON from the author's tool.
    """

    id: UUID
    name: str
    nickname: str | None = None
    description: str = ""
    personality: str = ""
    scenario: str = ""
    example_messages: str = ""
    system_prompt: str = ""
    post_history_instructions: str = ""
    depth_prompt: str = ""
    depth_prompt_depth: int = 4
    depth_prompt_role: Literal["system", "user", "assistant"] = "system"
    pronouns: str | None = None
    age: int | None = None
    content_rating: Tier = "sfw"
    greetings: list[str] = Field(default_factory=list)
    group_only_greetings: list[str] = Field(default_factory=list)
    character_book: Object | None = None
    is_own: bool = False
    """Whether the user is the author. Set only for the speaker."""

    def texts(self, *, greetings: bool = True, book: bool = True) -> list[str]:
        """All texts of the character that may reach a model or a person, with macros unexpanded.

        Derived from the fields, so that a text column added later is included.
        """
        return [
            *filter(None, (getattr(self, name) for name in TEXTS)),
            *((*self.greetings, *self.group_only_greetings) if greetings else ()),
            *(_contents(self.character_book) if book and self.character_book else ()),
        ]


TEXTS = tuple(
    name
    for name, field in CharacterRow.model_fields.items()
    if field.annotation in (str, str | None)
)
"""The text columns of a character."""


def _contents(book: Object) -> list[str]:
    entries = book.get("entries")
    rows = [row for row in entries if isinstance(row, dict)] if isinstance(entries, list) else []
    return [row["content"] for row in rows if isinstance(row.get("content"), str)]


class LorebookRow(Row):
    """A lorebook other than the character's own, and what it belongs to. `content` has the format
    of `character_book`."""

    id: UUID
    scope: Literal["conversation", "persona", "person", "everyone"]
    content: Object


class CastRow(Row):
    """What the content policy needs of a character who is present, is named or has spoken."""

    age: int | None = None
    content_rating: Tier = "sfw"


@dataclass(frozen=True, slots=True)
class MessageRow:
    """A message of the history. Positions increase.

    Not a pydantic model, because an instance keeps thousands of them (`turn_cache`), and a model
    takes four times the memory.
    """

    sender: Literal["user", "character"]
    content: str
    position: int = 0
    character_id: UUID | None = None
    speaker: str | None = None
    """The name of the character who spoke, or of the persona whom the user played then; None if
    that is this turn's."""


MAX_HISTORY_BYTES = 2**20
"""The most bytes of a history, as `private.most_history_bytes` says."""


class PrecedingRow(Row):
    """How many messages come before the history, and how many of them are replies."""

    messages: int = 0
    replies: int = 0


@dataclass(frozen=True, slots=True)
class RecalledRow(MessageRow):
    """A message that relates to what the person says; it may also be in the history."""

    score: float = 0
    """How closely it is related, for the order only."""
    said_at: datetime | None = None


class FactRow(Row):
    """A remembered sentence that holds now.

    `importance` is 1 to 5. With `subject` and `topic` it is the only one about them. `said_at` is
    the time of the message that it was drawn from, `since` the same where it replaced another fact
    that did not agree. `content_tier` is that of its source. `is_unread`: the person wrote it, and
    no notes were taken since; then `is_rated` tells whether they chose its importance, and `hides`
    what the text before hid.
    """

    id: UUID | None = None
    content: str
    pinned: bool = False
    importance: int = 3
    tier: MemoryTier = "conversation"
    content_tier: Tier = "sfw"
    written_by: Literal["person", "model"] = "person"
    subject: str | None = None
    topic: str | None = None
    said_at: datetime | None = None
    since: datetime | None = None
    position: int | None = None
    """The position of the last message that said it, if the fact's own message is in this
    conversation."""
    is_new: bool = False
    """Whether the person wrote it after the beginning of the prompt last changed."""
    is_unread: bool = False
    is_rated: bool = False
    hides: list[UUID] = Field(default_factory=list)
    is_shown: bool = True
    """Whether prompts show it. Notes are compared with all facts."""

    @property
    def is_fixed(self) -> bool:
        """Whether no model may change it."""
        return self.pinned or self.written_by == "person"

    @property
    def line(self) -> str:
        """The sentence as a prompt has it."""
        if self.since is None:
            return self.content
        return f"{self.content} (since {self.since.day} {self.since:%B %Y})"


def _visible_facts(facts: list[FactRow]) -> list[FactRow]:
    return [fact for fact in facts if _is_visible(fact.content)]


def _is_visible(text: str) -> bool:
    return any(char.isprintable() and not char.isspace() for char in text)


class MemoryRow(Row):
    """The summary of the messages up to `covers_position`; "" if there is none.

    `person_summary` is the person's part, which a model's `summary` continues. `backlog` has the
    oldest messages that are not summarised; some may also be in the history.

    If models failed to note these, `most_messages` is how many the next try may have, and
    `failures` how often one alone has failed since any was noted.
    """

    summary: str = ""
    person_summary: str = ""
    covers_position: int = 0
    content_tier: Tier = "sfw"
    may_write: bool = False
    """Whether a new summary may be written now."""
    most_messages: int | None = None
    failures: int = 0
    backlog: list[MessageRow] = Field(default_factory=list)

    @property
    def text(self) -> str:
        """Both parts of the summary."""
        return "\n".join(filter(_is_visible, [self.person_summary, self.summary]))


class TemplateRow(Row):
    """A prompt template. With `model_family` None it is for every model."""

    content_tier: Tier
    model_family: str | None = None
    system_prompt: str


class ProviderRow(Row):
    """The address of a provider, and how to authenticate."""

    name: str
    base_url: str
    auth_scheme: Literal["bearer", "header", "none"] = "bearer"
    auth_header_name: str = "Authorization"
    secret_name: str | None = None


class ModelRow(Row):
    """A model that a turn may use."""

    model_key: str
    display_name: str
    model_family: str | None = None
    endpoint_path: str | None = None
    input_defaults: Object = Field(default_factory=dict)
    capabilities: Object = Field(default_factory=dict)
    pricing: Object = Field(default_factory=dict)
    is_default: bool = False
    is_active: bool = True
    """False only for classifiers: configured, but switched off."""
    token_ratios: Object = Field(default_factory=dict)
    """The calibration of token estimates: see `tokens`."""
    repairs: Object = Field(default_factory=dict)
    """The learned form of requests: see `private.remember_repairs`."""
    vector_space: str = ""
    """What the embeddings of an embeddings model are saved under: see `private.vector_space`."""
    provider: ProviderRow


class WorkerRow(Row):
    """One of the team's own workers. `health` may have any shape."""

    name: str = "chat_worker"
    url: str | None = None
    config: Annotated[Object, BeforeValidator(lambda value: value or {})] = Field(
        default_factory=dict
    )
    secret_name: str | None = None
    health: Any = None
    priority: int = 100
    """The workers with the lowest number are asked first."""
    slots: int | None = None
    """How many turns it answers at the same time; None for any number."""
    running: int | None = None
    """How many turns it is answering; None if it has no limit."""
    token_ratios: Object = Field(default_factory=dict)
    repairs: Object = Field(default_factory=dict)


class CooldownRow(Row):
    """A model, provider or account that is not used before `until`."""

    scope: Literal["model", "provider", "account"]
    key: str
    until: datetime
    reason: str = ""


class BegunTurn(Row):
    """Everything that a turn needs, from one database call."""

    now: datetime
    free_only: bool = False
    """Whether today's budget is spent, so that only free models may be used."""
    turn: TurnRow
    user: UserRow
    conversation: ConversationRow | None = None
    settings: SettingsRow | None = None
    character: CharacterRow | None = None
    """The speaker."""
    others: list[CharacterRow] = Field(default_factory=list)
    """The other characters present, without the texts that only their own turns need."""
    persona: CharacterRow | None = None
    lorebooks: list[LorebookRow] = Field(default_factory=list)
    """Those of the conversation, the persona, the person and the installation, in this order."""
    cast: list[CastRow] = Field(default_factory=list)
    """Every character who is present, named in the request or in the history, but not the persona.
    """
    history: list[MessageRow] = Field(default_factory=list)
    is_cut: bool = False
    """Whether older messages, which no summary covers, are not in the history, because the database
    reads at most `most_bytes` bytes of messages."""
    most_bytes: int = MAX_HISTORY_BYTES
    preceding: PrecedingRow | None = None
    """None if the history is whole, or no entry of a lorebook counts messages."""
    recalled: list[RecalledRow] = Field(default_factory=list)
    """The messages that relate to the person's message, the best first."""
    memory: MemoryRow | None = None
    facts: Annotated[list[FactRow], AfterValidator(_visible_facts)] = Field(default_factory=list)
    """Those that matter most first: pinned ones, then by importance and use. Not the blank ones of
    an older version's rows."""
    variables: Object = Field(default_factory=dict)
    """What macros have set in the conversation before this turn's reply: texts by name."""
    last_said_at: datetime | None = None
    """When the person wrote the message before this turn's."""
    templates: list[TemplateRow] = Field(default_factory=list)
    models: list[ModelRow] = Field(default_factory=list)
    moderation_models: list[ModelRow] = Field(default_factory=list)
    """Classifiers, including inactive ones."""
    embedding_models: list[ModelRow] = Field(default_factory=list)
    """Embeddings models, if messages can be found by meaning."""
    workers: list[WorkerRow] = Field(default_factory=list)
    cooldowns: list[CooldownRow] = Field(default_factory=list)

    @property
    def shown_facts(self) -> list[FactRow]:
        """Those that prompts have."""
        return [fact for fact in self.facts if fact.is_shown]

    @property
    def summarised_position(self) -> int:
        """The last position that the summary covers; 0 if there is none."""
        return self.memory.covers_position if self.memory else 0

    @property
    def has_past(self) -> bool:
        """Whether anything was said before, in the history or in what the summary tells."""
        return bool(self.history) or self.summarised_position > 0

    @property
    def key(self) -> str:
        """The key that decides the worker of a turn: its conversation, else the turn itself."""
        return str(self.conversation.id if self.conversation else self.turn.id)
