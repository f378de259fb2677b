"""Which addresses a function may call."""

import ipaddress
from urllib.parse import urlsplit


class AddressRefused(ValueError):
    """The address may not be called; the message says why."""


def check_address(url: str, *, allow_local: bool) -> str:
    """Return the URL if it may be called, else raise `AddressRefused`.

    Upstreams are https on public hosts. `allow_local` admits http and private hosts, for
    local work.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise AddressRefused("it is not a URL") from error
    if parts.scheme not in ("https", "http") or not host:
        raise AddressRefused("it is not an http(s) URL")
    if parts.username or parts.password:
        raise AddressRefused("it carries credentials")
    if not allow_local:
        if parts.scheme != "https":
            raise AddressRefused("it is not https (ALLOW_LOCAL_UPSTREAMS admits http)")
        if _is_local(host):
            raise AddressRefused("it is a private address (ALLOW_LOCAL_UPSTREAMS admits them)")
    return url


def _is_local(host: str) -> bool:
    if host == "localhost" or host.endswith((".localhost", ".local", ".internal")):
        return True
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return False
