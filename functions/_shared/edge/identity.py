"""Verifies JSON Web Tokens: which user or service account is calling."""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from uuid import UUID

import httpx
import jwt
from cachetools import LRUCache

from edge.clients import NETWORK_ERRORS
from edge.errors import ApiError
from edge.json_values import number

AUDIENCE = "authenticated"
GOOGLE = "https://accounts.google.com"
"""The issuer of service accounts' ID tokens."""
LEEWAY_SECONDS = 30
KEYS_LIVE_SECONDS = 600
"""How long fetched keys are cached."""
REFETCH_SECONDS = 30
"""The minimum time between two fetches, so that made-up key ids cannot cause a flood."""
RETRY_SECONDS = 5
"""The minimum time before another fetch after one that failed."""
REMEMBERED_TOKENS = 10_000
MAX_TOKEN_CHARS = 16_384
"""Longer tokens are rejected unread. Those of Supabase Auth have about one thousand."""
MAX_EXPIRY = 2**53
"""In Unix time: the largest integer that a JSON number holds exactly."""
_ASYMMETRIC = frozenset({"ES256", "RS256"})
_UNREADABLE = (
    jwt.PyJWTError,
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)
"""Everything that decoding a token can raise: the library checks only some claims, so malformed
others fail where they are used."""


def unauthorized(reason: str = "Please sign in again.") -> ApiError:
    """The error for a caller without a valid token."""
    return ApiError(401, "unauthorized", reason)


def account_blocked(outcome: str) -> ApiError:
    """The error for a valid token of an account that is gone or suspended.

    `outcome` is the database's `unknown_user` or `banned_user`.
    """
    if outcome == "unknown_user":
        return unauthorized()
    return ApiError(
        403,
        "banned_user",
        "This account is suspended. Please contact support if you think this is a mistake.",
    )


def bearer_token(authorization: str | None) -> str:
    """The token in an Authorization header. Raises `ApiError` 401 if there is none."""
    scheme, _, token = (authorization or "").strip().partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise unauthorized("Please sign in: the request has no bearer token.")
    return token.strip()


