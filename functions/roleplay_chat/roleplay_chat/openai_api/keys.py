"""Reads who calls the OpenAI-compatible API: a person by a token, or a program by an API key."""

import re
import time
from collections import deque
from hashlib import sha256
from uuid import UUID

from cachetools import LRUCache
from msgspec import Struct

from edge.errors import ApiError
from edge.identity import UserTokens, bearer_token
from roleplay_chat.turn_store import blocked

PREFIX = "rpk_"
"""The beginning of API keys, with which tokens never begin."""
MAX_WRONG_KEYS = 120
"""Unknown keys per minute that the database is asked about. A key that this instance has seen
admitted is always asked about."""
REMEMBERED_KEYS = 10_000
_KEY = re.compile(PREFIX + r"[0-9a-f]{64}", re.ASCII)


class Credential(Struct, frozen=True):
    """A verified user, or the hash of an API key, which the database has yet to admit."""

    user_id: UUID | None = None
    key_hash: str | None = None

    @property
    def whose(self) -> UUID:
        """A key that distinguishes callers, for limits."""
        return self.user_id or UUID((self.key_hash or "")[:32])


class Keys:
    """Reads credentials, and keeps floods of invented API keys from the database."""

    def __init__(self, tokens: UserTokens) -> None:
        self._tokens = tokens
        self._admitted: LRUCache[str, bool] = LRUCache(REMEMBERED_KEYS)
        self._wrong: deque[float] = deque(maxlen=MAX_WRONG_KEYS)
        """When the newest unknown keys came."""

    async def credential(self, authorization: str | None) -> Credential:
        """Who sent this header. Raises `ApiError` 401, and 429 while too many unknown keys
        arrive."""
        token = bearer_token(authorization)
        if not token.startswith(PREFIX):
            return Credential(user_id=await self._tokens.user_id(token))
        if not _KEY.fullmatch(token):
            raise blocked({"outcome": "unknown_api_key"})
        key_hash = sha256(token.encode()).hexdigest()
        if key_hash not in self._admitted and self._are_too_many_wrong():
            raise ApiError(
                429, "rate_limited", "Too many wrong API keys. Please wait.", retry_after=60
            )
        return Credential(key_hash=key_hash)

    def note(self, credential: Credential, *, is_known: bool) -> None:
        """Remember whether the database knows the key."""
        if credential.key_hash is None:
            return
        if is_known:
            self._admitted[credential.key_hash] = True
        else:
            self._admitted.pop(credential.key_hash, None)
            self._wrong.append(time.monotonic())

    def _are_too_many_wrong(self) -> bool:
        return len(self._wrong) == MAX_WRONG_KEYS and self._wrong[0] > time.monotonic() - 60
