"""The health check's steps about OpenRouter, and what that answers."""

from __future__ import annotations

from typing import Any

from tests.support import patient
from tests.support.answers import error, reply
from tests.support.stack import HEALTH_CHECK_SECRET, Stack
from tests.support.talk import DOLPHIN, DOLPHIN_R1, VENICE
from tests.support.upstream import Answer

LLAMA, MISTRAL = "meta-llama/llama-3.1-8b-instruct", "mistralai/mistral-7b-instruct"
CONFIGURED = {VENICE, DOLPHIN_R1, DOLPHIN, LLAMA, MISTRAL}
SCHEDULER = {"X-Health-Check-Secret": HEALTH_CHECK_SECRET}
ON = {"KEY_CHECK_MINUTES": "15", "CATALOG_HOURS": "6", "PROVIDER_TIMEOUT_SECONDS": "2"}


def listed(key: str, prompt: str = "0", completion: str = "0", **fields: Any) -> dict[str, Any]:
    pricing = {"prompt": prompt, "completion": completion, "image": "0"}
    known = {"id": key, "name": key, "context_length": 131072, "pricing": pricing}
    return known | {"expiration_date": None} | fields


def catalog(*changed: dict[str, Any], without: tuple[str, ...] = (), **more: Any) -> Answer:
    """A catalog of twenty other models and the configured ones, with these changed."""
    entries = {key: listed(key) for key in CONFIGURED}
    entries[LLAMA] = listed(LLAMA, "0.0000002", "0.0000002")
    entries[MISTRAL] = listed(MISTRAL, "0.0000001", "0.0000001")
    entries |= {entry["id"]: entry for entry in changed}
    left = [entry for key, entry in entries.items() if key not in without]
    others = [listed(f"other/model-{number}", "0.000001") for number in range(20)]
    return reply(200, {"data": [*others, *left], **more})


def key(**fields: Any) -> Answer:
    known = {"label": "sk-or-v1-canary", "limit": None, "limit_remaining": None, "usage": 1.5}
    free = {"used": 12, "limit": 50, "remaining": 38}
    return reply(200, {"data": known | {"free_model_daily_requests": free} | fields})


class Checks:
    """Runs the health check with scripted responses of OpenRouter."""

    def __init__(self, stack: Stack, url: str) -> None:
        self.stack = stack
        self.url = url
        # January's database has one more: tests/existing/writable.sql.
        others = "delete from api_models where model_key <> all (%s)"
        stack.db.execute(others, (list(CONFIGURED),))
        stack.upstream.always(key(), to="/api/v1/key")
        stack.upstream.always(error(403), to="/api/v1/credits")
        stack.upstream.always(catalog(), to="/api/v1/models")

    def run(self, url: str = "") -> dict[str, Any]:
        answer = patient.post(url or self.url, headers=SCHEDULER, trust_env=False)
        assert answer.status_code == 200
        return dict(answer.json()["steps"])

    def again(self, minutes: int = 360) -> dict[str, Any]:
        """Runs it again some minutes later."""
        self.stack.db.execute(
            "update health_check_steps set begun_at = begun_at - make_interval(mins => %s), "
            "done_at = done_at - make_interval(mins => %s)",
            (minutes, minutes),
        )
        return self.run()

    def catalog(self, answer: Answer) -> dict[str, Any]:
        """The outcome of a later run with this catalog."""
        self.stack.upstream.enqueue(answer, to="/api/v1/models")
        return dict(self.again()["catalog"])

    def statuses(self) -> dict[str, str | None]:
        rows = self.stack.all("select distinct model_key, catalog_status from api_models")
        assert len(rows) == len(CONFIGURED)
        return {row["model_key"]: row["catalog_status"] for row in rows}
