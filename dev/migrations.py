"""`make lint`: a released migration is frozen. A release is a git tag `v*`.

A database applies each migration once. If its file changes later, new and old databases differ.
"""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from dev.options import no_options
from dev.settings import ROOT

FOLDER = "supabase/migrations"
Contents = Mapping[str, str]
"""The hash of each migration's content, by path."""


def frozen(root: Path) -> dict[str, Contents]:
    """The migrations of each release, by tag, oldest release first. Empty outside of git."""
    if not any((folder / ".git").exists() for folder in (root, *root.parents)):
        return {}
    tags = _git(root, "tag", "--list", "v*", "--sort=creatordate").split()
    return {tag: dict(_tree(root, tag)) for tag in tags}


def _tree(root: Path, tag: str) -> Iterator[tuple[str, str]]:
    for entry in _git(root, "ls-tree", "-r", "-z", tag, "--", FOLDER).split("\0"):
        facts, _, path = entry.partition("\t")
        if path:
            yield path, facts.split()[2]


def present(root: Path) -> Contents:
    """The migrations in the working copy, committed or not."""
    files = sorted(path for path in (root / FOLDER).rglob("*") if path.is_file())
    paths = [path.relative_to(root).as_posix() for path in files]
    hashes = _git(root, "hash-object", "--", *paths).split()
    return dict(zip(paths, hashes, strict=True))


def broken(releases: Mapping[str, Contents], now: Contents) -> dict[str, str]:
    """A sentence for each released migration that was changed or removed, by path."""
    sentences: dict[str, str] = {}
    for tag, migrations in releases.items():
        for path, content in migrations.items():
            if now.get(path) != content:
                what = "changed" if path in now else "removed"
                sentences.setdefault(path, f"{path} is part of {tag} and was {what} since.")
    return sentences


def main(root: Path = ROOT) -> int:
    """Print the released migrations that were changed or removed, and return 1; else return 0."""
    releases = frozen(root)
    sentences = broken(releases, present(root) if releases else {})
    print(*sentences.values(), sep="\n", end="\n" if sentences else "")
    if sentences:
        print(
            "Released migrations are frozen: databases have applied them. Restore each file with"
            " `git checkout <tag> -- <file>`, and make the change in a new migration."
        )
    return 1 if sentences else 0


def _git(root: Path, *arguments: str) -> str:
    return subprocess.check_output(["git", *arguments], cwd=root, text=True)


if __name__ == "__main__":
    no_options("dev.migrations", __doc__)
    sys.exit(main())
