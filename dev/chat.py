"""A conversation with the demo character, or another one, in the terminal."""

import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from uuid import uuid4

import httpx
from httpx_sse import EventSource, SSEError, connect_sse
from prompt_toolkit import PromptSession
from prompt_toolkit.completion import WordCompleter
from rich.console import Console

from dev.settings import Settings, read_env_file

WORKER = "chat_worker"
NOT_RUNNING = "The local stack is not running. `make dev` or `make up` starts it."
READ_SECONDS = 60
"""Longest silence of the stream; heartbeats come far more often."""

# Replies go to stdout and everything about them to stderr, so that a script gets the reply alone.
notes = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)


class Refused(Exception):
    """The sentence of an error envelope."""


class Chat:
    """The demo user's side of the conversation."""

    def __init__(self, http: httpx.Client, env: Mapping[str, str], model: str) -> None:
        self._http = http
        self._env = env
        self.model = model
        self.character_id = env["DEMO_CHARACTER_ID"]
        self.conversation_id = env["DEMO_CONVERSATION_ID"]
        self._key = {"apikey": env["SUPABASE_PUBLISHABLE_KEY"]}
        self._user_id = ""
        self._user: dict[str, str] = {}

    def sign_in(self) -> None:
        response = self._http.post(
            f"{self._env['SUPABASE_URL']}/auth/v1/token",
            params={"grant_type": "password"},
            headers=self._key,
            json={"email": self._env["DEMO_EMAIL"], "password": self._env["DEMO_PASSWORD"]},
        )
        if response.is_error:
            raise Refused("The demo user cannot sign in. `make reset` and a new start help.")
        session = response.json()
        self._user_id = session["user"]["id"]
        self._user = {**self._key, "Authorization": f"Bearer {session['access_token']}"}

    def data(self, method: str, path: str, body: Any = None) -> Any:
        """Rows of the Data API, as the demo user may see them."""
        self.sign_in()  # The last token may have run out.
        headers = {**self._user, "Prefer": "return=representation"}
        url = f"{self._env['SUPABASE_URL']}/rest/v1/{path}"
        response = self._http.request(method, url, headers=headers, json=body)
        if response.status_code == 409:
            raise Refused("That is there already.")
        if response.is_error:
            raise Refused(f"The database answered {response.status_code}: {response.text[:200]}")
        return response.json()

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

    def memory_row(self) -> dict[str, str]:
        """A new memory of this conversation."""
        whose = {"user_id": self._user_id, "conversation_id": self.conversation_id}
        return {"tier": "conversation", **whose}

    def meet(self, character_id: str) -> None:
        """Go on in the newest conversation with this character, or begin one."""
        self.character_id = character_id
        of_theirs = f"conversations?select=id&character_id=eq.{character_id}"
        found = self.data("GET", f"{of_theirs}&order=created_at.desc&limit=1")
        if found:
            self.conversation_id = found[0]["id"]
        else:
            self.start_conversation()

    def ask(self, **body: Any) -> dict[str, Any]:
        """What the function answers to a request that is no turn."""
        self.sign_in()
        url = f"{self._env['FUNCTIONS_URL']}/roleplay_chat"
        response = self._http.post(url, headers=self._user, json=body)
        if response.is_error:
            raise Refused(_sentence(response))
        answer: dict[str, Any] = response.json()
        return answer

    def newest(self, sender: str = "") -> dict[str, Any]:
        """The newest message, or that of `user` or `character`; `Refused` when there is none."""
        of_theirs = f"&sender=eq.{sender}" if sender else ""
        found = self._messages(f"is_active=is.true{of_theirs}&order=position.desc&limit=1")
        if not found:
            raise Refused("There is nothing here yet.")
        return found[0]

    def variants(self) -> list[dict[str, Any]]:
        """All versions of the newest reply, oldest first."""
        newest = self.newest("character")
        first = newest["variant_of"] or newest["id"]
        return self._messages(f"or=(id.eq.{first},variant_of.eq.{first})&order=created_at")

    def _messages(self, query: str) -> list[dict[str, Any]]:
        here = f"messages?conversation_id=eq.{self.conversation_id}&message_type=eq.text"
        rows: list[dict[str, Any]] = self.data("GET", f"{here}&{query}")
        return rows

    def turn(self, **fields: Any) -> Iterator[tuple[str, dict[str, Any]]]:
        """The events of one turn as (name, data); `Refused` when there is none."""
        body = {
            "conversation_id": self.conversation_id,
            "character_id": self.character_id,
            "model_provider": self.model,
            "client_message_id": str(uuid4()),
            "stream": True,
            **fields,
        }
        url = f"{self._env['FUNCTIONS_URL']}/roleplay_chat"
        for last_try in (False, True):
            with connect_sse(self._http, "POST", url, headers={**self._user}, json=body) as source:
                if source.response.status_code == 401 and not last_try:
                    self.sign_in()  # The token has run out.
                    continue
                yield from _events(source)
                return


