"""What begin_turn returns, typed. Field names are the database's."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from roleplay_chat.api import Object, Tier


class Row(BaseModel):
    """A part of what the database returns; columns it has beyond these are left out."""

    model_config = ConfigDict(extra="ignore", frozen=True, defer_build=True)


class TurnRow(Row):
    """The turn just opened.

    `message` is what the person said, None when they said nothing; `continues` the reply that
    is to be carried on.
    """

    id: UUID
    user_message_id: UUID | None = None
    message: str | None = None
    continues: str | None = None


class UserRow(Row):
    """The person."""

    name: str | None = None
    age_verified: bool = False


class ConversationRow(Row):
    """The conversation; `content_tier` None leaves the tier to the request."""

    id: UUID
    content_tier: Tier | None = None


class CharacterRow(Row):
    """A character, or the persona a person plays. `age` is in years.

    `greetings` may open a conversation, the author's first choice first; blank ones keep their
    place. `character_book` is as its author's tool wrote it.
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
    pronouns: str | None = None
    age: int | None = None
    content_rating: Tier = "sfw"
    greetings: list[str] = Field(default_factory=list)
    character_book: Object | None = None
    is_own: bool = False
    """The person is its author. Known of the speaker alone."""

    def texts(self, *, greetings: bool = True, book: bool = True) -> list[str]:
        """All that is written of them and may reach a model or a person: every text there is, so
        that one which is added later is among them. Macros are not expanded."""
        return [
            *filter(None, (getattr(self, name) for name in TEXTS)),
            *(self.greetings if greetings else ()),
            *(_contents(self.character_book) if book and self.character_book else ()),
        ]


TEXTS = tuple(
    name
    for name, field in CharacterRow.model_fields.items()
    if field.annotation in (str, str | None)
)
"""The columns of a character that are a text."""


def _contents(book: Object) -> list[str]:
    entries = book.get("entries")
    rows = [row for row in entries if isinstance(row, dict)] if isinstance(entries, list) else []
    return [row["content"] for row in rows if isinstance(row.get("content"), str)]


class CastRow(Row):
    """What the content policy asks of a character who is there, is named, or has spoken."""

    age: int | None = None
    content_rating: Tier = "sfw"


class MessageRow(Row):
    """Something said before; `anchor`: a history that is too long may begin here.

    `position` is greater than those of all messages before it.
    """

    sender: Literal["user", "character"]
    content: str
    anchor: bool = False
    position: int = 0
    character_id: UUID | None = None
    speaker: str | None = None
    """The name of the character who said it."""


class FactRow(Row):
    """One sentence that is remembered; `content_tier`: of what it was drawn from."""

    content: str
    pinned: bool = False
    content_tier: Tier = "sfw"


class MemoryRow(Row):
    """What was said before the history, retold, up to `covers_position`; "" for nothing.

    `backlog`: the oldest messages that are neither in it nor, for their number, in the history;
    some of it may be in the history all the same.
    """

    summary: str = ""
    covers_position: int = 0
    content_tier: Tier = "sfw"
    may_write: bool = False
    """Whether more may be retold now."""
    backlog: list[MessageRow] = Field(default_factory=list)


class TemplateRow(Row):
    """The frame of a prompt; `model_family` None fits every model."""

    content_tier: Tier
    model_family: str | None = None
    system_prompt: str


class ProviderRow(Row):
    """Where and how a provider is called."""

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
    """False only for a classifier: it is set up, and cannot be asked."""
    token_ratios: Object = Field(default_factory=dict)
    """What was learnt of its tokenizer: `tokens`."""
    provider: ProviderRow


class WorkerRow(Row):
    """The team's own worker as system_config knows it: its `health` in whatever shape."""

    url: str | None = None
    config: Annotated[Object, BeforeValidator(lambda value: value or {})] = Field(
        default_factory=dict
    )
    health: Any = None
    token_ratios: Object = Field(default_factory=dict)


class CooldownRow(Row):
    """Something that is not to be asked before `until`."""

    scope: Literal["model", "provider", "account"]
    key: str
    until: datetime
    reason: str = ""


class BegunTurn(Row):
    """Everything a turn needs, as one read."""

    now: datetime
    free_only: bool = False
    """The day's money is spent: only what costs nothing may be asked."""
    turn: TurnRow
    user: UserRow
    conversation: ConversationRow | None = None
    character: CharacterRow | None = None
    """Who speaks."""
    others: list[CharacterRow] = Field(default_factory=list)
    """Further characters who are there, without the texts that only their own turns need."""
    persona: CharacterRow | None = None
    cast: list[CastRow] = Field(default_factory=list)
    """Everybody who is in the conversation, named in the request, or speaks in the history; the
    persona apart."""
    history: list[MessageRow] = Field(default_factory=list)
    memory: MemoryRow | None = None
    facts: list[FactRow] = Field(default_factory=list)
    """Pinned ones first, then the newest."""
    templates: list[TemplateRow] = Field(default_factory=list)
    models: list[ModelRow] = Field(default_factory=list)
    moderators: list[ModelRow] = Field(default_factory=list)
    """Classifiers that are asked before a turn, also those that are switched off."""
    worker: WorkerRow = WorkerRow()
    cooldowns: list[CooldownRow] = Field(default_factory=list)
