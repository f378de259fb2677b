"""Released migrations are frozen (on small repositories), and which code names shared tables."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from dev.migrations import FOLDER, main
from tests.support.postgres import ROOT

TABLES, VIEWS = f"{FOLDER}/1_tables.sql", f"{FOLDER}/2_views.sql"


def git(root: Path, *arguments: str) -> None:
    who = ["-c", "user.name=A", "-c", "user.email=a@example.com"]
    unsigned = ["-c", "commit.gpgsign=false", "-c", "tag.gpgsign=false"]
    subprocess.run(["git", *who, *unsigned, *arguments], cwd=root, check=True, capture_output=True)  # noqa: S607


def write(root: Path, path: str, text: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


def commit(root: Path) -> None:
    git(root, "add", "--all")
    git(root, "commit", "--message", "More")


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one migration, committed but not released."""
    for variable in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):  # set by hooks
        monkeypatch.delenv(variable, raising=False)
    git(tmp_path, "init")
    write(tmp_path, TABLES, "create table a ();\n")
    commit(tmp_path)
    return tmp_path


@pytest.fixture
def released(repository: Path) -> Path:
    """The same repository, released as v0.1.0."""
    git(repository, "tag", "v0.1.0")
    return repository


@pytest.mark.parametrize("tag", [None, "nightly"])
def test_before_the_first_release_a_migration_may_change(repository: Path, tag: str | None) -> None:
    if tag:
        git(repository, "tag", tag)
    write(repository, TABLES, "create table b ();\n")
    commit(repository)
    assert main(repository) == 0


def test_unchanged_migrations_and_new_ones_pass(
    released: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(released) == 0
    write(released, VIEWS, "create view b as select 1;\n")
    write(released, "README.md", "Changed.")
    commit(released)
    assert main(released) == 0
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("is_committed", [True, False])
@pytest.mark.parametrize(
    ("text", "what"), [("create table a (b int);\n", "changed"), (None, "removed")]
)
def test_released_migration_may_not_change(
    released: Path,
    capsys: pytest.CaptureFixture[str],
    text: str | None,
    what: str,
    is_committed: bool,
) -> None:
    if text is None:
        (released / TABLES).unlink()
    else:
        write(released, TABLES, text)
    if is_committed:
        commit(released)

    assert main(released) == 1
    assert f"{TABLES} is part of v0.1.0 and was {what} since." in capsys.readouterr().out


def test_renamed_migration_was_removed(released: Path, capsys: pytest.CaptureFixture[str]) -> None:
    git(released, "mv", TABLES, VIEWS)
    assert main(released) == 1
    assert f"{TABLES} is part of v0.1.0 and was removed since." in capsys.readouterr().out


def test_annotated_tag_is_a_release_too(repository: Path) -> None:
    git(repository, "tag", "--annotate", "--message", "First", "v1")
    (repository / TABLES).unlink()
    assert main(repository) == 1


def test_migration_belongs_to_the_release_it_came_with(
    released: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(released, VIEWS, "create view b as select 1;\n")
    commit(released)
    git(released, "tag", "v0.2.0")
    (released / TABLES).unlink()
    (released / VIEWS).unlink()

    assert main(released) == 1
    first, second, *_ = capsys.readouterr().out.splitlines()
    assert first == f"{TABLES} is part of v0.1.0 and was removed since."
    assert second == f"{VIEWS} is part of v0.2.0 and was removed since."


def test_folder_without_git_passes(tmp_path: Path) -> None:
    write(tmp_path, TABLES, "create table a ();\n")
    assert main(tmp_path) == 0


def test_ci_checks_it() -> None:
    lint = (ROOT / "Makefile").read_text().partition("\nlint:")[2].partition("\n\n")[0]
    assert "-m dev.migrations" in lint
    assert "make lint" in (ROOT / ".ci/run").read_text().splitlines()


SHARED = (
    "profiles|user_roles|api_providers|api_models|characters|conversations|messages"
    "|prompt_templates|system_config"
)


def names_shared_table(migration: str) -> list[str]:
    """The statements that name a shared table, but for foreign keys, policies and triggers.

    Those have to name the table itself, which a product has under the same name.
    """
    text = re.sub(r"--[^\n]*", "", migration)
    theirs = r"references public\.\w+|create (policy|trigger) .*?;"
    theirs += r"|t\.tgrelid in \([^)]*\)"  # looks for triggers
    text = re.sub(theirs, "", text, flags=re.DOTALL)
    return re.findall(rf"[^\n]*\bpublic\.(?:{SHARED})\b[^\n]*", text)


def test_only_own_migrations_name_the_tables_that_a_product_may_have() -> None:
    paths = sorted((ROOT / FOLDER).glob("*.sql"))
    common = [path for path in paths if "_own_" not in path.name]
    named = {path.name: names_shared_table(path.read_text()) for path in common}
    assert {name: lines for name, lines in named.items() if lines} == {}
    assert any(names_shared_table(path.read_text()) for path in paths if path not in common)


def test_every_migration_has_a_version_of_its_own() -> None:
    """The Supabase CLI keeps them by version, and stops at the second of one."""
    versions = Counter(path.name.partition("_")[0] for path in (ROOT / FOLDER).glob("*.sql"))
    assert len(versions) > 50
    assert [version for version, files in versions.items() if files > 1] == []
