"""A conversation with the demo character, or another one, in the terminal."""

import difflib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
from prompt_toolkit import PromptSession
from prompt_toolkit.completion import WordCompleter
from prompt_toolkit.history import FileHistory

from dev.settings import Settings, read_env_file
from dev.stack.stack import NOT_RUNNING
from dev.terminal.card import bring
from dev.terminal.chat_file import bring_chat, write_chat
from dev.terminal.client import READ_SECONDS, Chat, CommandFailed, lost
from dev.terminal.memory import run
from dev.terminal.output import complain, keeping_typed_text, printable, tell
from dev.terminal.reply import NotSent, say
from dev.terminal.why import explain

LAST_MESSAGES = 4
LAST_CHARS = 600
"""How much of the conversation is shown at the start."""


def model(chat: Chat, key: str) -> None:
    """/model: list the models; /model KEY: switch to that one."""
    models = chat.models()
    if not key:
        for row in models:
            mark = "*" if row["model_key"] == chat.model else " "
            default = " (default)" if row["is_default"] else ""
            tell(f"{mark} {row['model_key']}  {row['display_name']}{default}")
    elif key in [row["model_key"] for row in models]:
        chat.model = key
        tell(f"Now asking {key}.", "dim")
    else:
        tell(f"There is no model {key}. /model lists them.", "red")


def new(chat: Chat, _: str) -> None:
    """/new: start a new conversation."""
    chat.start_conversation()
    tell("Started a new conversation.", "dim")


def again(chat: Chat, _: str) -> None:
    """/again: regenerate the last reply."""
    say(chat, action="regenerate")


def go_on(chat: Chat, _: str) -> None:
    """/go on: continue the last reply."""
    say(chat, action="continue")


def variants(chat: Chat, number: str) -> None:
    """/variants: list the versions of the last reply; /variants 1: use that one."""
    rows = chat.variants()
    if number.isdecimal() and 1 <= int(number) <= len(rows):
        chat.act(action="choose", message_id=rows[int(number) - 1]["id"])
        print(printable(rows[int(number) - 1]["content"]))
        return
    for place, row in enumerate(rows, 1):
        mark = "*" if row["is_active"] else " "
        tell(f"{mark} {place}  {row['content']}")


def edit(chat: Chat, words: str) -> None:
    """/edit WORDS: replace your last message and get a new reply."""
    said = chat.newest("user")
    chat.act(action="edit", message_id=said["id"], message=words)
    say(chat, action="regenerate")


def delete(chat: Chat, _: str) -> None:
    """/delete: delete the last message, yours or the character's."""
    chat.act(action="delete", message_id=chat.newest()["id"])
    tell("Deleted.", "dim")


def branch(chat: Chat, _: str) -> None:
    """/branch: continue in a copy of this conversation; this one stays unchanged."""
    copy = chat.act(action="branch", message_id=chat.newest()["id"])
    chat.conversation_id = copy["conversation_id"]
    tell("Now in the branch.", "dim")


def draft(chat: Chat, _: str) -> None:
    """/draft: draft your next message without sending it."""
    say(chat, action="impersonate")


def kickoff(chat: Chat, number: str) -> None:
    """/kickoff: let the character speak first; /kickoff 1: use another greeting."""
    greeting: dict[str, Any] = {"greeting": int(number)} if number.isdecimal() else {}
    say(chat, kickoff=True, **greeting)


def memory(chat: Chat, words: str) -> None:
    """/memory: show the summary and facts; /memory help: add, pin, change, move, forget, ..."""

    run(chat, words)


def why(chat: Chat, _: str) -> None:
    """/why: show what the prompt of the last reply was made of."""
    explain(chat)


def card(chat: Chat, path: str) -> None:
    """/card FILE: import a character card and chat with that character."""

    bring(chat, path)


def import_chat(chat: Chat, path: str) -> None:
    """/import FILE: make a conversation of a SillyTavern chat (.jsonl) with this character."""
    bring_chat(chat, path)


def export_chat(chat: Chat, path: str) -> None:
    """/export FILE: write this conversation as a SillyTavern chat (.jsonl)."""
    write_chat(chat, path)


