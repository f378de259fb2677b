"""The TypeScript client: its types are up to date, and the compiler checks programs with it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from dev.docs.client_types import CLIENT, GENERATED, copy_to, write
from dev.settings import ROOT

TSC = [str(ROOT / ".venv/bin/node"), str(ROOT / "node_modules/typescript/bin/tsc")]
PROGRAM = """
import { ChatClient, ChatError } from "roleplay-chat-client";

const client = new ChatClient({ url: "https://functions.example/roleplay_chat", token: () => "t" });

export async function run(): Promise<string> {
  let text = "";
  for await (const event of client.converse({ message: "Hello", client_message_id: "a" })) {
    if (event.event === "start") text = event.data.model_used;
    if (event.event === "delta") text += event.data.text;
    if (event.event === "done") text = event.data.route.map((one) => one.target).join();
  }
  const stopped = await client.act({ action: "stop", turn_id: "t" });
  const edited = await client.act({ action: "edit", message_id: "m", message: "New" });
  return `${text} ${stopped.running} ${edited.edited_at}`;
}

export const code = (error: unknown) => (error instanceof ChatError ? error.code : null);
"""
WRONG = [
    'client.act({ action: "edit", message_id: "m" });',
    'client.act({ action: "invented" });',
    'client.act({ action: "stop", turn_id: "t" }).then((answer) => answer.edited_at);',
    'client.converse({ message: "Hello" });',
    "new ChatClient({ url: 1, token: () => null });",
]


def compiled(folder: Path, program: str) -> str:
    """What the compiler has to say of a program that uses the client."""
    package = folder / "node_modules/roleplay-chat-client"
    shutil.copytree(CLIENT, package, dirs_exist_ok=True)
    (folder / "program.ts").write_text(program)
    (folder / "package.json").write_text('{"type": "module"}')
    options = {"noEmit": True, "strict": True, "target": "es2022", "module": "nodenext"}
    config = {"compilerOptions": {**options, "types": []}, "files": ["program.ts"]}
    (folder / "tsconfig.json").write_text(json.dumps(config))
    ran = subprocess.run(TSC, cwd=folder, capture_output=True, text=True, check=False)
    return ran.stdout + ran.stderr


def test_types_are_up_to_date(tmp_path: Path) -> None:
    copy_to(tmp_path)
    write(tmp_path)
    for name in GENERATED:
        there = (CLIENT / name).read_text()
        assert there == (tmp_path / name).read_text(), f"{name}: run make client-types"


def test_compiler_accepts_a_program_that_uses_it(tmp_path: Path) -> None:
    assert compiled(tmp_path, PROGRAM) == ""


def test_compiler_finds_mistakes(tmp_path: Path) -> None:
    start = 'import { ChatClient } from "roleplay-chat-client";\n'
    start += "declare const client: ChatClient;\n"
    said = compiled(tmp_path, start + "\n".join(WRONG) + "\n")
    lines = set(map(int, re.findall(r"^program\.ts\((\d+),", said, re.MULTILINE)))
    assert lines == set(range(3, 3 + len(WRONG))), said


def test_it_needs_nothing_and_pages_can_load_it_as_it_is() -> None:
    source = (CLIENT / "index.js").read_text()
    assert re.findall(r"^import |\brequire\(|process\.", source, re.MULTILINE) == []
    package = json.loads((CLIENT / "package.json").read_text())
    assert not [name for name in package if name.lower().endswith("dependencies")]


@pytest.mark.parametrize("name", ["index.js", "index.d.ts", "api.d.ts", "actions.d.ts"])
def test_package_has_its_files(name: str) -> None:
    assert f'"{name}"' in (CLIENT / "package.json").read_text()
    assert (CLIENT / name).is_file()
