"""API keys that rows name. The environment holds the keys and says where each may be sent.

Anyone who can write rows can choose addresses. So a key is sent only to the origins that
KEY_ORIGINS binds it to, whatever a row says.
"""

from collections.abc import Mapping
from functools import lru_cache

from edge.addresses import AddressRejected, check_address, is_local, is_origin, origin


class Misconfigured(ValueError):
    """The provider cannot be called as its row says; the message says why."""


def secret_value(name: str | None, environ: Mapping[str, str]) -> str | None:
    """The environment variable that a row names; None if it is not set or rows may not name it."""
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
    private_origins: str,
) -> dict[str, str]:
    """The header with a provider's key for `url`; empty for the scheme "none".

    Raises `Misconfigured` if the URL is not allowed, or the key is not set or not bound to it.
    """
    try:
        check_address(url, allow_local=allow_local, private_origins=private_origins)
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
    """The value of KEY_ORIGINS that would allow sending a key to `url`; None if it is allowed.

    With `allow_local`, any key may be sent to addresses that are not public.
    Raises `AddressRejected` if it is not a valid URL.
    """
    if origin(url) in bound_origins(key_origins).get(name, ()) or (allow_local and is_local(url)):
        return None
    return ",".join(filter(None, (key_origins.strip(" ,"), f"{name}={origin(url)}")))


@lru_cache(maxsize=16)
def bound_origins(key_origins: str) -> Mapping[str, frozenset[str]]:
    """The allowed origins of each key, by the key's name.

    Raises `ValueError`, which does not quote the entry: it may be a key in the wrong place.
    """
    entries = [entry.strip() for entry in key_origins.split(",") if entry.strip()]
    found: dict[str, frozenset[str]] = {}
    for number, entry in enumerate(entries, 1):
        name, _, url = entry.partition("=")
        if not name.endswith("_API_KEY") or not is_origin(url):
            raise ValueError(f"entry {number} is not NAME_API_KEY=https://host")
        found[name] = found.get(name, frozenset()) | {origin(url)}
    return found
