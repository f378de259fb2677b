"""Which addresses a function may call."""

import ipaddress
import re
import socket
from urllib.parse import urlsplit

from aiohttp.abc import AbstractResolver, ResolveResult

_NAME = re.compile(r"([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z]([a-z0-9-]*[a-z0-9])?")
"""A full name, in ASCII. It cannot end in a number: such names are taken for IPv4 addresses, in
spellings (127.1, 0x7f000001) that not everybody reads alike."""
_LOCAL_NAMES = (
    ".localhost",
    ".localdomain",
    ".local",
    ".internal",
    ".intranet",
    ".lan",
    ".home",
    ".corp",
    ".private",
    ".home.arpa",
)
_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")


class AddressRefused(ValueError):
    """The address may not be called; the message says why."""


def check_address(url: str, *, allow_local: bool) -> str:
    """Return the URL if it may be called, else raise `AddressRefused`.

    Upstreams are https on public hosts. `allow_local` admits http and private hosts, for
    local work. What a name resolves to is checked when it is called: see `PublicResolver`.
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
        if not _is_public_host(host):
            raise AddressRefused("it is a private address (ALLOW_LOCAL_UPSTREAMS admits them)")
    return url


def _is_public_host(host: str) -> bool:
    host = host.lower().rstrip(".")
    try:
        return is_public(host)
    except ValueError:
        return bool(_NAME.fullmatch(host)) and not f".{host}".endswith(_LOCAL_NAMES)


def is_public(address: str) -> bool:
    """Whether an IP address is one host on the public internet; `ValueError` if it is none.

    Addresses that wrap an IPv4 address (mapped, 6to4, Teredo, NAT64) are not: what they lead to
    is not what they look like.
    """
    ip = ipaddress.ip_address(address)
    if ip.version == 6:
        wraps = ip.sixtofour is not None or ip.teredo is not None
        return ip in _GLOBAL_UNICAST and ip.is_global and not wraps and not ip.scope_id
    return ip.is_global and not ip.is_multicast


class PublicResolver(AbstractResolver):
    """Passes on only public addresses of a name.

    The connection goes to the addresses that were checked, so a name that resolves to something
    else a moment later (DNS rebinding) gains nothing.
    """

    def __init__(self, resolver: AbstractResolver) -> None:
        self._resolver = resolver

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The public addresses of the host; `OSError` when it has none."""
        found = await self._resolver.resolve(host, port, family)
        public = [entry for entry in found if is_public(entry["host"])]
        if not public:
            raise OSError("the name leads to a private address")
        return public

    async def close(self) -> None:
        """Close the resolver that is asked."""
        await self._resolver.close()
