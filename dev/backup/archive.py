"""The file of a backup: a zip archive, whose manifest is written last.

manifest.json               what is in it, and which migrations the rows belong to
tables/<schema>.<table>     rows as COPY writes them
files/<bucket>/<path>       pictures
"""

import hashlib
import os
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Literal

from pydantic import BaseModel, ValidationError

FORMAT = 1
MANIFEST = "manifest.json"
MAX_MANIFEST_BYTES = 64 * 2**20
BLOCK = 2**20


class BackupError(Exception):
    """A backup cannot be made or restored; the sentence says why, and what to do."""


class Table(BaseModel):
    """The rows of a table."""

    columns: list[str]
    rows: int


class Person(BaseModel):
    """Somebody whom rows concern, as Supabase's Auth knows them. Never with a password."""

    id: str
    email: str
    display_name: str = ""


class Manifest(BaseModel):
    """What is in a backup."""

    format: int = FORMAT
    version: str
    """The project's version that made it."""
    made_at: str
    kind: Literal["own", "adopted"]
    migrations: dict[str, str]
    """SHA-256 of each migration, or step of an adoption, by its version."""
    tables: dict[str, Table]
    sequences: dict[str, int]
    people: list[Person] = []
    files: list[str] = []
    """Paths in the bucket of pictures."""
    settings: dict[str, str] = {}
    """Settings of the functions that are not secret."""
    workers_without_key: list[str] = []


class Writer:
    """Writes a new file, which gets its name only when it is complete."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._draft = path.with_name(path.name + ".part")

    def __enter__(self) -> "Writer":
        if self._path.exists():
            raise BackupError(f"{self._path} exists. Give another name: make backup FILE=...")
        try:
            handle = os.open(self._draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        except OSError as error:
            raise BackupError(f"{self._draft} cannot be written: {error.strerror}.") from error
        self._file = os.fdopen(handle, "wb")
        self._zip = zipfile.ZipFile(self._file, "w", zipfile.ZIP_DEFLATED)
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self._zip.close()
            self._file.close()
            self._draft.rename(self._path)
            return
        self._file.close()
        self._draft.unlink(missing_ok=True)

    @contextmanager
    def member(self, name: str) -> Iterator[IO[bytes]]:
        """Write one of its files."""
        with self._zip.open(name, "w", force_zip64=True) as file:
            yield file

    def finish(self, manifest: Manifest) -> None:
        """Write the manifest."""
        with self.member(MANIFEST) as file:
            file.write(manifest.model_dump_json(indent=1).encode())


class Reader:
    """Reads a file that `Writer` wrote. Raises `BackupError` if it is not whole."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._zip = zipfile.ZipFile(path)
            size = self._zip.getinfo(MANIFEST).file_size
            text = self._zip.read(MANIFEST) if size <= MAX_MANIFEST_BYTES else b""
        except FileNotFoundError as error:
            raise BackupError(f"There is no file {path}.") from error
        except (zipfile.BadZipFile, KeyError, OSError, EOFError, ValueError, zlib.error) as error:
            raise BackupError(
                f"{path} is not a whole backup: it is cut off, or something else. Copy it again"
                " from where it was made, or take an older one."
            ) from error
        try:
            self.manifest = Manifest.model_validate_json(text)
        except ValidationError as error:
            raise BackupError(
                f"{path} is a backup in a format that this version does not know. Use the version"
                " that made it, or a newer one (docs/upgrading.md)."
            ) from error
        if self.manifest.format != FORMAT:
            raise BackupError(
                f"{path} has the format {self.manifest.format}; this version reads {FORMAT}. Use"
                f" version {self.manifest.version} or a newer one (docs/upgrading.md)."
            )

    def blocks(self, name: str) -> Iterator[bytes]:
        """The content of one of its files, in pieces."""
        try:
            with self._zip.open(name) as file:
                while block := file.read(BLOCK):
                    yield block
        except (zipfile.BadZipFile, KeyError, EOFError, OSError, ValueError, zlib.error) as error:
            raise self._damaged(name) from error

    def check(self) -> None:
        """Read the whole file once, before anything is changed."""
        wanted = [f"tables/{name}" for name in self.manifest.tables]
        for name in [*wanted, *(f"files/{path}" for path in self.manifest.files)]:
            for _ in self.blocks(name):
                pass

    def _damaged(self, name: str) -> BackupError:
        return BackupError(
            f"{self._path} is damaged: {name} cannot be read. Nothing was restored. Copy it again"
            " from where it was made, or take an older one."
        )


def digest(text: str) -> str:
    """The SHA-256 of a migration."""
    return hashlib.sha256(text.encode()).hexdigest()
