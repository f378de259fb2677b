"""Which addresses a function may call."""

import ipaddress
import re
import socket
from functools import lru_cache

from aiohttp.abc import AbstractResolver, ResolveResult

_URL = re.compile(
    r"(https?)://(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::([0-9]{1,5}))?(?:[/?#][!-\[\]-~]*)?",
    re.IGNORECASE | re.ASCII,
)
"""Scheme, host and port of what every parser reads alike: ASCII, no credentials, no backslash."""
_PORTS = {"https": 443, "http": 80}
_LABEL = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_NAME = re.compile(rf"({_LABEL}\.)+(?=[a-z]){_LABEL}")
"""A full name, in ASCII. It cannot end in a number: such names are taken for IPv4 addresses, in
spellings (127.1, 0x7f000001) that not everybody reads alike."""
_LONGEST_NAME = 253
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
_NOT_PUBLIC = tuple(
    map(
        ipaddress.ip_network,
        (
            "0.0.0.0/8",  # this host
            "10.0.0.0/8",
            "100.64.0.0/10",  # shared by customers of a carrier; a cloud's metadata, too
            "127.0.0.0/8",
            "168.63.129.16/32",  # a cloud's metadata at an address that looks public
            "169.254.0.0/16",  # link-local; metadata of most clouds
            "172.16.0.0/12",
            "192.0.0.0/24",  # protocol assignments; a cloud's metadata, too
            "192.0.2.0/24",  # documentation
            "192.88.99.0/24",  # relays of 6to4
            "192.168.0.0/16",
            "198.18.0.0/15",  # benchmarks
            "198.51.100.0/24",  # documentation
            "203.0.113.0/24",  # documentation
            "224.0.0.0/3",  # multicast, reserved, broadcast
            "2001::/23",  # protocol assignments: Teredo, ORCHID
            "2001:db8::/32",  # documentation
            "2002::/16",  # 6to4
            "3fff::/20",  # documentation
        ),
    )
)
"""What `ipaddress` says of an address differs from one Python to the next, so it is not asked. The
database has the same list, in private.is_public_host."""


class AddressRejected(ValueError):
    """The address may not be called; the message says why."""


def check_address(url: str, *, allow_local: bool) -> str:
    """Return the URL if it may be called, else raise `AddressRejected`.

    Upstreams are https on public hosts. `allow_local` admits http and private hosts, for
    local work. What a name resolves to is checked when it is called: see `PublicResolver`.
    """
    scheme, host, _ = _parts(url)
    if not allow_local:
        if scheme != "https":
            raise AddressRejected("it is not https (ALLOW_LOCAL_UPSTREAMS allows http)")
        if not _is_public_host(host):
            raise AddressRejected("it is a private address (ALLOW_LOCAL_UPSTREAMS allows them)")
    return url


@lru_cache(maxsize=256)
def origin(url: str) -> str:
    """Scheme, host and port of a URL in their one spelling: no default port, no dot at the end.

    Raises `AddressRejected` for what is no URL.
    """
    scheme, host, port = _parts(url)
    return f"{scheme}://{host}" + (f":{port}" if port != _PORTS[scheme] else "")


def is_local(url: str) -> bool:
    """Whether a URL names this machine, or another one that is not on the public internet."""
    return not _is_public_host(_parts(url)[1])


def _parts(url: str) -> tuple[str, str, int]:
    """Scheme, host and port."""
    found = _URL.fullmatch(url)
    if found is None:
        raise AddressRejected("it is not an http(s) URL without credentials")
    scheme, host = found[1].lower(), found[2].lower().rstrip(".")
    port = int(found[3] or _PORTS[scheme])
    if not host or not 0 < port < 65536:
        raise AddressRejected("it has no host, or an invalid port")
    return scheme, host, port


def _is_public_host(host: str) -> bool:
    try:
        return is_public(host[1:-1] if host.startswith("[") else host)
    except ValueError:
        known = len(host) <= _LONGEST_NAME and _NAME.fullmatch(host)
        return bool(known) and not f".{host}".endswith(_LOCAL_NAMES)


def is_public(address: str) -> bool:
    """Whether an IP address is one host on the public internet; `ValueError` if it is none.

    Addresses that wrap an IPv4 address (mapped, 6to4, Teredo, NAT64) are not: what they lead to
    is not what they look like. Nor are those that are only good on one network interface.
    """
    ip = ipaddress.ip_address(address)
    if ip.version == 6 and (ip not in _GLOBAL_UNICAST or ip.scope_id):
        return False
    return not any(ip in network for network in _NOT_PUBLIC)


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
            raise OSError("the name resolves to a private address")
        return public

    async def close(self) -> None:
        """Close the resolver that is asked."""
        await self._resolver.close()
