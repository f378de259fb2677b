"""Workers register themselves: POST <health_check>/workers/<name>, with the worker's own key."""

import asyncio
import hmac
import re
import time
from collections.abc import Mapping
from hashlib import sha256
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request

from edge.addresses import AddressRejected, check_address, is_local, is_private_origin
from edge.clients import Clients
from edge.errors import ApiError
from edge.identity import unauthorized
from edge.json_text import loads_bounded
from health_check.settings import Settings, normal_host

MAX_BODY_BYTES = 8_192
BODY_SECONDS = 5.0
KEYS_LIVE_SECONDS = 30.0
"""How long the hashes of the keys are cached."""
REFETCH_SECONDS = 0.5
"""The minimum time between two reads of the hashes, however many wrong keys come. A new key may be
rejected for this long."""
MAX_WRONG_KEYS = 60
"""Wrong keys per minute that are compared at all. They never keep a worker with its key out."""
_NOBODY = "0" * 64
"""Compared with the key of an unknown worker, so that it takes as long as a wrong key."""
_PATH = re.compile(r"/workers/([a-z][a-z0-9_-]{0,39})/?", re.ASCII)


def _readable(value: str) -> str:
    if not value.strip() or not value.isprintable():
        raise ValueError("has no characters, or some that cannot be printed")
    return value


class Registration(BaseModel):
    """What a worker reports about itself. Omitted fields keep their values."""

    model_config = ConfigDict(extra="forbid", strict=True)

    url: str = Field(min_length=1, max_length=2000)
    """The address at which it answers."""
    protocol: Literal["openai", "chat_worker"] | None = None
    model: Annotated[str, Field(min_length=1, max_length=300), AfterValidator(_readable)] | None = (
        None
    )
    context_tokens: int | None = Field(default=None, ge=1, le=10_000_000)
    slots: int | None = Field(default=None, ge=1, le=100_000)
    """How many requests it answers at the same time."""
    running: int | None = Field(default=None, ge=0, le=100_000)
    """How many it is answering now."""
    draining: bool = False
    """Whether it wants no new turns, for example because it will stop."""


def registering(path: str) -> str | None:
    """The worker that a registration's path names; None for any other path."""
    found = re.search(_PATH.pattern + r"\Z", path)
    return found[1] if found else None


def is_allowed_host(url: str, hosts: str) -> bool:
    """Whether the host of a valid URL is one of `hosts`: names, and `*.name` for all below it."""
    host = normal_host(urlsplit(url).hostname or "")
    for entry in map(normal_host, hosts.split(",")):
        if entry.startswith("*."):
            if host.endswith(entry[1:]) and len(host) > len(entry) - 1:
                return True
        elif entry and host == entry:
            return True
    return False


class Registrar:
    """Checks workers' keys and addresses, and stores what they say."""

    def __init__(self, settings: Settings, clients: Clients) -> None:
        self._settings = settings
        self._clients = clients
        self._hashes: Mapping[str, str] = {}
        self._read_at: float | None = None
        self._reading = asyncio.Lock()
        self._wrong: list[float] = []

    async def register(self, name: str, request: Request) -> dict[str, Any]:
        """Register a worker, and return the database's answer. Raises `ApiError`."""
        if request.method != "POST":
            raise ApiError(405, "method_not_allowed", "Register a worker with POST.", allow="POST")
        key_hash = await self._admit(name, request.headers)
        registration = parse(await _body(request))
        self._check_address(registration.url)
        said = registration.model_dump(exclude={"draining"})
        stored = await self._clients.rpc(
            "register_worker",
            {
                "p_name": name,
                "p_key_hash": key_hash,
                "p_lease_seconds": self._settings.worker_lease_seconds,
                "p_is_draining": registration.draining,
                "p_is_private_origin": is_private_origin(
                    registration.url, self._settings.private_origins
                ),
                **{f"p_{column}": value for column, value in said.items()},
            },
        )
        return _registered(stored)

    async def _admit(self, name: str, headers: Mapping[str, str]) -> str:
        """The hash of the worker's key. Raises `ApiError` 401 unless it is the right one."""
        scheme, _, key = headers.get("authorization", "").partition(" ")
        given = key.strip() if scheme.lower() == "bearer" else ""
        given_hash = sha256(given.encode()).hexdigest()
        if await self._knows(name, given_hash):
            return given_hash
        now = time.monotonic()
        self._wrong = [at for at in self._wrong if at > now - 60]
        if len(self._wrong) >= MAX_WRONG_KEYS:
            raise ApiError(429, "rate_limited", "Too many wrong keys.", retry_after=60)
        self._wrong.append(now)
        raise unauthorized("This is not the key of a worker with this name (make worker).")

    async def _knows(self, name: str, given_hash: str) -> bool:
        if self._is_key(name, given_hash) and self._age() < KEYS_LIVE_SECONDS:
            return True
        async with self._reading:
            if self._age() > REFETCH_SECONDS:
                self._hashes = await self._clients.rpc("read_worker_keys")
                self._read_at = time.monotonic()
        return self._is_key(name, given_hash)

    def _is_key(self, name: str, given_hash: str) -> bool:
        # In constant time, so that timing does not reveal the hash.
        return hmac.compare_digest(self._hashes.get(name, _NOBODY), given_hash)

    def _age(self) -> float:
        return float("inf") if self._read_at is None else time.monotonic() - self._read_at

    def _check_address(self, url: str) -> None:
        settings = self._settings
        try:
            check_address(
                url,
                allow_local=settings.allow_local_upstreams,
                private_origins=settings.private_origins,
            )
            local = settings.allow_local_upstreams and is_local(url)
        except AddressRejected as rejected:
            raise _address_rejected(str(rejected)) from rejected
        if not local and not is_allowed_host(url, settings.worker_hosts):
            raise _address_rejected("its host is not in WORKER_HOSTS of health_check")


def parse(body: bytes) -> Registration:
    """The registration in a request's body. Raises `ApiError` 400."""
    try:
        return Registration.model_validate(loads_bounded(body))
    except ValidationError as error:
        where = ".".join(map(str, error.errors()[0]["loc"])) or "body"
        sentence = f"The registration is not valid: {where[:60]}."
        raise ApiError(400, "invalid_registration", sentence) from error
    except (ValueError, RecursionError) as error:
        raise ApiError(400, "invalid_registration", "The body must be a JSON object.") from error


async def _body(request: Request) -> bytes:
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MAX_BODY_BYTES:
                    sentence = f"The request is too large: at most {MAX_BODY_BYTES:,} bytes."
                    raise ApiError(413, "body_too_large", sentence)
    except TimeoutError as error:
        sentence = f"The request took longer than {BODY_SECONDS:g} s to arrive."
        raise ApiError(408, "body_too_slow", sentence) from error
    return bytes(body)


def _registered(stored: dict[str, Any]) -> dict[str, Any]:
    outcome = stored["outcome"]
    if outcome == "rate_limited":
        raise ApiError(
            429,
            "rate_limited",
            "This worker registers too often.",
            retry_after=stored["retry_after_seconds"],
        )
    if outcome == "address_rejected":
        raise _address_rejected(f"it {stored['why']}")
    if outcome != "registered":
        raise unauthorized("This is not the key of a worker with this name (make worker).")
    return stored


def _address_rejected(why: str) -> ApiError:
    return ApiError(400, "address_rejected", f"The worker's address is not allowed: {why}.")
