"""What the Data API answers."""

from __future__ import annotations

import httpx


def is_refused(response: httpx.Response) -> bool:
    """Denied by a missing privilege or a policy: PostgREST reports SQLSTATE 42501."""
    return response.status_code in (401, 403) and response.json()["code"] == "42501"
