"""Prepares a new database for a first conversation: addresses, a demo user, a conversation."""

from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import httpx

from dev.settings import Keys, Settings, write_private
from dev.stack.part import StackError

EMAIL = "demo@example.com"
USER_NAME = "Sam"
CHARACTER_ID = "c0ffee00-0000-4000-8000-000000000001"
"""The public character of supabase/seed.sql."""


@dataclass(frozen=True)
class Session:
    """A signed-in user of the Data API."""

    user_id: str
    headers: dict[str, str]


class Database:
    """Client of Auth and the Data API. Raises `StackError` on error responses."""

    def __init__(self, client: httpx.AsyncClient, settings: Settings, keys: Keys) -> None:
        self._client = client
        self._url = settings.database_url
        self._keys = keys

    async def point_at(self, settings: Settings) -> None:
        """Register the addresses of the worker and of OpenRouter or its stand-in."""
        service = {"apikey": self._keys.secret_key}
        await self._call(
            "POST",
            "/rest/v1/rpc/set_chat_worker_url",
            service,
            {"p_url": settings.worker_url, "p_protocol": settings.worker_protocol},
        )
        await self._call(
            "PATCH",
            "/rest/v1/api_providers?name=eq.openrouter",
            service,
            {"base_url": settings.openrouter_url},
        )

    async def make_worker(self, name: str, key: str) -> None:
        """Let the worker with this key register itself under this name."""
        made = {"p_name": name, "p_key_hash": sha256(key.encode()).hexdigest()}
        service = {"apikey": self._keys.secret_key}
        await self._call("POST", "/rest/v1/rpc/make_worker", service, made)

    async def make_admin(self, session: Session) -> None:
        """Give the demo user the console."""
        service = {"apikey": self._keys.secret_key}
        row = {"user_id": session.user_id, "role": "admin"}
        path = "/rest/v1/user_roles"
        query = f"?select=role&user_id=eq.{session.user_id}&role=eq.admin"
        if not await self._call("GET", path + query, service):
            await self._call("POST", path, service, row)

    async def sign_in(self) -> Session:
        """Sign in the demo user, and sign them up first if necessary."""
        public = {"apikey": self._keys.publishable_key}
        login = {"email": EMAIL, "password": self._keys.demo_password}
        token = "/auth/v1/token?grant_type=password"  # noqa: S105 - a path
        response = await self._client.post(self._url + token, headers=public, json=login)
        if response.status_code == 400:
            data = await self._call("POST", "/auth/v1/signup", public, login)
        else:
            data = _checked(response)
        return Session(
            data["user"]["id"], {**public, "Authorization": f"Bearer {data['access_token']}"}
        )

    async def conversation(self, session: Session) -> str:
        """The id of the demo user's first conversation with the demo character."""
        found = await self._call(
            "GET",
            f"/rest/v1/conversations?select=id&character_id=eq.{CHARACTER_ID}"
            "&order=created_at&limit=1",
            session.headers,
        )
        if not found:
            profile = {"id": session.user_id, "display_name": USER_NAME}
            await self._call("POST", "/rest/v1/profiles", session.headers, profile)
            found = await self._call(
                "POST",
                "/rest/v1/conversations?select=id",
                {**session.headers, "Prefer": "return=representation"},
                {"user_id": session.user_id, "character_id": CHARACTER_ID, "title": "Demo"},
            )
        return str(found[0]["id"])

    async def _call(self, method: str, path: str, headers: dict[str, str], body: Any = None) -> Any:
        return _checked(
            await self._client.request(method, self._url + path, headers=headers, json=body)
        )


def _checked(response: httpx.Response) -> Any:
    if response.is_error:
        raise StackError(
            f"The database answered {response.status_code} to {response.request.method} "
            f"{response.request.url.path}: {response.text[:300]}"
        )
    return response.json() if response.content else None


def write_stack_env(settings: Settings, keys: Keys, conversation_id: str) -> None:
    """Write the file with the addresses and keys that clients and tests need."""
    values = {
        "SUPABASE_URL": settings.database_url,
        "SUPABASE_PUBLISHABLE_KEY": keys.publishable_key,
        "SUPABASE_SECRET_KEY": keys.secret_key,
        "FUNCTIONS_URL": settings.functions_url,
        "CHAT_WORKER_URL": settings.worker_url,
        "DEMO_EMAIL": EMAIL,
        "DEMO_PASSWORD": keys.demo_password,
        "DEMO_CHARACTER_ID": CHARACTER_ID,
        "DEMO_CONVERSATION_ID": conversation_id,
        "HEALTH_CHECK_SECRET": keys.health_check_secret,
    }
    lines = [f"{name}={value}\n" for name, value in values.items()]
    write_private(settings.stack_env, "".join(lines))
