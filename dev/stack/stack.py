"""The supervisor: starts the parts in order, watches them, and stops them."""

import asyncio
import contextlib
import fcntl
import json
import os
import secrets
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import httpx

from dev.settings import ENV_FILE, Keys, Settings, read_env_file, write_private
from dev.stack import database
from dev.stack.demo import EMAIL, Database, write_stack_env
from dev.stack.part import Part, StackError, hint
from dev.stack.scheduler import Scheduler

START_SECONDS = 180
"""Time limit for a part to become ready."""
HANGS_SECONDS = 10
"""A part that does not answer for so long is started anew by `make up`."""
WATCH_SECONDS = 0.3
NOT_RUNNING = "The local stack is not running. `make dev` or `make up` starts it."


def parts(settings: Settings, keys: Keys) -> list[Part]:
    """The programs of the stack, in starting order."""
    environment = {**read_env_file(ENV_FILE), **os.environ, "PYTHONUNBUFFERED": "1"}
    # Local traffic must not go through the machine's proxy.
    outside = environment.get("NO_PROXY", environment.get("no_proxy", ""))
    environment["NO_PROXY"] = environment["no_proxy"] = f"{outside},127.0.0.1,localhost"
    provider_key = settings.openrouter_roleplay_api_key

    def model(name: str, port: int, setting: str, key: str, **more: str) -> Part:
        own = {
            "WORKER_PORT": str(port),
            "CHAT_WORKER_API_KEY": key,
            "WORKER_GRAMMAR": settings.worker_grammar,
            **more,
        }
        return Part(
            name=name,
            command=[sys.executable, "-m", "dev.stack.worker"],
            env={**environment, **own},
            port=port,
            port_setting=setting,
            health_path="/health",
            healthy=lambda response: response.json()["model_loaded"] is True,
            log=settings.log_dir / f"{name}.log",
            essential=False,
        )

    def registering(number: int) -> Part:
        """A worker that registers itself with a key of its own."""
        name, port = f"worker-{number}", settings.worker_port + number
        at = f"{settings.functions_url}/health_check/workers/{name}"
        own = {"WORKER_REGISTERS_AT": at, "WORKER_KEY": secrets.token_urlsafe(32)}
        return model(name, port, "WORKER_PORT", "", **own)

    stand_in = model("stand-in", settings.stand_in_port, "STAND_IN_PORT", keys.stand_in_key)
    return [
        Part(
            name="database",
            command=database.START,
            env=database.environment(settings, keys),
            port=settings.database_port,
            port_setting="DATABASE_PORT",
            health_path="/auth/v1/health",
            health_headers={"apikey": keys.publishable_key},
            log=settings.log_dir / "database.log",
            essential=True,
        ),
        model("worker", settings.worker_port, "WORKER_PORT", keys.worker_key),
        *map(registering, range(2, settings.workers + 1)),
        *([] if provider_key else [stand_in]),
        Part(
            name="functions",
            command=[sys.executable, "-m", "dev.stack.functions"],
            env={**environment, **_functions_environment(settings, keys)},
            port=settings.functions_port,
            port_setting="FUNCTIONS_PORT",
            health_path="/",
            log=settings.log_dir / "functions.log",
            essential=True,
        ),
    ]


def _functions_environment(settings: Settings, keys: Keys) -> dict[str, str]:
    provider_key = settings.openrouter_roleplay_api_key
    # The stand-in has neither an account nor a catalog to check.
    unchecked = {} if provider_key else {"KEY_CHECK_MINUTES": "0", "CATALOG_HOURS": "0"}
    return {
        "SUPABASE_URL": settings.database_url,
        "SUPABASE_PUBLISHABLE_KEY": keys.publishable_key,
        "SUPABASE_SECRET_KEY": keys.secret_key,
        "SUPABASE_JWT_SECRET": keys.jwt_secret,
        "ALLOW_LOCAL_UPSTREAMS": "true",
        "CHAT_WORKER_API_KEY": keys.worker_key,
        "HEALTH_CHECK_SECRET": keys.health_check_secret,
        "OpenRouter_Roleplay_API_KEY": provider_key or keys.stand_in_key,
        "FUNCTIONS_PORT": str(settings.functions_port),
        "DEMO_EMAIL": EMAIL,
        "DEMO_PASSWORD": keys.demo_password,
        "FUNCTION_USE_ASGI": "1",
        **unchecked,
    }


