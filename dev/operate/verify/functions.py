"""Checks of the running function, and of its settings."""

from collections.abc import Mapping

import httpx

from dev.operate.verify.check import Check

TURN_SECONDS = 200


def site_check(environment: Mapping[str, str]) -> Check:
    """Whether requests tell providers the site's name; OpenRouter ranks sites by it."""
    missing = [name for name in ("SITE_URL", "SITE_NAME") if not environment.get(name, "").strip()]
    if missing:
        verb = "is" if len(missing) == 1 else "are"
        found = f"{' and '.join(missing)} {verb} not set: providers are not told who asks"
        return Check(
            "site", "reminder", found, "set both, if they should be (docs/configuration.md)"
        )
    return Check("site", "ok", f"{environment['SITE_NAME']}, {environment['SITE_URL']}")


def function_answers(functions_url: str | None) -> Check:
    """Whether roleplay_chat responds."""
    name = "roleplay_chat"
    if functions_url is None:
        return Check(name, "unknown", "FUNCTIONS_URL is not set", "set it to enable this check")
    try:
        response = httpx.get(f"{functions_url}/{name}", timeout=TURN_SECONDS)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        found = f"no answer at {functions_url} ({type(error).__name__})"
        return Check(name, "problem", found, "make deploy-roleplay_chat shows how to deploy it")
    if response.status_code != 200 or "ok" not in response.text:
        found = f"{functions_url}/{name} answered {response.status_code}"
        return Check(name, "problem", found, "look at its log: docs/operations.md")
    return Check(name, "ok", f"answers at {functions_url}")


def turn_is_answered(functions_url: str | None, token: str) -> Check:
    """Whether a model answers a small, real turn without a conversation."""
    name = "a turn"
    if functions_url is None:
        return Check(name, "unknown", "FUNCTIONS_URL is not set", "set it to enable this check")
    body = {"task": "prompt_enhancement", "message": "A quiet harbour at dusk."}
    try:
        response = httpx.post(
            f"{functions_url}/roleplay_chat",
            headers={"Authorization": f"Bearer {token}"},
            json=body,
            timeout=TURN_SECONDS,
        )
        answer = response.json()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        return Check(name, "problem", f"no answer ({type(error).__name__})", "look at its log")
    if response.status_code != 200 or not answer.get("success"):
        found = f"{answer.get('code')}: {answer.get('error')}"
        return Check(name, "problem", found, "see the symptoms in docs/operations.md")
    return Check(name, "ok", f"{answer['model_used']} in {answer['processing_time'] / 1000:.1f} s")
