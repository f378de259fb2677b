"""The database, Supabase Lite on PGlite: its environment and its schema."""

import asyncio
import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from dev.settings import ROOT, Keys, Settings, write_private
from dev.stack.part import StackError, hint, spawn, stop

SUPABASE = ROOT / "supabase"
LITE = [
    str(ROOT / ".venv/bin/node"),
    str(ROOT / "node_modules/@supabase/lite/dist/cli/index.js"),
]
START = [*LITE, "start", "--no-admin"]
"""Not admin mode: as in a hosted project, requests without a key have no access."""

ALLOW_LOCAL_WORKERS = """
update private.system_settings set config = config || '{"allowLocalWorkers": true}'
"""
"""Allows local workers. A deployed database accepts only public https addresses."""


def environment(settings: Settings, keys: Keys) -> dict[str, str]:
    """The variables that supabase/config.toml reads."""
    return {
        **os.environ,
        "DATABASE_PORT": str(settings.database_port),
        "DATABASE_DIR": str(settings.database_dir),
        "SUPABASE_PUBLISHABLE_KEY": keys.publishable_key,
        "SUPABASE_SECRET_KEY": keys.secret_key,
        "SUPABASE_JWT_SECRET": keys.jwt_secret,
        "DO_NOT_TRACK": "1",
    }


async def prepare(settings: Settings, keys: Keys) -> str:
    """Apply the migrations and the seed of supabase/ to the stored database.

    Returns a description of what was done. The database must not be running. Raises `StackError`.
    """
    record = settings.local_dir / "applied.json"
    files = schema_files()
    if not record.exists() or not settings.database_dir.exists():
        record.unlink(missing_ok=True)
        shutil.rmtree(settings.database_dir, ignore_errors=True)
        await _lite(settings, keys, "db", "reset")
        await _lite(settings, keys, "db", "query", ALLOW_LOCAL_WORKERS)
        done = "created from the migrations and the seed"
    else:
        applied: dict[str, str] = json.loads(record.read_text())
        if applied == files:
            return "up to date"
        check_history(applied, files)
        await _lite(settings, keys, "migration", "up")
        await _lite(settings, keys, "db", "query", "--", (SUPABASE / "seed.sql").read_text())
        done = "new migrations applied"
    write_private(record, json.dumps(files, indent=2))
    return done


def schema_files() -> dict[str, str]:
    """Digest of every migration and of the seed, by file name."""
    paths = [*sorted((SUPABASE / "migrations").glob("*.sql")), SUPABASE / "seed.sql"]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def check_history(applied: Mapping[str, str], files: Mapping[str, str]) -> None:
    """Raise `StackError` if an applied migration was edited or removed."""
    for name, digest in applied.items():
        if name != "seed.sql" and files.get(name) != digest:
            raise StackError(
                f"The local database was created with another version of {name}. "
                "`make reset` deletes it; the next start creates a new one."
            )


async def _lite(settings: Settings, keys: Keys, *arguments: str) -> None:
    log: Path = settings.log_dir / "migrations.log"
    process = await spawn([*LITE, *arguments], environment(settings, keys), log)
    try:
        code = await process.wait()
    except asyncio.CancelledError:
        await stop(process)
        raise
    if code != 0:
        raise StackError(f"The database could not be prepared. {hint(log)}")
