"""The pages of web/: served with the functions, or assembled as static files (`make web`)."""

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dev.docs import openapi_page
from dev.options import no_options
from dev.settings import ENV_FILE, ROOT, read_env_file
from dev.web_scripts import BundleError, Scripts, bundle

WEB = ROOT / "web"
DIST = ROOT / "dist/web"
PAGES = {"/": "index.html", "/index.html": "index.html", "/console.html": "console.html"}
VERBS = ["GET", "HEAD", "POST", "PATCH", "PUT", "DELETE"]
VENDOR = {"vendor/uplot.css": ROOT / "node_modules/uplot/dist/uPlot.min.css"}
"""Files of libraries that are not part of a script, by their paths on the pages."""


class Config(BaseModel):
    """The configuration of the pages. All of it is public."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)

    publishable_key: str
    supabase_url: str = ""
    """The project's address; empty: the pages' own origin."""
    functions_url: str = ""
    """The base URL of both functions; empty: the pages' own origin."""
    realtime: bool = False
    """Whether the project has Supabase's realtime, which the local stack lacks."""
    demo_email: str = ""
    """The demo user, whom only the pages of the local stack offer to sign in."""
    demo_password: str = ""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Config":
        """For a deployment. Raises `ValueError` with what is missing."""
        names = ("SUPABASE_PUBLISHABLE_KEY", "SUPABASE_URL", "FUNCTIONS_URL")
        given = {name: environment.get(name, "").strip() for name in names}
        if missing := [name for name, value in given.items() if not value]:
            raise ValueError(f"Set in the environment or in .env: {', '.join(missing)}")
        return cls(
            publishable_key=given["SUPABASE_PUBLISHABLE_KEY"],
            supabase_url=given["SUPABASE_URL"],
            functions_url=given["FUNCTIONS_URL"],
            realtime=True,
        )

    def script(self) -> str:
        """The text of config.js."""
        return f"export const config = {self.model_dump_json(by_alias=True, indent=2)};\n"

    def policy(self) -> str:
        """The Content-Security-Policy: only the pages' own files and the two services."""
        origins = dict.fromkeys(map(_origin, filter(None, (self.supabase_url, self.functions_url))))
        database = _origin(self.supabase_url) if self.realtime and self.supabase_url else ""
        reached = " ".join(filter(None, ["'self'", *origins, database.replace("http", "ws", 1)]))
        return "; ".join(
            [
                "default-src 'none'",
                "script-src 'self'",
                "style-src 'self'",
                "img-src 'self' blob:",
                "manifest-src 'self'",
                f"connect-src {reached}",
                "base-uri 'none'",
                "form-action 'none'",
                "require-trusted-types-for 'script'",
                "trusted-types lit-html dompurify",
            ]
        )

    def page(self, name: str) -> str:
        """A page with the policy in its head, for hosts that do not send the header."""
        return (WEB / name).read_text().replace("{{policy}}", self.policy())


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


class Files(StaticFiles):
    """The files of a folder, each read at once: they are small, and threads would take longer."""

    def file_response(
        self,
        full_path: str | os.PathLike[str],
        stat_result: os.stat_result,
        scope: Scope,
        status_code: int = 200,
    ) -> Response:
        response = super().file_response(full_path, stat_result, scope, status_code)
        if not isinstance(response, FileResponse):
            return response  # It was not modified.
        content = Path(full_path).read_bytes()
        return Response(content, response.status_code, dict(response.headers))


class Headers:
    """Adds the security headers of the pages."""

    def __init__(self, app: ASGIApp, policy: str) -> None:
        self._app = app
        self._headers = [
            (b"content-security-policy", f"{policy}; frame-ancestors 'none'".encode()),
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", b"no-referrer"),
            (b"cache-control", b"no-cache"),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *self._headers]
            await send(message)

        await self._app(scope, receive, with_headers)


class Proxy:
    """Forwards requests to another server.

    Supabase Lite's preflight responses do not allow `Authorization`, so browsers can reach it only
    at the pages' own origin.
    """

    HOPS = frozenset({"host", "connection", "content-length", "transfer-encoding"})

    def __init__(self, url: str) -> None:
        # A kept connection may be closed by the other side just when it is used again.
        once = httpx.Limits(max_keepalive_connections=0)
        self._client = httpx.AsyncClient(base_url=url, timeout=30, limits=once, trust_env=False)

    async def answer(self, request: Request) -> Response:
        """The other server's response, or 502 if there is none."""
        url = httpx.URL(path=request.url.path, query=request.url.query.encode())
        headers = [(k, v) for k, v in request.headers.raw if k.decode().lower() not in self.HOPS]
        try:
            answer = await self._client.request(
                request.method, url, headers=headers, content=await request.body()
            )
        except httpx.HTTPError:
            return Response("The database does not answer.", 502)
        dropped = {*self.HOPS, "content-encoding"}
        kept = {k: v for k, v in answer.headers.items() if k.lower() not in dropped}
        return Response(answer.content, answer.status_code, kept)


def application(config: Config, database_url: str) -> ASGIApp:
    """The pages of the working copy, with the database at the same origin."""
    database = Proxy(database_url)

    async def page(request: Request) -> Response:
        return HTMLResponse(config.page(PAGES[request.url.path]))

    async def api(_: Request) -> Response:
        return HTMLResponse(openapi_page.written())

    async def script(_: Request) -> Response:
        return Response(config.script(), media_type="text/javascript")

    async def library(request: Request) -> Response:
        return FileResponse(VENDOR[request.url.path.lstrip("/")])

    return Starlette(
        routes=[
            *(Route(path, page) for path in PAGES),
            Route("/api.html", api),
            Route("/config.js", script),
            *(
                Route(path, database.answer, methods=VERBS)
                for path in ("/auth/v1/{_:path}", "/rest/v1/{_:path}")
            ),
            Route("/js/{name}", Scripts().answer),
            *(Route(f"/{path}", library) for path in VENDOR),
            Mount("/", Files(directory=WEB)),
        ],
        middleware=[Middleware(Headers, policy=config.policy()), Middleware(GZipMiddleware)],
    )


def build(config: Config, target: Path = DIST) -> None:
    """Assemble all files for a static host in one folder. Raises `BundleError`."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(WEB, target, ignore=shutil.ignore_patterns("js"))
    bundle(target / "js")
    for name in set(PAGES.values()):
        (target / name).write_text(config.page(name))
    (target / "config.js").write_text(config.script())
    for name, source in VENDOR.items():
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, path)


def main(target: Path = DIST) -> int:
    """Assemble the pages of the project that is configured. Returns the exit code."""
    try:
        config = Config.from_environment({**read_env_file(ENV_FILE), **os.environ})
    except ValueError as error:
        print(f"{error}. docs/deploying.md says what they are.", file=sys.stderr)
        return 1
    try:
        build(config, target)
    except BundleError as error:
        print(error, file=sys.stderr)
        return 1
    print(os.path.relpath(target))
    return 0


if __name__ == "__main__":
    no_options("dev.web", __doc__)
    sys.exit(main())
