"""Detects a product's own tables in a database, where migrations must not be run."""

from collections.abc import Mapping

import httpx
import psycopg
from psycopg.rows import dict_row

from dev.adopt import inspect

SECONDS = 15
WHAT_TO_DO = (
    "The tables there are not this project's, so its migrations are not for them: they would fail"
    " half-way. Nothing was run. `make adopt` moves in beside what runs there, and brings an"
    " installation that has moved in up to date (docs/adopting.md)."
)


class CannotTell(Exception):
    """It cannot be told; the sentence says why, and what to do."""


def has_foreign_tables(environment: Mapping[str, str]) -> bool:
    """Looks at DATABASE_URL if it is set, else at SUPABASE_URL with the secret key.

    Raises `CannotTell`.
    """
    if url := environment.get("DATABASE_URL", "").strip():
        return _in_database(url)
    key = environment.get("SUPABASE_SECRET_KEY", "").strip()
    if not key:
        raise CannotTell(
            "Set SUPABASE_SECRET_KEY or DATABASE_URL: before migrations are run, the database is"
            " looked at. Nothing was run."
        )
    return _behind_data_api(environment["SUPABASE_URL"].rstrip("/"), key)


def is_foreign(url: str, key: str) -> bool:
    """Whether the tables behind a Data API are a product's own; false if that cannot be told."""
    try:
        return _behind_data_api(url, key)
    except CannotTell:
        return False


def _in_database(url: str) -> bool:
    try:
        with psycopg.connect(url, row_factory=dict_row, connect_timeout=SECONDS) as database:
            columns = inspect.read_columns(database)
    except psycopg.Error as error:
        raise CannotTell(f"DATABASE_URL does not answer: {error}".strip()) from error
    return bool(columns) and not inspect.is_ours({"columns": columns})


def _behind_data_api(url: str, key: str) -> bool:
    try:
        response = httpx.get(
            f"{url}/rest/v1/conversations",
            params={"select": inspect.OUR_COLUMN, "limit": "0"},
            headers={"apikey": key},
            timeout=SECONDS,
        )
        answer = response.json()
    except (httpx.HTTPError, ValueError) as error:
        raise CannotTell(
            f"{url} does not answer ({type(error).__name__}). Is SUPABASE_URL right?"
        ) from error
    code = answer.get("code") if isinstance(answer, dict) else None
    if response.is_success or code in ("PGRST205", "42P01"):  # ours, or no such table
        return False
    if code == "42703":  # no such column
        return True
    raise CannotTell(f"{url} answered {response.status_code}: use the secret key. Nothing was run.")