def hide(chat: Chat, word: str) -> None:
    """/hide: hide the newest message from the model; /hide off: show it to the model again."""
    hidden = word != "off"
    chat.act(action="hide", message_id=chat.newest()["id"], hidden=hidden)
    tell("Hidden from the model." if hidden else "The model reads it again.", "dim")


def show_help(chat: Chat, _: str) -> None:
    """/help: show this list."""
    for command in COMMANDS.values():
        tell(f"  {command.__doc__}")
    tell("  /quit: leave. Ctrl-C stops a reply.")


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
    "/why": why,
    "/card": card,
    "/import": import_chat,
    "/export": export_chat,
    "/hide": hide,
    "/help": show_help,
}


class TypedLines:
    """The lines that the person types, until the end of the input."""

    def __init__(self, history: Path) -> None:
        self._history = history
        self.draft = ""
        """What the next line begins with."""

    def __iter__(self) -> Iterator[str]:
        if not sys.stdin.isatty():
            yield from (line.strip() for line in sys.stdin)
            return
        session = self._session()
        while True:
            try:
                draft, self.draft = self.draft, ""
                yield session.prompt("\nYou: ", default=draft).strip()
            except KeyboardInterrupt:
                continue
            except EOFError:
                return

    def _session(self) -> PromptSession[str]:
        self._history.touch(mode=0o600)
        self._history.chmod(0o600)
        return PromptSession(
            completer=WordCompleter([*COMMANDS, "/quit"], sentence=True),
            complete_while_typing=False,
            history=FileHistory(self._history),
        )


def converse(chat: Chat, history: Path) -> None:
    """Chat until the person leaves. `history` is the file of what they typed before."""
    name, met = chat.character_name(), chat.character_id
    show_last_messages(chat, name)
    tell(f"You are chatting with {name}. /help lists the commands.", "dim")
    lines = TypedLines(history)
    for line in lines:
        if line == "/quit":
            return
        try:
            if chat.character_id != met:
                name, met = chat.character_name(), chat.character_id
            take(chat, line, name)
        except NotSent as message:
            lines.draft = str(message)
            tell("(not sent)", "dim")
        except KeyboardInterrupt:
            tell("(stopped)", "dim")
        except (CommandFailed, OSError) as error:
            complain(str(error))
        except httpx.HTTPError as error:
            complain(lost(error))


def take(chat: Chat, line: str, name: str) -> None:
    """Run a command, or send a message to the character with this name."""
    word, _, rest = line.partition(" ")
    if word in COMMANDS:
        COMMANDS[word](chat, rest.strip())
    elif word.startswith("/"):
        near = difflib.get_close_matches(word, COMMANDS, n=1)
        meant = f" Did you mean {near[0]}?" if near else ""
        complain(f"There is no command {word}.{meant} /help lists the commands.")
    elif line:
        say(chat, name, message=line)


def show_last_messages(chat: Chat, name: str) -> None:
    """Print the end of the conversation."""
    for row in chat.last_messages(LAST_MESSAGES):
        speaker = "You" if row["sender"] == "user" else name
        text = row["content"]
        shown = f"{text[:LAST_CHARS]}…" if len(text) > LAST_CHARS else text
        tell(f"{speaker}: {shown}\n", "dim")


def main(settings: Settings, message: str | None, model_key: str, character: str | None) -> int:
    """Send one message, or chat. The exit code is 1 if there was no reply."""
    env = read_env_file(settings.stack_env)
    if not env:
        return int(not complain(NOT_RUNNING))
    timeout = httpx.Timeout(10, read=READ_SECONDS)
    with httpx.Client(timeout=timeout, trust_env=False) as http, keeping_typed_text():
        try:
            chat = Chat(http, env, model_key)
            if character:
                chat.meet(character)
            if message:
                return 0 if send(chat, message) else 1
            converse(chat, settings.local_dir / "chat_history")
        except CommandFailed as error:
            return int(not complain(str(error)))
        except httpx.HTTPError as error:
            return int(not complain(lost(error)))
    return 0


def send(chat: Chat, message: str) -> bool:
    """Send one message. Returns whether there was a reply."""
    chat.sign_in()
    try:
        return say(chat, message=message)
    except (NotSent, KeyboardInterrupt) as stopped:
        tell("(not sent)" if isinstance(stopped, NotSent) else "(stopped)", "dim")
        raise KeyboardInterrupt from None