class PublishedKeys:
    """The keys that an issuer publishes at a URL, fetched when needed and cached."""

    def __init__(
        self,
        http: Callable[[], httpx.AsyncClient],
        url: str,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._http = http
        self._url = url
        self._clock = clock
        self._keys: dict[str, jwt.PyJWK] = {}
        self._published: Any = None
        """What `_keys` was made from."""
        self._version = 0
        """Changes with the keys."""
        self._fetched_at: float | None = None
        self._reachable = True
        self._fetching = asyncio.Lock()

    async def key(self, header: Mapping[str, Any]) -> jwt.PyJWK:
        """The key that a token's header names. The algorithm is the key's, not the token's choice.

        Raises `ApiError` 401 if there is no such key, and 503 if the keys cannot be fetched.
        """
        algorithm, kid = str(header.get("alg")), header.get("kid")
        if not isinstance(kid, str) or algorithm not in _ASYMMETRIC:
            raise unauthorized()
        if kid not in self._keys or self._older_than(KEYS_LIVE_SECONDS):
            await self._fetch()
        if not self._keys and not self._reachable:
            raise ApiError(
                503,
                "sign_in_unavailable",
                "Sign-in cannot be checked right now. Please try again in a moment.",
                retry_after=RETRY_SECONDS,
            )
        key = self._keys.get(kid)
        if key is None or key.algorithm_name != algorithm:
            raise unauthorized()
        return key

    @property
    def version(self) -> int | None:
        """The version of the cached keys; None if they are too old to trust."""
        return None if self._older_than(KEYS_LIVE_SECONDS) else self._version

    def _older_than(self, seconds: float) -> bool:
        return self._fetched_at is None or self._clock() - self._fetched_at > seconds

    async def _fetch(self) -> None:
        async with self._fetching:
            if not self._older_than(REFETCH_SECONDS if self._reachable else RETRY_SECONDS):
                return
            self._fetched_at = self._clock()
            try:
                response = await self._http().get(self._url)
                response.raise_for_status()
                self._take(response.json())
            except (*NETWORK_ERRORS, ValueError):
                # Keep using the cached keys while new ones cannot be fetched.
                self._reachable = False
            else:
                self._reachable = True

    def _take(self, published: Any) -> None:
        keys = _usable(published)
        if published != self._published:
            self._keys, self._published = keys, published
            self._version += 1


class _Known(NamedTuple):
    """What is known about a verified token."""

    user_id: UUID
    expires: float
    """In Unix time."""
    keys: int | None
    """The version of the published keys; None for a token of the secret."""


class UserTokens:
    """Verifies user tokens against the project's published keys or its legacy secret.

    HS256 is accepted only with `secret`, ES256 and RS256 only with a published key of that type.
    """

    def __init__(
        self,
        http: Callable[[], httpx.AsyncClient],
        *,
        issuer: str,
        keys_url: str,
        secret: str | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._issuer = issuer
        self._secret = secret
        self._keys = PublishedKeys(http, keys_url, clock=clock)
        self._known: LRUCache[str, _Known] = LRUCache(REMEMBERED_TOKENS)

    async def user_id(self, token: str) -> UUID:
        """The user's id. Raises `ApiError` 401 if the token is not valid, 503 if the keys cannot
        be fetched."""
        known = self._known.get(token)
        if known is None or not self._is_valid(known):
            known = self._known[token] = await self._verified(token)
        return known.user_id

    def _is_valid(self, known: "_Known") -> bool:
        """Whether a verified token has not expired, and its key is still published."""
        is_trusted = known.keys is None or known.keys == self._keys.version
        return is_trusted and time.time() < known.expires

    async def _verified(self, token: str) -> "_Known":
        try:
            header = _header(token)
            key, algorithm = await self._key(header)
            claims = jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                audience=AUDIENCE,
                leeway=LEEWAY_SECONDS,
                options={"require": ["exp", "sub", "aud"]},
            )
            # Some local Auth servers omit the issuer. The project's own secret proves the issuer; a
            # published key proves less, so there the claim is required.
            issuer = claims.get("iss", self._issuer if algorithm == "HS256" else None)
            if issuer != self._issuer or claims.get("role", AUDIENCE) != AUDIENCE:
                raise unauthorized()
            version = None if algorithm == "HS256" else self._keys.version
            return _Known(UUID(claims["sub"]), _expiry(claims), version)
        except _UNREADABLE as error:
            raise unauthorized() from error

    async def _key(self, header: Mapping[str, Any]) -> tuple[Any, str]:
        if header.get("alg") == "HS256" and self._secret:
            return self._secret, "HS256"
        key = await self._keys.key(header)
        return key, key.algorithm_name


class ServiceTokens:
    """Verifies the ID tokens that Google signs for one service account."""

    def __init__(self, keys: PublishedKeys, *, audience: str, email: str) -> None:
        self._keys = keys
        self._audience = audience
        self._email = email

    async def check(self, token: str) -> None:
        """Raise `ApiError` 401 unless the token is that account's and for this audience."""
        try:
            key = await self._keys.key(_header(token))
            claims = jwt.decode(
                token,
                key,
                algorithms=[key.algorithm_name],
                audience=self._audience,
                issuer=GOOGLE,
                leeway=LEEWAY_SECONDS,
                options={"require": ["exp", "aud", "iss"]},
            )
            _expiry(claims)
        except _UNREADABLE as error:
            raise unauthorized() from error
        if claims.get("email") != self._email or claims.get("email_verified") is not True:
            raise unauthorized()


def _header(token: str) -> Mapping[str, Any]:
    """A token's header. Raises `ApiError` 401 if the token is too long or needs an extension."""
    if len(token) > MAX_TOKEN_CHARS:
        raise unauthorized()
    header: Mapping[str, Any] = jwt.get_unverified_header(token)
    if "crit" in header or "b64" in header:
        raise unauthorized()
    return header


def _expiry(claims: Mapping[str, Any]) -> float:
    """When a token expires, in Unix time. Raises `ValueError` if the claim is not a valid time."""
    expiry = number(claims["exp"], maximum=MAX_EXPIRY)
    if expiry is None or not 0 < expiry < MAX_EXPIRY:
        raise ValueError("exp is not a time")
    return expiry


def _usable(published: Any) -> dict[str, jwt.PyJWK]:
    """The keys of a JSON Web Key Set by id; unsupported keys are skipped."""
    entries = published.get("keys") if isinstance(published, dict) else None
    if not isinstance(entries, list):
        raise ValueError("not a JSON Web Key Set")  # noqa: TRY004 - a value from outside
    keys = {}
    for entry in entries:
        try:
            key = jwt.PyJWK.from_dict(entry)
        except (jwt.PyJWTError, AttributeError, TypeError, ValueError):
            continue
        if isinstance(key.key_id, str) and key.algorithm_name in _ASYMMETRIC:
            keys[key.key_id] = key
    return keys
