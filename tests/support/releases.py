"""The first release and what comes after it, for the test of upgrades.

Until there is a tag, the working copy is the first release, and a scratch migration the next one.
"""

from __future__ import annotations

import io
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

from dev.migrations import frozen
from dev.operate import migrate
from tests.support.functions import FUNCTIONS
from tests.support.postgres import ROOT, SEED

SCRATCH = migrate.Migration(
    "29990101000000",
    "scratch",
    """
    alter table public.conversations add column scratch text not null default 'as before';
    create function public.scratch() returns text
    language sql set search_path = '' as $$ select 'new' $$;
    revoke execute on function public.scratch() from public, anon, authenticated;
    """,
)
"""What a later release may do: it only adds."""


@dataclass(frozen=True)
class Release:
    """A version: its migrations, its seed and its functions."""

    migrations: list[migrate.Migration]
    seed: Path
    functions: Path


def working_copy(*more: migrate.Migration) -> Release:
    """What is being worked on."""
    return Release([*migrate.read(), *more], SEED, FUNCTIONS)


def first_and_next(folder: Path, root: Path = ROOT) -> tuple[Release, Release]:
    """The first release, unpacked into `folder`, and the working copy after it."""
    tags = list(frozen(root))
    if not tags:
        return working_copy(), working_copy(SCRATCH)
    first = unpack(tags[0], folder, root)
    versions = {one.version for one in first.migrations}
    is_same = versions == {one.version for one in migrate.read()}
    return first, working_copy(*([SCRATCH] if is_same else []))


def unpack(tag: str, folder: Path, root: Path = ROOT) -> Release:
    """A tagged version."""
    command = ["/usr/bin/env", "git", "archive", tag, "functions", "supabase"]
    packed = subprocess.check_output(command, cwd=root)
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(folder, filter="data")
    migrations = migrate.read(folder / "supabase/migrations")
    return Release(migrations, folder / "supabase/seed.sql", folder / "functions")
