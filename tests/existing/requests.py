"""The requests of the existing product, sent as its pages and functions send them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from tests.existing.database import FOLDER
from tests.support.keys import Keys
from tests.support.postgres import OWNER, Connection, Postgres, Snapshot
from tests.support.postgrest import PostgREST, running_postgrest
from tests.support.waiting import PATIENCE

_FILE = json.loads((FOLDER / "requests.json").read_text())
PEOPLE: dict[str, str] = _FILE["people"]
REQUESTS: list[dict[str, Any]] = _FILE["requests"]
PROVIDER = "dddddddd-0000-4000-8000-000000000001"
_OF_A_NEW_ROW = {"id", "created_at", "updated_at"}


@dataclass(frozen=True)
class Answer:
    """What a program makes of an answer: `rows` is null without a body or with an error."""

    status: int
    rows: int | None = None
    error: str | None = None
    body: Any = None

    @property
    def summary(self) -> Answer:
        """Without the body, as the file has it."""
        return Answer(self.status, self.rows, self.error)


class DataApi:
    """PostgREST on one of these databases. Each request meets the rows of the beginning."""

    def __init__(self, server: Postgres, database: str, keys: Keys, postgrest: PostgREST) -> None:
        self._server, self._database, self._keys = server, database, keys
        self._postgrest = postgrest
        self._client = httpx.Client(base_url=postgrest.url, timeout=PATIENCE, trust_env=False)
        self.owner: Connection = server.connect(database, OWNER)
        self._snapshot = Snapshot(self.owner)

    def answer(self, request: dict[str, Any]) -> Answer:
        """Sends a request of the form of requests.json, then puts the rows back."""
        try:
            return self.send(request)
        finally:
            if request["method"] != "GET":
                self.restore()

    def restore(self) -> None:
        """Puts the rows of the beginning back."""
        self._snapshot.restore()

    def answers(self) -> list[Answer]:
        """The answers to all requests of the file, without what is new each time."""
        return [_without_new(self.answer(request), request) for request in REQUESTS]

    def reload(self) -> None:
        """After a change of the schema; the rows that are there now become the beginning."""
        self._snapshot = Snapshot(self.owner)
        self._postgrest.reload(self._server, self._database)

    def close(self) -> None:
        self._client.close()
        self.owner.execute("drop schema snapshot cascade")
        self.owner.close()

    def send(self, request: dict[str, Any]) -> Answer:
        """Sends a request of the form of requests.json; what it does stays. Any thread may."""
        body = json.dumps(request["body"]) if "body" in request else None
        response = self._client.request(
            request["method"],
            request["path"],
            content=body and body.replace("@PR", PROVIDER).replace("@new", "1"),
            headers=self._headers(request),
        )
        found: Any = response.json() if response.content else None
        if not response.is_success:
            return Answer(response.status_code, error=found.get("code"), body=found)
        rows = None if found is None else len(found) if isinstance(found, list) else 1
        return Answer(response.status_code, rows, body=found)

    def _headers(self, request: dict[str, Any]) -> dict[str, str]:
        headers = {
            "Authorization": f"Bearer {self._token(request['who'])}",
            "Content-Type": "application/json",
        }
        if "prefer" in request:
            headers["Prefer"] = request["prefer"]
        if request.get("single"):
            headers["Accept"] = "application/vnd.pgrst.object+json"
        return headers

    def _token(self, who: str) -> str:
        roles = {"anon": "anon", "service": "service_role"}
        if who in roles:
            return self._keys.role_token(roles[who])
        return self._keys.token(PEOPLE.get(who, who), "HS256")


@contextmanager
def running_data_api(server: Postgres, database: str, keys: Keys) -> Iterator[DataApi]:
    """A ready one, stopped at the end."""
    with running_postgrest(server, database, keys.secret) as postgrest:
        api = DataApi(server, database, keys, postgrest)
        try:
            yield api
        finally:
            api.close()


def expected(request: dict[str, Any], state: str) -> Answer:
    """What the file says about a state."""
    return Answer(**request.get(state, request["answer"]))


def _without_new(answer: Answer, request: dict[str, Any]) -> Answer:
    if request["method"] == "GET" or answer.rows is None:
        return answer
    rows = answer.body if isinstance(answer.body, list) else [answer.body]
    kept = [{k: v for k, v in row.items() if k not in _OF_A_NEW_ROW} for row in rows]
    return Answer(answer.status, answer.rows, answer.error, kept)
