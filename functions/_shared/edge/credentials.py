"""The keys that rows name: from the environment, which also says where each of them may be sent.

Whoever can write rows can choose addresses. So a key goes to the origins that KEY_ORIGINS binds it
to and to no other, whatever a row says.
"""

from collections.abc import Mapping
from functools import lru_cache

from edge.addresses import AddressRejected, check_address, is_local, origin


class Misconfigured(ValueError):
    """The provider cannot be called as its row has it; the message says why."""


def secret_value(name: str | None, environ: Mapping[str, str]) -> str | None:
    """The secret that a row names, if a row may name it and it is set."""
    if name is None or not name.endswith("_API_KEY"):
        return None
    if name.upper().startswith("SUPABASE_") or name == "CHAT_WORKER_API_KEY":
        return None
    return environ.get(name, "").strip() or None


def credentials(
    url: str,
    *,
    scheme: str,
    header: str,
    secret_name: str | None,
    environ: Mapping[str, str],
    key_origins: str,
    allow_local: bool,
) -> dict[str, str]:
    """The header that carries a provider's key to `url`; none for the scheme "none".

    Raises `Misconfigured`: the URL is checked before a key is put beside it.
    """
    try:
        check_address(url, allow_local=allow_local)
    except AddressRejected as rejected:
        raise Misconfigured(f"its address is rejected: {rejected}") from rejected
    if scheme == "none":
        return {}
    secret = secret_value(secret_name, environ)
    if secret_name is None or secret is None:
        raise Misconfigured(f"{secret_name} is not set")
    if wanted := missing_binding(secret_name, url, key_origins, allow_local=allow_local):
        raise Misconfigured(f"{secret_name} may not be sent there: set KEY_ORIGINS={wanted}")
    return {header: f"Bearer {secret}" if scheme == "bearer" else secret}


def missing_binding(name: str, url: str, key_origins: str, *, allow_local: bool) -> str | None:
    """The KEY_ORIGINS that would let a key go to `url`; None where it may already.

    For local work (`allow_local`) any key may go to addresses that are not public.
    Raises `AddressRejected` for what is no URL.
    """
    if origin(url) in bound_origins(key_origins).get(name, ()) or (allow_local and is_local(url)):
        return None
    return ",".join(filter(None, (key_origins.strip(" ,"), f"{name}={origin(url)}")))


@lru_cache(maxsize=16)
def bound_origins(key_origins: str) -> Mapping[str, frozenset[str]]:
    """The origins of each key, by its name.

    Raises `ValueError`, which does not quote what may be a key in the wrong place.
    """
    entries = [entry.strip() for entry in key_origins.split(",") if entry.strip()]
    found: dict[str, frozenset[str]] = {}
    for number, entry in enumerate(entries, 1):
        name, _, url = entry.partition("=")
        if not name.endswith("_API_KEY") or not _is_origin(url):
            raise ValueError(f"entry {number} is not NAME_API_KEY=https://host")
        found[name] = found.get(name, frozenset()) | {origin(url)}
    return found


def _is_origin(url: str) -> bool:
    try:
        origin(url)
    except AddressRejected:
        return False
    return not any(sign in url.partition("://")[2].removesuffix("/") for sign in "/?#")
