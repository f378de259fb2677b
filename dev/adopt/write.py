"""`make adopt ARGS="--write FOLDER"`: the steps as migrations for the owner's own repository.

A database that is built from the repository then has them too. Each does nothing if its step is
already done, so it may run on the adopted database.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from dev.adopt.apply import BOOKS, KEYS, MADE
from dev.adopt.steps import AdoptionStep

_VERSION = "%Y%m%d%H%M%S"

_FILE = """\
-- {name}: a step of `make adopt`, which does nothing where it is done.
do $adopt$
declare
  v_path text := current_setting('search_path');
  v_before bigint[];
begin
  if to_regclass('private.adoption_steps') is not null then
    if exists (select from private.adoption_steps where name = {quoted}) then
      return;
    end if;
  end if;
  perform set_config('search_path', '', true);
  v_before := ({keys});
  {run}
  if to_regclass('private.adoption_steps') is null then
    execute $books${books}$books$;
  end if;
  {made};
  insert into private.adoption_steps (name, digest) values ({quoted}, '{digest}');
  perform set_config('search_path', v_path, true);
end $adopt$;
"""


def write(folder: Path, steps: Sequence[AdoptionStep], newest: str | None) -> list[Path]:
    """Write the steps that no file in the folder has yet, and return the paths.

    Their versions are later than `newest`, the newest that the database records, and than all in
    the folder.
    """
    there = {path.name.partition("_")[2]: path for path in folder.glob("*.sql")}
    versions = [path.name.partition("_")[0] for path in folder.glob("*.sql")]
    missing = [step for step in steps if file_name(step) not in there]
    written = []
    for version, step in zip(_later(filter(None, [*versions, newest])), missing, strict=False):
        path = folder / f"{version}_{file_name(step)}"
        path.write_text(migration(step))
        written.append(path)
    return written


def file_name(step: AdoptionStep) -> str:
    """The name of a step's file, after its version."""
    words = step.name.replace("'", "").replace(" ", "_")
    return f"adopt_{words}.sql"


def migration(step: AdoptionStep) -> str:
    """The file of a step."""
    quoted = "'" + step.name.replace("'", "''") + "'"
    return _FILE.format(
        name=step.name,
        quoted=quoted,
        keys=KEYS,
        made=MADE.format(before="v_before").strip(),
        books=BOOKS,
        digest=step.digest,
        run=_run(step),
    )


def _run(step: AdoptionStep) -> str:
    if step.kind == "batches":
        return f"while ({step.sql}) > 0 loop null; end loop;"
    # Migrations run in a transaction, in which an index cannot be built concurrently.
    return f"execute $step${step.sql.replace(' concurrently', '')}$step$;"


def _later(versions: Iterator[str]) -> Iterator[str]:
    known = [version for version in versions if version.isdigit() and len(version) == 14]
    now = datetime.now(UTC).strftime(_VERSION)
    at = datetime.strptime(max([now, *known]), _VERSION).replace(tzinfo=UTC)
    while True:
        at += timedelta(seconds=1)
        yield at.strftime(_VERSION)
