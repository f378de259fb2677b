"""Imports a character card for the demo user and starts a conversation."""

import base64
from pathlib import Path

import httpx

from dev.settings import Settings, read_env_file
from dev.stack.stack import NOT_RUNNING
from dev.terminal.client import WORKER, Chat, CommandFailed, lost
from dev.terminal.output import complain, printable, tell


def main(settings: Settings, path: Path) -> int:
    """Import a card. The exit code is 1 if it was rejected."""
    env = read_env_file(settings.stack_env)
    if not env:
        return int(not complain(NOT_RUNNING))
    with httpx.Client(timeout=30, trust_env=False) as http:
        try:
            chat = Chat(http, env, WORKER)
            _import(chat, path)
            print(f"To chat: make chat CHARACTER={chat.character_id}   (/kickoff: they begin)")
        except CommandFailed as error:
            return int(not complain(str(error)))
        except httpx.HTTPError as error:
            return int(not complain(lost(error)))
    return 0


def bring(chat: Chat, path: str) -> None:
    """Import a card and continue with its character."""
    file = Path(path).expanduser()
    if not file.is_file():
        raise CommandFailed(f"There is no file {path}." if path else "Which file? /card FILE")
    _import(chat, file)
    tell("You are now chatting with this character. /kickoff: the character begins.", "dim")


def _import(chat: Chat, path: Path) -> None:
    encoded = base64.b64encode(path.read_bytes()).decode()
    made = chat.act(action="import_card", card_base64=encoded)
    counts = f"lorebook entries: {made['book_entries']}"
    if "character_id" in made:
        chat.character_id = made["character_id"]
        chat.start_conversation()
        counts = f"greetings: {made['greetings']}, {counts}"
    print(f"{printable(made['name'])} was imported ({counts}).")
    for warning in made["warnings"]:
        tell(f"! {warning}", "yellow")