def _events(source: EventSource) -> Iterator[tuple[str, dict[str, Any]]]:
    if source.response.is_error:
        source.response.read()
        raise Refused(_sentence(source.response))
    for event in source.iter_sse():
        yield event.event, event.json()


def _sentence(response: httpx.Response) -> str:
    try:
        return str(response.json()["error"])
    except (ValueError, KeyError, TypeError):
        return f"The function answered {response.status_code}."


def say(chat: Chat, **fields: Any) -> bool:
    """Take one turn and print the reply as it comes; False when there is no whole reply."""
    try:
        return _print_reply(chat.turn(**fields))
    except Refused as error:
        return _complain(str(error))
    except httpx.ConnectError:
        return _complain(NOT_RUNNING)
    except (httpx.HTTPError, SSEError) as error:
        return _complain(f"The connection broke: {error}")


def _print_reply(events: Iterator[tuple[str, dict[str, Any]]]) -> bool:
    streamed, told = "", ""
    for name, data in events:
        if name == "delta":
            streamed += data["text"]
            print(data["text"], end="", flush=True)
        elif name == "error":
            print("\n" if streamed else "", end="", flush=True)
            return _complain(str(data.get("error")))
        elif name in ("start", "done"):
            if name == "done":
                print("" if streamed else data["response"], flush=True)
            notice = data.get("notice") or _fallback(data)
            if notice and notice != told:
                notes.print(f"! {notice}", style="yellow", markup=False)
                told = notice
            if name == "done":
                seconds = data["processing_time"] / 1000
                notes.print(f"  {data['model_used']}, {seconds:.1f} s", style="dim", markup=False)
                return True
    return _complain("The reply was cut off.")


def _fallback(data: dict[str, Any]) -> str:
    return f"{data.get('fallbackModel')} answered instead." if data.get("usedFallback") else ""


def _complain(sentence: str) -> bool:
    notes.print(sentence, style="red", markup=False)
    return False


def model(chat: Chat, key: str) -> None:
    """/model: list the models; /model KEY: switch to that one."""
    models = chat.models()
    if not key:
        for row in models:
            mark = "*" if row["model_key"] == chat.model else " "
            default = " (default)" if row["is_default"] else ""
            notes.print(f"{mark} {row['model_key']}  {row['display_name']}{default}", markup=False)
    elif key in [row["model_key"] for row in models]:
        chat.model = key
        notes.print(f"Now asking {key}.", style="dim", markup=False)
    else:
        notes.print(f"There is no model {key}. /model lists them.", style="red", markup=False)


def new(chat: Chat, _: str) -> None:
    """/new: begin another conversation."""
    chat.start_conversation()
    notes.print("A new conversation.", style="dim")


def again(chat: Chat, _: str) -> None:
    """/again: ask for another version of the last reply."""
    say(chat, action="regenerate")


def go_on(chat: Chat, _: str) -> None:
    """/go on: have the last reply continued."""
    say(chat, action="continue")


def variants(chat: Chat, number: str) -> None:
    """/variants: list the versions of the last reply; /variants 1: go on with that one."""
    rows = chat.variants()
    if number.isdecimal() and 1 <= int(number) <= len(rows):
        chat.ask(action="choose", message_id=rows[int(number) - 1]["id"])
        print(rows[int(number) - 1]["content"])
        return
    for place, row in enumerate(rows, 1):
        mark = "*" if row["is_active"] else " "
        notes.print(f"{mark} {place}  {row['content']}", markup=False)


