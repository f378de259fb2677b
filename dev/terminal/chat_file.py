"""Imports and exports SillyTavern chats in the terminal."""

import base64
from pathlib import Path
from uuid import uuid4

from dev.terminal.client import Chat, CommandFailed
from dev.terminal.output import tell


def bring_chat(chat: Chat, path: str) -> None:
    """Create a conversation from a file, with the current character, and continue there."""
    file = Path(path).expanduser()
    if not file.is_file():
        raise CommandFailed(f"There is no file {path}." if path else "Which file? /import FILE")
    made = chat.act(
        action="import_chat",
        character_id=chat.character_id,
        title=file.stem[:200],
        chat_base64=base64.b64encode(file.read_bytes()).decode(),
        client_message_id=str(uuid4()),
    )
    chat.conversation_id = made["conversation_id"]
    print(f"Messages: {made['messages']}, hidden: {made['hidden']}, versions: {made['versions']}.")
    for warning in made["warnings"]:
        tell(f"! {warning}", "yellow")


def write_chat(chat: Chat, path: str) -> None:
    """Write the conversation to a new file."""
    file = Path(path).expanduser()
    if not path or file.exists():
        raise CommandFailed(f"{path} is there already." if path else "Which file? /export FILE")
    if not file.parent.is_dir():
        raise CommandFailed(f"There is no folder {file.parent}.")
    found = chat.act(action="export_chat", conversation_id=chat.conversation_id)
    file.write_text(found["chat"], encoding="utf-8")
    print(f"Written to {file}.")
