"""The keys of providers: from the environment, by the name that a row gives."""

from collections.abc import Mapping

from edge.addresses import AddressRefused, check_address


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
    allow_local: bool,
) -> dict[str, str]:
    """The header that carries a provider's key to `url`; none for the scheme "none".

    Raises `Misconfigured`: the URL is checked before a key is put beside it.
    """
    try:
        check_address(url, allow_local=allow_local)
    except AddressRefused as refused:
        raise Misconfigured(f"its address is refused: {refused}") from refused
    if scheme == "none":
        return {}
    secret = secret_value(secret_name, environ)
    if secret is None:
        raise Misconfigured(f"{secret_name} is not set")
    return {header: f"Bearer {secret}" if scheme == "bearer" else secret}