def edit(chat: Chat, words: str) -> None:
    """/edit WORDS: say this instead of what you said last, and have it answered."""
    said = chat.newest("user")
    chat.ask(action="edit", message_id=said["id"], message=words)
    say(chat, action="regenerate")


def delete(chat: Chat, _: str) -> None:
    """/delete: delete the last message, yours or the character's."""
    chat.ask(action="delete", message_id=chat.newest()["id"])
    notes.print("Deleted.", style="dim")


def branch(chat: Chat, _: str) -> None:
    """/branch: go on in a copy of this conversation; this one stays as it is."""
    copy = chat.ask(action="branch", message_id=chat.newest()["id"])
    chat.conversation_id = copy["conversation_id"]
    notes.print("Now in a branch.", style="dim")


def draft(chat: Chat, _: str) -> None:
    """/draft: have a model draft what you could say next. It is not said."""
    say(chat, action="impersonate")


def kickoff(chat: Chat, number: str) -> None:
    """/kickoff: let the character speak first; /kickoff 1: with another greeting."""
    say(chat, kickoff=True, **({"greeting": int(number)} if number.isdecimal() else {}))


def memory(chat: Chat, words: str) -> None:
    """/memory: what is remembered; /memory pin N, /memory forget N, /memory add TEXT."""
    from dev.memory import run  # It stands on this module.

    run(chat, words)


def card(chat: Chat, path: str) -> None:
    """/card FILE: import a character card and go on with that character."""
    from dev.card import bring  # It stands on this module.

    bring(chat, path)


def show_help(chat: Chat, _: str) -> None:
    """/help: this list."""
    for command in COMMANDS.values():
        notes.print(f"  {command.__doc__}", markup=False)
    notes.print("  /quit: leave. Ctrl-C stops a reply.")


COMMANDS: dict[str, Callable[[Chat, str], None]] = {
    "/model": model,
    "/again": again,
    "/go": go_on,
    "/variants": variants,
    "/edit": edit,
    "/delete": delete,
    "/branch": branch,
    "/draft": draft,
    "/kickoff": kickoff,
    "/new": new,
    "/memory": memory,
    "/card": card,
    "/help": show_help,
}


def typed_lines() -> Iterator[str]:
    """What the person types, until /quit or the end of input."""
    if not sys.stdin.isatty():
        yield from (line.strip() for line in sys.stdin)
        return
    words = WordCompleter([*COMMANDS, "/quit"], sentence=True)
    session: PromptSession[str] = PromptSession(completer=words, complete_while_typing=False)
    while True:
        try:
            yield session.prompt("\nYou: ").strip()
        except KeyboardInterrupt:
            continue
        except EOFError:
            return


def converse(chat: Chat) -> None:
    """Talk until the person leaves."""
    name, met = chat.character_name(), chat.character_id
    notes.print(f"This is {name}. /help lists the commands.", style="dim", markup=False)
    for line in typed_lines():
        word, _, rest = line.partition(" ")
        if word == "/quit":
            return
        try:
            if word in COMMANDS:
                COMMANDS[word](chat, rest.strip())
            elif word.startswith("/"):
                show_help(chat, "")
            elif line:
                if chat.character_id != met:
                    name, met = chat.character_name(), chat.character_id
                notes.print(f"{name}: ", style="bold magenta", end="", markup=False)
                say(chat, message=line)
        except KeyboardInterrupt:
            notes.print("\n(stopped)", style="dim")
        except Refused as error:
            _complain(str(error))


def main(settings: Settings, message: str | None, model_key: str, character: str | None) -> int:
    """Answer one message, or talk; the exit code is 1 when there was no answer."""
    env = read_env_file(settings.stack_env)
    if not env:
        return int(not _complain(NOT_RUNNING))
    timeout = httpx.Timeout(10, read=READ_SECONDS)
    with httpx.Client(timeout=timeout, trust_env=False) as http:
        try:
            chat = Chat(http, env, model_key)
            if character:
                chat.meet(character)
            if message:
                chat.sign_in()
                return 0 if say(chat, message=message) else 1
            converse(chat)
        except Refused as error:
            _complain(str(error))
            return 1
        except httpx.ConnectError:
            _complain(NOT_RUNNING)
            return 1
    return 0
