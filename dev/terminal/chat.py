"""A conversation with the demo character, or another one, in the terminal."""

import sys
from collections.abc import Callable, Iterator
from typing import Any

import httpx
from httpx_sse import SSEError
from prompt_toolkit import PromptSession
from prompt_toolkit.completion import WordCompleter

from dev.settings import Settings, read_env_file
from dev.terminal.card import bring
from dev.terminal.chat_file import bring_chat, write_chat
from dev.terminal.client import NOT_RUNNING, READ_SECONDS, Chat, CommandFailed, notes
from dev.terminal.memory import run
from dev.terminal.why import explain


def say(chat: Chat, **fields: Any) -> bool:
    """Run a turn and print the reply as it arrives. Returns False if it is not complete."""
    try:
        return _print_reply(chat.turn(**fields))
    except CommandFailed as error:
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
    """/new: start a new conversation."""
    chat.start_conversation()
    notes.print("Started a new conversation.", style="dim")


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
        print(rows[int(number) - 1]["content"])
        return
    for place, row in enumerate(rows, 1):
        mark = "*" if row["is_active"] else " "
        notes.print(f"{mark} {place}  {row['content']}", markup=False)


def edit(chat: Chat, words: str) -> None:
    """/edit WORDS: replace your last message and get a new reply."""
    said = chat.newest("user")
    chat.act(action="edit", message_id=said["id"], message=words)
    say(chat, action="regenerate")


def delete(chat: Chat, _: str) -> None:
    """/delete: delete the last message, yours or the character's."""
    chat.act(action="delete", message_id=chat.newest()["id"])
    notes.print("Deleted.", style="dim")


def branch(chat: Chat, _: str) -> None:
    """/branch: continue in a copy of this conversation; this one stays unchanged."""
    copy = chat.act(action="branch", message_id=chat.newest()["id"])
    chat.conversation_id = copy["conversation_id"]
    notes.print("Now in the branch.", style="dim")


def draft(chat: Chat, _: str) -> None:
    """/draft: draft your next message without sending it."""
    say(chat, action="impersonate")


def kickoff(chat: Chat, number: str) -> None:
    """/kickoff: let the character speak first; /kickoff 1: use another greeting."""
    say(chat, kickoff=True, **({"greeting": int(number)} if number.isdecimal() else {}))


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
    notes.print("Hidden from the model." if hidden else "The model reads it again.", style="dim")


def show_help(chat: Chat, _: str) -> None:
    """/help: show this list."""
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
    "/why": why,
    "/card": card,
    "/import": import_chat,
    "/export": export_chat,
    "/hide": hide,
    "/help": show_help,
}


def typed_lines() -> Iterator[str]:
    """The lines that the person types, until /quit or the end of the input."""
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
    """Chat until the person leaves."""
    name, met = chat.character_name(), chat.character_id
    notes.print(
        f"You are chatting with {name}. /help lists the commands.", style="dim", markup=False
    )
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
        except CommandFailed as error:
            _complain(str(error))


def main(settings: Settings, message: str | None, model_key: str, character: str | None) -> int:
    """Send one message, or chat. The exit code is 1 if there was no reply."""
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
        except CommandFailed as error:
            _complain(str(error))
            return 1
        except httpx.ConnectError:
            _complain(NOT_RUNNING)
            return 1
    return 0
