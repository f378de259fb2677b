"""Pictures in Supabase Storage, read and written with the secret key."""

from typing import Any

import httpx

from dev.backup.archive import BackupError
from edge.storage import MAX_BYTES, PORTRAITS

SECONDS = 60


class Pictures:
    """The bucket of pictures of a project."""

    def __init__(self, url: str, secret_key: str) -> None:
        self._url = f"{url.rstrip('/')}/storage/v1/object"
        headers = {"apikey": secret_key, "Authorization": f"Bearer {secret_key}"}
        self._http = httpx.Client(headers=headers, timeout=SECONDS)

    def download(self, path: str) -> bytes | None:
        """A picture; None if it was removed meanwhile. Raises `BackupError`."""
        answer = self._send("GET", f"authenticated/{PORTRAITS}/{path}")
        if answer.status_code in (400, 404) and "not_found" in answer.text:
            return None
        self._check(answer, path)
        if len(answer.content) > MAX_BYTES:
            raise BackupError(f"Storage returned more than a picture for {path}.")
        return answer.content

    def upload(self, path: str, content: bytes) -> None:
        """Store a picture; it replaces an existing one. Raises `BackupError`."""
        headers = {
            "Content-Type": "image/webp",
            "Cache-Control": "private, max-age=31536000, immutable",
            "X-Upsert": "true",
        }
        where = f"{PORTRAITS}/{path}"
        self._check(self._send("POST", where, headers=headers, content=content), path)

    def _send(self, method: str, path: str, **more: Any) -> httpx.Response:
        try:
            return self._http.request(method, f"{self._url}/{path}", **more)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise BackupError(
                f"Storage does not answer ({type(error).__name__}). Is SUPABASE_URL right?"
            ) from error

    def _check(self, answer: httpx.Response, path: str) -> None:
        if not answer.is_success:
            raise BackupError(
                f"Storage answered {answer.status_code} for {path}. Is SUPABASE_SECRET_KEY the"
                " secret key of this project, and does the bucket exist (make verify)?"
            )