class Stack:
    """One run of the whole stack, from its start to its end."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.keys = Keys.load(settings.local_dir)
        self.parts = parts(settings, self.keys)
        self._began = time.monotonic()
        self._restart = asyncio.Event()
        self._ready = False

    async def run(self) -> int:
        """Start everything and wait for a signal or the end of an essential part.

        Returns the exit code: 0 after a signal, 1 after a failure.
        """
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine runs in a task
        for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(sign, task.cancel)
        loop.add_signal_handler(signal.SIGUSR1, self._restart.set)
        try:
            async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
                await self._start(client)
                await self._watch(client)
        except asyncio.CancelledError:
            task.uncancel()
            self._say("stopping")
        except StackError as error:
            self._say(str(error))
            return 1
        except httpx.HTTPError as error:
            self._say(f"The database does not answer: {error}. {hint(self.parts[0].log)}")
            return 1
        finally:
            for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                loop.add_signal_handler(sign, lambda: None)  # Already stopping.
            await asyncio.gather(*(part.stop() for part in self.parts))
            _state_file(self.settings).unlink(missing_ok=True)
        return 0

    async def _start(self, client: httpx.AsyncClient) -> None:
        for part in self.parts:
            part.check_port()
        if not self.settings.database_dir.exists():
            self._say("database: creating it from the migrations and the seed ...")
        self._say(f"database: {await database.prepare(self.settings, self.keys)}")
        for part in self.parts:
            await part.start()
        self._save_state()
        for part in self.parts:
            await part.wait_ready(client, START_SECONDS)
            self._say(f"{part.name}: ready at {part.url}")
        supabase = Database(client, self.settings, self.keys)
        await supabase.point_at(self.settings)
        for part in self.parts:
            if key := part.env.get("WORKER_KEY"):
                await supabase.make_worker(part.name, key)
        session = await supabase.sign_in()
        await supabase.make_admin(session)
        conversation_id = await supabase.conversation(session)
        write_stack_env(self.settings, self.keys, conversation_id)

    async def _watch(self, client: httpx.AsyncClient) -> NoReturn:
        scheduler = Scheduler(client, self.settings, self.keys, self._say)
        await scheduler.check()
        self._print_summary()
        self._ready = True
        self._save_state()
        every_minute = asyncio.create_task(scheduler.run())
        try:
            down: set[str] = set()
            while True:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._restart.wait(), WATCH_SECONDS)
                self._tell_deaths(down)
                if self._restart.is_set():
                    self._restart.clear()
                    await self._start_again(client, down)
                    scheduler.check_now()
        finally:
            every_minute.cancel()

    def _tell_deaths(self, down: set[str]) -> None:
        for part in self.parts:
            if part.running or part.name in down:
                continue
            if part.essential:
                raise StackError(
                    f"{part.name}: {part.ending()}, so everything stops. {hint(part.log)}"
                )
            down.add(part.name)
            self._save_state()
            self._say(
                f"{part.name}: {part.ending()}. The rest keeps running; `make up` restarts it."
            )

    async def _start_again(self, client: httpx.AsyncClient, down: set[str]) -> None:
        """Start the parts that are down, and anew those that run and do not answer."""
        for part in self.parts:
            if part.running and not await part.answers(client, HANGS_SECONDS):
                self._say(f"{part.name}: does not answer, so it is stopped")
                await part.stop()
            if part.running:
                continue
            try:
                await part.start()
                await part.wait_ready(client, START_SECONDS)
            except StackError as error:
                self._say(str(error))
            else:
                self._say(f"{part.name}: ready again")
                down.discard(part.name)
        self._save_state()

    def _say(self, text: str) -> None:
        print(f"[{time.monotonic() - self._began:5.1f} s] {text}", flush=True)

    def _save_state(self) -> None:
        state = {
            "pid": os.getpid(),
            "ready": self._ready,
            "workers": self.settings.workers,
            "parts": {p.name: p.process.pid for p in self.parts if p.process and p.running},
        }
        write_private(_state_file(self.settings), json.dumps(state))

    def _print_summary(self) -> None:
        settings, keys = self.settings, self.keys
        real = bool(settings.openrouter_roleplay_api_key)
        more = "".join(f", {part.url}" for part in self.parts if "WORKER_KEY" in part.env)
        print(
            f"""
  Pages       {settings.functions_url}/ to chat, {settings.functions_url}/console.html for admins
  Database    {settings.database_url}
  Functions   {settings.functions_url}/roleplay_chat, {settings.functions_url}/health_check
  Worker      {settings.worker_url}{more}
  OpenRouter  {settings.openrouter_url}{"" if real else " (the local model stands in)"}
  Demo user   {EMAIL}, password {keys.demo_password}, an admin
  All values  {os.path.relpath(settings.stack_env)}

  make chat starts a chat. make status shows the parts. make down{_or_ctrl_c()} stops everything.
""",
            flush=True,
        )


def _or_ctrl_c() -> str:
    return " (here: Ctrl-C)" if sys.stdout.isatty() else ""


def _state_file(settings: Settings) -> Path:
    return settings.local_dir / "stack.json"


def read_state(settings: Settings) -> dict[str, Any] | None:
    """Process ids and readiness of the running stack; None if it is not running."""
    path = settings.local_dir / "stack.lock"
    if not path.exists():
        return None
    with path.open() as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            state = _state_file(settings)
            with contextlib.suppress(FileNotFoundError):
                return dict(json.loads(state.read_text()))
            return {"pid": int(path.read_text() or 0), "ready": False, "parts": {}}
    return None


@contextlib.contextmanager
def only_stack(settings: Settings) -> Iterator[None]:
    """Hold the lock for the working copy's only stack. Raises `StackError` if it is taken.

    The kernel releases the lock however the process ends, so it cannot become stale.
    """
    with (settings.local_dir / "stack.lock").open("a+") as lock:
        for _ in range(10):  # `read_state` also holds the lock for an instant.
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            time.sleep(0.05)
        else:
            raise StackError(
                "The local stack is already running. `make status` shows it, `make down` stops it."
            )
        _state_file(settings).unlink(missing_ok=True)
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield
