"""The demo user's client, over HTTP."""

import re
from collections.abc import Generator, Iterator, Mapping
from typing import Any
from uuid import UUID, uuid4

import httpx
from httpx_sse import EventSource, connect_sse

from dev.stack.stack import NOT_RUNNING

WORKER = "chat_worker"
READ_SECONDS = 60
"""Read timeout of a stream. Heartbeats arrive far more often."""
DATABASE_SECONDS = 15
"""Read timeout of the database."""
TOO_LATE = "The local stack did not answer in time. `make status` shows which part does not."
BROKEN = "The connection broke. `make status` shows which parts are down, `make up` starts them."
FAILED = "The database could not do this. `make verify` says whether it is well."
WRONG_VALUE = "A value has the wrong form, or is too large. Correct it and try again."
OUTDATED = "This terminal does not fit the database. Run `make down` and `make up`."
SENTENCES = {
    "23502": "Something is missing. Add it and try again.",
    "23503": "It refers to something that does not exist, or is still in use.",
    "23505": "This already exists.",
    "23514": "This value is not allowed. Correct it and try again.",
    "42501": "The demo user may not do this.",
    "PGRST116": "This is gone.",
}
"""What errors of the Data API mean, by their codes."""
_VALUE_CODE = re.compile(r"22...")
_OUTDATED_CODE = re.compile(r"PGRST[12]..|42P01|42703|42883")
"""Of a request that PostgREST cannot read, or for what it does not have."""

NEEDED = (
    "DEMO_CHARACTER_ID",
    "DEMO_CONVERSATION_ID",
    "SUPABASE_PUBLISHABLE_KEY",
)
"""Of what the stack writes for clients."""


def lost(error: Exception) -> str:
    """A sentence for a request without an answer, or with half of one."""
    if isinstance(error, httpx.ConnectError):
        return NOT_RUNNING
    return TOO_LATE if isinstance(error, httpx.TimeoutException) else BROKEN


class CommandFailed(Exception):
    """A command failed; the text is a sentence for the person, `code` is for programs."""

    def __init__(self, sentence: str, code: str = "") -> None:
        super().__init__(sentence)
        self.code = code


class Chat:
    """The demo user's side of the conversation."""

    def __init__(self, http: httpx.Client, env: Mapping[str, str], model: str) -> None:
        """Raises `CommandFailed` if the stack's environment lacks a value."""
        self._http = http
        self._env = env
        self.model = model
        if missing := [name for name in NEEDED if name not in env]:
            raise CommandFailed(
                f"stack.env has no {', '.join(missing)}. `make down` and `make up` write it again."
            )
        self.character_id = env["DEMO_CHARACTER_ID"]
        self.conversation_id = env["DEMO_CONVERSATION_ID"]
        self.seen_summary: tuple[str, dict[str, Any] | None] = ("", None)
        """The conversation whose summary was shown last, and its row."""
        self.seen_facts: tuple[str, list[tuple[str, str]]] = ("", [])
        """The conversation whose facts were listed last, and their ids and digests."""
        self._key = {"apikey": env["SUPABASE_PUBLISHABLE_KEY"]}
        self._user_id = ""
        self._user: dict[str, str] = {}

    def sign_in(self) -> None:
        response = self._http.post(
            f"{self._env['SUPABASE_URL']}/auth/v1/token",
            params={"grant_type": "password"},
            headers=self._key,
            json={"email": self._env["DEMO_EMAIL"], "password": self._env["DEMO_PASSWORD"]},
            timeout=DATABASE_SECONDS,
        )
        if response.status_code in (400, 401, 403):
            raise CommandFailed(
                "The demo user's password was changed. `make reset` deletes all local data, "
                "and the next start creates the demo user again."
            )
        if response.is_error:
            raise CommandFailed(FAILED)
        session = response.json()
        self._user_id = session["user"]["id"]
        self._user = {**self._key, "Authorization": f"Bearer {session['access_token']}"}

    def data(self, method: str, path: str, body: Any = None) -> Any:
        """Rows of the Data API that the demo user may see."""
        self.sign_in()  # The previous token may have expired.
        headers = {**self._user, "Prefer": "return=representation"}
        url = f"{self._env['SUPABASE_URL']}/rest/v1/{path}"
        response = self._http.request(
            method, url, headers=headers, json=body, timeout=DATABASE_SECONDS
        )
        if response.is_error:
            raise CommandFailed(database_error(response))
        return response.json()

    def is_turn_running(self) -> bool:
        """Whether a turn of this conversation is running, here or elsewhere."""
        here = f"conversation_id=eq.{self.conversation_id}&status=eq.running"
        return bool(self.data("GET", f"turns?select=id&{here}&limit=1"))

    def character_name(self) -> str:
        rows = self.data("GET", f"characters?select=name&id=eq.{self.character_id}")
        return str(rows[0]["name"]) if rows else "Character"

    def models(self) -> list[dict[str, Any]]:
        query = "select=model_key,display_name,is_default&is_active=eq.true&task=eq.roleplay"
        worker = {"model_key": WORKER, "display_name": "This machine's worker", "is_default": False}
        return [worker, *self.data("GET", f"api_models?{query}&order=priority")]

    def start_conversation(self) -> None:
        self.sign_in()
        row = {"user_id": self._user_id, "character_id": self.character_id}
        self.conversation_id = self.data("POST", "conversations", row)[0]["id"]

    def memory_row(self, tier: str = "conversation") -> dict[str, str]:
        """The columns of a memory of this conversation, its character, or the user."""
        row = {"user_id": self._user_id, "tier": tier}
        if tier == "conversation":
            row["conversation_id"] = self.conversation_id
        if tier == "character":
            row["character_id"] = self.character_id
        return row

    def meet(self, character_id: str) -> None:
        """Continue the newest conversation with this character, or start one."""
        if not _is_id(character_id) or not self._can_see(character_id):
            raise CommandFailed(f"There is no character {character_id}.")
        self.character_id = character_id
        of_theirs = f"conversations?select=id&character_id=eq.{character_id}"
        found = self.data("GET", f"{of_theirs}&order=created_at.desc&limit=1")
        if found:
            self.conversation_id = found[0]["id"]
        else:
            self.start_conversation()

    def _can_see(self, character_id: str) -> bool:
        return bool(self.data("GET", f"characters?select=id&id=eq.{character_id}"))

    def act(self, **body: Any) -> dict[str, Any]:
        """The function's response to a request that is not a turn."""
        self.sign_in()
        url = f"{self._env['FUNCTIONS_URL']}/roleplay_chat"
        response = self._http.post(url, headers=self._user, json=body)
        if response.is_error:
            raise _failure(response)
        answer: dict[str, Any] = response.json()
        return answer

    def newest(self, sender: str = "") -> dict[str, Any]:
        """The newest message, of `user` or `character` if given. Raises `CommandFailed`."""
        of_theirs = f"&sender=eq.{sender}" if sender else ""
        found = self._messages(f"is_active=is.true{of_theirs}&order=position.desc&limit=1")
        if not found:
            raise CommandFailed("There is nothing here yet.")
        return found[0]

    def last_messages(self, count: int) -> list[dict[str, Any]]:
        """The newest messages of the conversation, oldest first."""
        return self._messages(f"is_active=is.true&order=position.desc&limit={count}")[::-1]

    def variants(self) -> list[dict[str, Any]]:
        """All versions of the newest reply, oldest first."""
        newest = self.newest("character")
        first = newest["variant_of"] or newest["id"]
        return self._messages(f"or=(id.eq.{first},variant_of.eq.{first})&order=created_at")

    def _messages(self, query: str) -> list[dict[str, Any]]:
        here = f"messages?conversation_id=eq.{self.conversation_id}&message_type=eq.text"
        rows: list[dict[str, Any]] = self.data("GET", f"{here}&{query}")
        return rows

    def turn(self, **fields: Any) -> Generator[tuple[str, dict[str, Any]]]:
        """The events of one turn as (name, data). Raises `CommandFailed` if there are none."""
        body = {
            "conversation_id": self.conversation_id,
            "character_id": self.character_id,
            "model_provider": self.model,
            "client_message_id": str(uuid4()),
            # Facts may be moved to any tier here, and are then used.
            "memory_tier": "profile",
            "stream": True,
            "on_disconnect": "stop",
            **fields,
        }
        url = f"{self._env['FUNCTIONS_URL']}/roleplay_chat"
        for last_try in (False, True):
            with connect_sse(self._http, "POST", url, headers={**self._user}, json=body) as source:
                if source.response.status_code == 401 and not last_try:
                    self.sign_in()  # The token has expired.
                    continue
                yield from _events(source)
                return


def _events(source: EventSource) -> Iterator[tuple[str, dict[str, Any]]]:
    if source.response.is_error:
        source.response.read()
        raise _failure(source.response)
    for event in source.iter_sse():
        yield event.event, event.json()


def _failure(response: httpx.Response) -> CommandFailed:
    """The error of the function's response."""
    try:
        envelope = response.json()
        return CommandFailed(str(envelope["error"]), str(envelope.get("code", "")))
    except (ValueError, KeyError, TypeError, AttributeError):
        return CommandFailed(f"The function answered {response.status_code}.")


def database_error(response: httpx.Response) -> str:
    """A sentence for an error of the Data API, whose own words quote rows and the schema."""
    try:
        error = response.json()
        code, message = str(error["code"]), str(error["message"])
    except (ValueError, KeyError, TypeError):
        return FAILED
    if code.startswith("PT"):  # Written for people, by our database.
        return " ".join(filter(None, (f"{message.removesuffix('.')}.", error.get("hint"))))
    if _VALUE_CODE.fullmatch(code):
        return WRONG_VALUE
    return SENTENCES.get(code, OUTDATED if _OUTDATED_CODE.fullmatch(code) else FAILED)


def _is_id(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
