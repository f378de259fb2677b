"""Supabase Storage's HTTP API for tests: files in memory, rows and row level security in Postgres.

Statuses and bodies are those of Storage's own server, which answers 400 to most that it refuses and
says in the body why.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from aiohttp import web
from psycopg import sql

from tests.support.postgres import Connection

Claims = dict[str, Any]
_OBJECT = "/storage/v1/object/"


@dataclass
class Refusal(Exception):
    """What Storage refuses, as in its body."""

    status: str
    error: str
    message: str

    def response(self) -> web.Response:
        body = {"statusCode": self.status, "error": self.error, "message": self.message}
        return web.json_response(body, status=400)


NOT_FOUND = Refusal("404", "not_found", "Object not found")
NO_BUCKET = Refusal("404", "Bucket not found", "Bucket not found")
UNAUTHORIZED = Refusal("403", "Unauthorized", "new row violates row-level security policy")
DUPLICATE = Refusal("409", "Duplicate", "The resource already exists")
TOO_LARGE = Refusal("413", "Payload too large", "The object exceeded the maximum allowed size")


class Storage:
    """The service beside a database. `files` has the bytes of each object, by bucket and name."""

    def __init__(self, connect: Callable[[], Connection]) -> None:
        self._connect = connect
        self.files: dict[tuple[str, str], bytes] = {}

    async def answer(self, request: web.Request, body: bytes, claims: Claims) -> web.Response:
        """The response to a request of the person, or the service, that `claims` are about."""
        if not request.path.startswith(_OBJECT):
            return web.json_response({"message": "Route not found"}, status=404)
        path = request.path.removeprefix(_OBJECT)
        try:
            return await asyncio.to_thread(self._answer, request, path, body, claims)
        except Refusal as refusal:
            return refusal.response()

    def _answer(self, request: web.Request, path: str, body: bytes, claims: Claims) -> web.Response:
        if request.method == "POST":
            return self._upload(path, body, request.content_type, claims)
        if request.method == "GET":
            return self._download(path.removeprefix("authenticated/"), claims)
        assert request.method == "DELETE"
        return self._remove(path, json.loads(body)["prefixes"], claims)

    def _upload(self, path: str, body: bytes, media_type: str, claims: Claims) -> web.Response:
        bucket, _, name = path.partition("/")
        with self._connect() as db:
            row = db.execute("select * from storage.buckets where id = %s", [bucket]).fetchone()
        if row is None:
            raise NO_BUCKET
        if media_type not in (row["allowed_mime_types"] or [media_type]):
            raise Refusal("415", "invalid_mime_type", f"mime type {media_type} is not supported")
        if len(body) > (row["file_size_limit"] or len(body)):
            raise TOO_LARGE
        try:
            with self._as(claims) as db:
                # Nothing is returned, so that only the policy for inserts counts.
                db.execute(
                    "insert into storage.objects (bucket_id, name, owner_id) values (%s, %s, %s)",
                    [bucket, name, claims.get("sub")],
                )
        except psycopg.errors.InsufficientPrivilege as error:
            raise UNAUTHORIZED from error
        except psycopg.errors.UniqueViolation as error:
            raise DUPLICATE from error
        self.files[bucket, name] = body
        return web.json_response({"Id": "1", "Key": path})

    def _download(self, path: str, claims: Claims) -> web.Response:
        bucket, _, name = path.partition("/")
        query = "select from storage.objects where bucket_id = %s and name = %s"
        with self._as(claims) as db:
            found = db.execute(query, [bucket, name]).rowcount
        if not found:
            raise NOT_FOUND
        return web.Response(body=self.files[bucket, name], content_type="image/webp")

    def _remove(self, bucket: str, names: list[str], claims: Claims) -> web.Response:
        query = (
            "delete from storage.objects where bucket_id = %s and name = any (%s) returning name"
        )
        with self._as(claims) as db:
            db.execute("select set_config('storage.allow_delete_query', 'true', true)")
            gone = db.execute(query, [bucket, names]).fetchall()
        for row in gone:
            del self.files[bucket, row["name"]]
        return web.json_response(gone)

    @contextmanager
    def _as(self, claims: Claims) -> Iterator[Connection]:
        """A transaction as Storage begins one for a request."""
        with self._connect() as db, db.transaction():
            db.execute("select set_config('request.jwt.claims', %s, true)", [json.dumps(claims)])
            db.execute(sql.SQL("set local role {}").format(sql.Identifier(claims["role"])))
            yield db
