"""`make backup` and `make restore`, with real databases."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dev.backup.archive import MANIFEST, BackupError, Reader
from dev.backup.contents import LEFT_OUT, NEW, SECRET, own_tables, rows_of_people
from dev.backup.pictures import Pictures
from dev.backup.restore import restore
from dev.backup.save import CREDENTIALS, public_settings, save
from dev.operate import migrate
from dev.operate.foreign import WHAT_TO_DO
from tests.existing.installation import adopt, existing_database
from tests.support.answers import worker_healthy
from tests.support.copies import Upstreams, ask, contents, database, deploy, running
from tests.support.gateway import SECRET_KEY
from tests.support.pictures import encoded, flag
from tests.support.postgres import ROOT, Connection, Postgres
from tests.support.stack import HEALTH_CHECK_SECRET, OPENROUTER_KEY, WORKER_KEY, Stack
from tests.support.upstream import Upstream

KEY_HASH = "ca11ab1e" * 8
API_KEY_HASH = "5eedab1e" * 8
PASSWORD_HASH = "pa55word-hash-canary"


@pytest.fixture(scope="module")
def upstreams(openrouter: Upstream, chat_worker: Upstream) -> Upstreams:
    return Upstreams(openrouter, chat_worker)


@pytest.fixture(autouse=True)
def quiet(upstreams: Upstreams) -> Iterator[None]:
    yield
    upstreams.openrouter.reset()
    upstreams.worker.reset()


class Source:
    """An installation that people have used, and the backup of it."""

    def __init__(self, stack: Stack, name: str, path: Path, told: list[str]) -> None:
        self.name, self.path, self.told = name, path, told
        self.user = stack.user("Ann")
        self.conversation = stack.conversation(self.user)
        ask(stack, self.user, self.conversation, "Hello", "Good evening.")
        ask(stack, self.user, self.conversation, "Who are you?", "I keep the light.")
        character = stack.insert("characters", user_id=self.user.id, name="Ben", description="x")
        picture = {"character_id": str(character), "picture_base64": base64_flag()}
        assert stack.chat(self.user, action="set_portrait", **picture).status_code == 200
        stack.db.execute(
            "insert into private.workers (name, key_hash) values ('gpu-1', %s)", [KEY_HASH]
        )
        stack.db.execute(
            "insert into private.api_keys (user_id, name, prefix, key_hash)"
            " values (%s, 'x', 'x', %s)",
            [self.user.id, API_KEY_HASH],
        )
        stack.db.execute(
            "update auth.users set raw_app_meta_data = %s", [f'{{"x": "{PASSWORD_HASH}"}}']
        )
        stack.worker.always(worker_healthy(), to="/health")
        assert stack.health_check().status_code == 200
        self.rows = contents(stack.db)


def base64_flag() -> str:
    import base64

    return base64.b64encode(encoded(flag())).decode()


def environment(stack: Stack) -> dict[str, str]:
    return stack.env(WORKER_HOSTS="gpu.example.com", HEALTH_CHECK_SECRET=HEALTH_CHECK_SECRET)


@pytest.fixture(scope="module")
def source(
    postgres: Postgres, upstreams: Upstreams, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Source]:
    path = tmp_path_factory.mktemp("backup") / "backup.zip"
    with database(postgres) as name, running(postgres, name, upstreams) as stack:
        told: list[str] = []
        made = Source(stack, name, path, told)
        pictures = Pictures(stack.gateway.url, SECRET_KEY)
        with migrate.connect(postgres.dsn(name)) as connection:
            save(connection, path, migrate.read(), environment(stack), pictures, told.append)
        yield made


@pytest.fixture
def target(postgres: Postgres) -> Iterator[str]:
    """An empty database."""
    with database(postgres, empty=True) as name:
        yield name


class Service:
    """Storage and Auth that remember what they were asked."""

    def __init__(self, postgres: Postgres, name: str) -> None:
        self.made: list[str] = []
        self.stored: dict[str, bytes] = {}
        self._connect: Callable[[], Connection] = lambda: postgres.connect(name)

    def make(self, person: Any) -> None:
        self.made.append(person.email)
        with self._connect() as db:
            db.execute(
                "insert into auth.users (id, email) values (%s, %s)", [person.id, person.email]
            )

    def upload(self, path: str, content: bytes) -> None:
        self.stored[path] = content


def bring_back(
    postgres: Postgres, name: str, path: Path, **changes: Any
) -> tuple[Service, list[str]]:
    service = Service(postgres, name)
    told: list[str] = []
    given: dict[str, Any] = {"pictures": service, "accounts": service} | changes
    with migrate.connect(postgres.dsn(name)) as connection:
        restore(
            connection,
            Reader(path),
            given.get("migrations", migrate.read()),
            given["pictures"],
            given["accounts"],
            told.append,
        )
    return service, told


class TestRoundTrip:
    def test_everything_is_as_it_was(self, postgres: Postgres, source: Source, target: str) -> None:
        service, told = bring_back(postgres, target, source.path)
        with postgres.connect(target) as connection:
            assert contents(connection) == source.rows
        assert service.made == [source.user.email]
        (picture,) = service.stored.values()
        assert picture.startswith(b"RIFF")
        assert any("Passwords are not in a backup" in line for line in told)
        tables = len(source.rows)
        assert f"[{tables}/{tables}]" in "".join(told)
        assert f"[1/{tables}]" in "".join(source.told)

    def test_into_a_schema_with_nothing_but_the_seed(
        self, postgres: Postgres, source: Source, upstreams: Upstreams
    ) -> None:
        with database(postgres) as name:
            with running(postgres, name, upstreams) as stack:
                upstreams.worker.always(worker_healthy(), to="/health")
                assert stack.health_check().status_code == 200  # the scheduler may run already
            bring_back(postgres, name, source.path)
            with postgres.connect(name) as connection:
                assert contents(connection) == source.rows

    def test_conversation_goes_on(
        self, postgres: Postgres, source: Source, target: str, upstreams: Upstreams
    ) -> None:
        bring_back(postgres, target, source.path)
        with running(postgres, target, upstreams) as stack:
            token = stack.keys.token(source.user.id)
            user = type(source.user)(source.user.id, source.user.email, token)
            assert ask(stack, user, source.conversation, "Still there?", "Always.") == "Always."
            said = [text for _, text in stack.said(source.conversation)]
            sent = upstreams.openrouter.calls[-1].json["messages"]
        assert said == [
            *("Hello", "Good evening.", "Who are you?", "I keep the light."),
            *("Still there?", "Always."),
        ]
        assert "I keep the light." in json.dumps(sent)

    def test_through_the_services_and_the_command(
        self, postgres: Postgres, source: Source, target: str, upstreams: Upstreams, tmp_path: Path
    ) -> None:
        deploy(postgres, target, migrate.read())
        with running(postgres, target, upstreams) as stack:
            env = {"DATABASE_URL": postgres.dsn(target), "SUPABASE_URL": stack.gateway.url}
            done = command("restore", str(source.path), folder=tmp_path, **env)
            assert (done.returncode, "gpu-1" in done.stdout) == (0, True), done.stderr
            assert "WORKER_HOSTS=gpu.example.com" in done.stdout
            assert len(stack.gateway.storage.files) == 1 if stack.gateway.storage else False
            copied = command("backup", str(tmp_path / "again.zip"), folder=tmp_path, **env)
        assert copied.returncode == 0, copied.stderr
        assert (tmp_path / "again.zip").stat().st_mode & 0o777 == 0o600
        assert Reader(tmp_path / "again.zip").manifest.tables == Reader(source.path).manifest.tables


def command(*words: str, folder: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """`python -m dev` with these variables only."""
    given = {
        "PATH": os.environ["PATH"],
        "LOCAL_DIR": str(folder),
        "SUPABASE_SECRET_KEY": SECRET_KEY,
    }
    run = [sys.executable, "-m", "dev", *words]
    return subprocess.run(
        run, cwd=ROOT, env=given | env, capture_output=True, text=True, check=False
    )


class TestSecrets:
    def test_no_key_or_password_is_in_the_file(self, source: Source) -> None:
        with zipfile.ZipFile(source.path) as archive:
            whole = b"".join(archive.read(name) for name in archive.namelist()).decode(
                errors="replace"
            )
        for secret in (
            KEY_HASH,
            API_KEY_HASH,
            PASSWORD_HASH,
            SECRET_KEY,
            OPENROUTER_KEY,
            WORKER_KEY,
        ):
            assert secret not in whole
        assert HEALTH_CHECK_SECRET not in whole
        assert "gpu.example.com" in whole

    def test_settings_with_credentials_are_left_out(self) -> None:
        given = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": "https://user:canary@collector.example",
            "SUPABASE_JWT_SECRET": "canary",
            "CORS_ALLOW_ORIGINS": "https://a.example",
        }
        assert public_settings(given) == {"CORS_ALLOW_ORIGINS": "https://a.example"}
        assert CREDENTIALS.search(given["OTEL_EXPORTER_OTLP_ENDPOINT"])

    def test_columns_that_sound_secret_were_looked_at(
        self, postgres: Postgres, source: Source
    ) -> None:
        with postgres.connect(source.name) as connection:
            named = {
                f"{table.name}.{column}"
                for table in own_tables(connection)
                for column in table.columns
                if any(word in column for word in ("secret", "hash", "password"))
                and not HARMLESS.fullmatch(column)
            }
        assert named == set()
        assert SECRET == {"private.workers": ("key_hash",)}


HARMLESS = re.compile("secret_name")
"""The names of variables."""


class TestWhatIsNew:
    def test_new_installation_has_rows_in_these_tables_alone(
        self, postgres: Postgres, upstreams: Upstreams
    ) -> None:
        with database(postgres) as name, running(postgres, name, upstreams) as stack:
            assert stack.health_check().status_code == 200
            tables = own_tables(stack.db)
            assert rows_of_people(stack.db, tables) == {}
            there = {name for name, rows in contents(stack.db).items() if rows}
            assert there <= set(NEW)

    def test_what_is_left_out_is_of_tables_that_exist(self, postgres: Postgres) -> None:
        with existing_database(postgres, "april", ()) as name:
            adopt(postgres, name)
            with postgres.connect(name) as connection:
                for table in (*LEFT_OUT, *SECRET):
                    assert connection.execute("select to_regclass(%s) as t", [table]).fetchone()
                assert {table.name for table in own_tables(connection)}.isdisjoint(LEFT_OUT)


def changed(path: Path, to: Path, **manifest: Any) -> Path:
    """A copy of a backup with another manifest."""
    with zipfile.ZipFile(path) as given, zipfile.ZipFile(to, "w") as made:
        for name in given.namelist():
            content = given.read(name)
            if name == MANIFEST:
                content = json.dumps(json.loads(content) | manifest).encode()
            made.writestr(name, content)
    return to


class TestRefusals:
    """Nothing is changed where a backup is refused, and the sentence says what to do."""

    def refused(self, postgres: Postgres, name: str, path: Path, **changes: Any) -> str:
        with pytest.raises(BackupError) as caught:
            bring_back(postgres, name, path, **changes)
        return str(caught.value)

    def is_untouched(self, postgres: Postgres, name: str) -> bool:
        with postgres.connect(name) as db:
            row = db.execute("select to_regclass('public.turns') is null as empty").fetchone()
        return bool(row and row["empty"])

    @pytest.mark.parametrize("part", [0.0, 0.3, 0.9, -1, -30])
    def test_file_that_is_cut(
        self, postgres: Postgres, source: Source, target: str, tmp_path: Path, part: float
    ) -> None:
        whole = source.path.read_bytes()
        cut = tmp_path / "cut.zip"
        cut.write_bytes(whole[: int(part) if part < 0 else int(len(whole) * part)])
        assert "cut off" in self.refused(postgres, target, cut)
        assert self.is_untouched(postgres, target)

    def test_file_with_a_changed_byte(
        self, postgres: Postgres, source: Source, target: str, tmp_path: Path
    ) -> None:
        with zipfile.ZipFile(source.path) as archive:
            info = archive.getinfo("tables/public.messages")
        damaged = bytearray(source.path.read_bytes())
        damaged[info.header_offset + 30 + len(info.filename) + 40] ^= 0xFF
        path = tmp_path / "damaged.zip"
        path.write_bytes(damaged)
        assert "is damaged: tables/public.messages" in self.refused(postgres, target, path)
        assert self.is_untouched(postgres, target)

    def test_file_that_is_something_else(
        self, postgres: Postgres, target: str, tmp_path: Path
    ) -> None:
        other = tmp_path / "other.zip"
        with zipfile.ZipFile(other, "w") as archive:
            archive.writestr("readme.txt", "hello")
        assert "is not a whole backup" in self.refused(postgres, target, other)
        assert "There is no file" in self.refused(postgres, target, tmp_path / "none.zip")

    def test_newer_format(
        self, postgres: Postgres, source: Source, target: str, tmp_path: Path
    ) -> None:
        newer = changed(source.path, tmp_path / "newer.zip", format=2, version="9.0.0")
        assert "Use version 9.0.0 or a newer one" in self.refused(postgres, target, newer)
        strange = changed(source.path, tmp_path / "strange.zip", tables=5)
        assert "format that this version does not know" in self.refused(postgres, target, strange)

    def test_backup_of_a_newer_version(
        self, postgres: Postgres, source: Source, target: str
    ) -> None:
        said = self.refused(postgres, target, source.path, migrations=migrate.read()[:-1])
        assert "This copy lacks" in said
        assert "git checkout" in said
        assert self.is_untouched(postgres, target)

    def test_backup_of_other_migrations(
        self, postgres: Postgres, source: Source, target: str
    ) -> None:
        first, *others = migrate.read()
        edited = [migrate.Migration(first.version, first.name, first.sql + "-- x"), *others]
        said = self.refused(postgres, target, source.path, migrations=edited)
        assert f"another version of {first.version}" in said
        assert self.is_untouched(postgres, target)

    def test_schema_that_is_newer_or_older(
        self, postgres: Postgres, source: Source, target: str
    ) -> None:
        later = migrate.Migration("29990101000000", "later", "create table public.later (id int)")
        deploy(postgres, target, migrate.read()[:-1])
        assert "lacks" in self.refused(postgres, target, source.path)
        deploy(postgres, target, [*migrate.read(), later])
        said = self.refused(postgres, target, source.path, migrations=[*migrate.read(), later])
        assert "has 29990101000000 besides" in said
        assert "make deploy-db APPLY=1" in said

    def test_database_with_rows(self, postgres: Postgres, source: Source) -> None:
        said = self.refused(postgres, source.name, source.path)
        assert "The database has rows" in said
        assert "Restore into a new project" in said
        with postgres.connect(source.name) as db:
            assert contents(db) == source.rows

    def test_own_character_alone_counts_as_rows(
        self, postgres: Postgres, source: Source, target: str
    ) -> None:
        deploy(postgres, target, migrate.read())
        with postgres.connect(target) as db:
            db.execute("insert into auth.users (id, email) values (gen_random_uuid(), 'a@b.c')")
            db.execute("insert into characters (user_id, name) select id, 'x' from auth.users")
        assert "public.characters (1)" in self.refused(postgres, target, source.path)

    def test_without_keys_for_pictures_and_accounts(
        self, postgres: Postgres, source: Source, target: str
    ) -> None:
        said = self.refused(postgres, target, source.path, accounts=None)
        assert "1 people have no account" in said or "people have no account" in said
        assert "SUPABASE_SECRET_KEY" in self.refused(postgres, target, source.path, pictures=None)

    def test_rows_whose_owner_is_gone(
        self, postgres: Postgres, source: Source, target: str, tmp_path: Path
    ) -> None:
        nobody = changed(source.path, tmp_path / "nobody.zip", people=[])
        said = self.refused(postgres, target, nobody)
        assert "public.conversations to auth.users (1)" in said
        with postgres.connect(target) as db:
            assert rows_of_people(db, own_tables(db)) == {}

    def test_rows_that_are_missing(
        self, postgres: Postgres, source: Source, target: str, tmp_path: Path
    ) -> None:
        tables = json.loads(Reader(source.path).manifest.model_dump_json())["tables"]
        tables["public.messages"]["rows"] = 5
        short = changed(source.path, tmp_path / "short.zip", tables=tables)
        assert "public.messages has 4 rows in place of 5" in self.refused(postgres, target, short)

    def test_table_that_is_not_ours(
        self, postgres: Postgres, source: Source, target: str, tmp_path: Path
    ) -> None:
        tables = json.loads(Reader(source.path).manifest.model_dump_json())["tables"]
        tables["auth.users"] = {"columns": ["id"], "rows": 0}
        strange = changed(source.path, tmp_path / "strange.zip", tables=tables)
        with zipfile.ZipFile(strange, "a") as archive:
            archive.writestr("tables/auth.users", "")
        assert "auth.users has other columns" in self.refused(postgres, target, strange)

    def test_tables_of_a_product(self, postgres: Postgres, source: Source) -> None:
        with existing_database(postgres, "april", ()) as name:
            assert self.refused(postgres, name, source.path) == WHAT_TO_DO
            adopt(postgres, name)
            assert "of a new installation" in self.refused(postgres, name, source.path)

    def test_role_without_the_right(self, postgres: Postgres, source: Source, target: str) -> None:
        with postgres.connect(target, "supabase_admin") as db:
            db.execute("revoke set on parameter session_replication_role from postgres")
        try:
            assert "role postgres" in self.refused(postgres, target, source.path)
        finally:
            with postgres.connect(target, "supabase_admin") as db:
                db.execute("grant set on parameter session_replication_role to postgres")


class TestBackup:
    def test_of_no_installation(self, postgres: Postgres, target: str, tmp_path: Path) -> None:
        done = command(
            "backup", str(tmp_path / "b.zip"), folder=tmp_path, DATABASE_URL=postgres.dsn(target)
        )
        assert (done.returncode, "make deploy-db" in done.stderr) == (1, True)
        assert list(tmp_path.glob("b.zip*")) == []

    def test_pictures_need_the_secret_key(
        self, postgres: Postgres, source: Source, tmp_path: Path
    ) -> None:
        url = {"DATABASE_URL": postgres.dsn(source.name), "SUPABASE_SECRET_KEY": ""}
        done = command("backup", str(tmp_path / "b.zip"), folder=tmp_path, **url)
        assert (done.returncode, "1 pictures in Storage" in done.stderr) == (1, True)
        assert list(tmp_path.glob("b.zip*")) == []

    def test_file_that_exists_is_kept(
        self, postgres: Postgres, source: Source, tmp_path: Path
    ) -> None:
        kept = tmp_path / "b.zip"
        kept.write_text("mine")
        url = {"DATABASE_URL": postgres.dsn(source.name)}
        done = command("backup", str(kept), folder=tmp_path, **url)
        assert (done.returncode, kept.read_text()) == (1, "mine")
        assert "Give another name" in done.stderr

    @pytest.mark.parametrize(
        ("url", "sentence"),
        [("", "Set DATABASE_URL"), ("postgresql://x:secret@127.0.0.1:1/y", "does not lead to")],
    )
    def test_without_a_database(self, tmp_path: Path, url: str, sentence: str) -> None:
        for words in (("backup",), ("restore", str(tmp_path / "b.zip"))):
            if url and words[0] == "restore":
                continue
            done = command(*words, folder=tmp_path, DATABASE_URL=url)
            assert (done.returncode, sentence in done.stderr) == (1, True)
            assert "secret" not in done.stderr

    @pytest.mark.parametrize("name", ["backup", "restore"])
    def test_help_says_what_it_does(self, tmp_path: Path, name: str) -> None:
        done = command(name, "--help", folder=tmp_path)
        assert (done.returncode, "DATABASE_URL" in done.stdout) == (0, True)
        assert "Exit code 0" in done.stdout

    def test_of_another_version_than_this_copy(
        self, postgres: Postgres, source: Source, tmp_path: Path
    ) -> None:
        with (
            migrate.connect(postgres.dsn(source.name)) as connection,
            pytest.raises(BackupError, match="git checkout"),
        ):
            save(connection, tmp_path / "b.zip", migrate.read()[:-1], {}, None, print)

    def test_picture_that_is_gone_is_left_out(
        self, postgres: Postgres, source: Source, tmp_path: Path
    ) -> None:
        class Gone(Pictures):
            def download(self, path: str) -> bytes | None:
                return None

        told: list[str] = []
        with migrate.connect(postgres.dsn(source.name)) as connection:
            gone = Gone("http://127.0.0.1:1", "x")
            made = save(connection, tmp_path / "b.zip", migrate.read(), {}, gone, told.append)
        assert made.files == []
        assert "1 pictures are not in Storage and were left out." in told


@pytest.mark.parametrize("state", ["january", "april"])
def test_adopted_installation_backs_up_what_is_ours(
    postgres: Postgres, tmp_path: Path, state: str
) -> None:
    path = tmp_path / "adopted.zip"
    with existing_database(postgres, state, ("rows", "more_rows")) as name:
        adopt(postgres, name)
        url = {"DATABASE_URL": postgres.dsn(name)}
        with postgres.connect(name) as db:
            db.execute("insert into private.workers (name) values ('gpu-1')")
            before = contents(db)
        done = command("backup", str(path), folder=tmp_path, **url)
        assert done.returncode == 0, done.stderr
        assert "The product's own tables" in done.stderr.replace("\n", " ")
        made = Reader(path).manifest
        assert (made.kind, made.people) == ("adopted", [])
        theirs = {"public.messages", "public.conversations", "public.characters", "public.profiles"}
        assert theirs.isdisjoint(made.tables)
        assert "public.turns" in made.tables
    with existing_database(postgres, state, ("rows", "more_rows")) as name:
        adopt(postgres, name)
        bring_back(postgres, name, path)
        with postgres.connect(name) as db:
            assert contents(db) == before
    with database(postgres) as name, pytest.raises(BackupError, match="make adopt"):
        bring_back(postgres, name, path)
