"""Errors that callers see, in one shape."""

import logging
import math
from collections.abc import Mapping

from starlette.responses import JSONResponse


class ApiError(Exception):
    """A failed request, with a sentence for the person.

    Raise it anywhere below a function's entry point:

        raise ApiError(404, "conversation_not_found", "This conversation does not exist.")
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        retry_after: float | None = None,
        allow: str | None = None,
        why: str = "",
    ) -> None:
        """`code` is for programs (snake_case), `message` a sentence, `retry_after` in seconds.

        `allow` lists the allowed methods, which a 405 must name. `why` is for the log alone: a
        SQLSTATE or the name of an exception.
        """
        super().__init__(code)
        self.status = status
        self.code = code
        self.message = message
        self.retry_after = retry_after
        self.allow = allow
        self.why = why

    @property
    def log_level(self) -> int:
        """How severe it is for operators: an error of the caller is not."""
        return logging.WARNING if self.status >= 500 else logging.INFO

    def log_fields(self, request_id: str) -> dict[str, str]:
        """The error's fields in the log."""
        fields = {"request_id": request_id, "code": self.code}
        return fields | ({"why": self.why} if self.why else {})

    def envelope(self, request_id: str) -> dict[str, object]:
        """The error as a JSON body."""
        return {
            "success": False,
            "error": self.message,
            "code": self.code,
            "request_id": request_id,
        }

    def headers(self) -> Mapping[str, str]:
        """`Retry-After` in whole seconds if waiting helps, `Allow` for a wrong method, and
        `WWW-Authenticate` for a missing or invalid token or key.

        After 408 and 413 the rest of the request is not read, so the connection is closed.
        """
        headers = {"Connection": "close"} if self.status in (408, 413) else {}
        if self.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        if self.retry_after is not None:
            headers["Retry-After"] = str(max(1, math.ceil(self.retry_after)))
        if self.allow is not None:
            headers["Allow"] = self.allow
        return headers

    def response(self, request_id: str) -> JSONResponse:
        """The error as an HTTP response."""
        return JSONResponse(self.envelope(request_id), self.status, headers=dict(self.headers()))


def internal_error() -> ApiError:
    """The error for a bug of ours; the log has the details."""
    return ApiError(500, "internal_error", "Something went wrong on our side. Please try again.")


def database_unavailable(why: str) -> ApiError:
    """The error while the database cannot be reached, or cannot do what it is asked for."""
    return ApiError(
        503,
        "database_unavailable",
        "The conversation store cannot be reached right now. Please try again in a moment.",
        retry_after=5,
        why=why,
    )
