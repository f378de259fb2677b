"""Which addresses a function may call."""

import ipaddress
import re
import socket
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from aiohttp.abc import AbstractResolver, ResolveResult
else:
    # Settings need the rest of this module, and aiohttp is a third of what a turn imports.
    AbstractResolver = object

_URL = re.compile(
    r"(https?)://(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::([0-9]{1,5}))?(?:[/?#][!-\[\]-~]*)?",
    re.IGNORECASE | re.ASCII,
)
"""Scheme, host and port of URLs that every parser reads alike: ASCII, no credentials, no
backslash."""
_PORTS = {"https": 443, "http": 80}
_ENDPOINTS = {
    "openai": ("/chat/completions", "/completions", "/models", "/health"),
    "chat_worker": ("/chat", "/health"),
}
"""The endings of endpoint addresses, which may be given in place of the server's address."""
_OWN_ROOTS = {
    "api.cohere.ai": "/compatibility/v1",
    "api.cohere.com": "/compatibility/v1",
    "api.deepinfra.com": "/v1/openai",
    "api.fireworks.ai": "/inference/v1",
    "api.groq.com": "/openai/v1",
    "api.novita.ai": "/v3/openai",
    "api.perplexity.ai": "",
    "api.z.ai": "/api/paas/v4",
    "ark.cn-beijing.volces.com": "/api/v3",
    "dashscope-intl.aliyuncs.com": "/compatible-mode/v1",
    "dashscope.aliyuncs.com": "/compatible-mode/v1",
    "generativelanguage.googleapis.com": "/v1beta/openai",
    "models.github.ai": "/inference",
    "open.bigmodel.cn": "/api/paas/v4",
    "openrouter.ai": "/api/v1",
}
"""The root of a provider's API, for hosts given without a path. For all others it is /v1."""
_AZURE = ".openai.azure.com"
_VERSION = re.compile(r"/v\d{1,3}(alpha|beta)?\d{0,3}$")
_LABEL = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_NAME = re.compile(rf"({_LABEL}\.)+(?=[a-z]){_LABEL}")
"""A fully qualified ASCII host name. It cannot end in a number: parsers take such names for IPv4
addresses and disagree about spellings such as 127.1 or 0x7f000001."""
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
            "100.64.0.0/10",  # carrier-grade NAT; also one cloud's metadata service
            "127.0.0.0/8",
            "168.63.129.16/32",  # a cloud's metadata service, at an address that looks public
            "169.254.0.0/16",  # link-local; the metadata service of most clouds
            "172.16.0.0/12",
            "192.0.0.0/24",  # protocol assignments; also one cloud's metadata service
            "192.0.2.0/24",  # documentation
            "192.88.99.0/24",  # 6to4 relays
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
"""Our own list, because `ipaddress.is_global` differs between Python versions. The database has the
same list in private.is_public_host."""
_OWN_NETWORKS = tuple(
    map(
        ipaddress.ip_network,
        ("10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"),
    )
)
"""The networks of an operator's own hosts. Link-local addresses, where most clouds have their
metadata service, are not among them."""
_THIS_MACHINE = tuple(map(ipaddress.ip_network, ("127.0.0.0/8", "::1/128")))
_METADATA = tuple(
    map(
        ipaddress.ip_address,
        ("100.100.100.200", "fd00:ec2::254", "fd20:ce::254", "fd00:c1::a9fe:a9fe"),
    )
)
"""Metadata services of clouds whose addresses are in these networks."""
_LOCAL_NAME = re.compile(rf"({_LABEL}\.)*(?=[a-z]){_LABEL}")
"""A host name in the operator's own network, which may be a single word."""
_METADATA_NAMES = ("metadata", "instance-data")
"""How the names of metadata services begin, such as metadata.google.internal."""


class AddressRejected(ValueError):
    """The address may not be called; the message says why."""


def check_address(url: str, *, allow_local: bool, private_origins: str = "") -> str:
    """Return the URL if it may be called, else raise `AddressRejected`.

    Upstreams must use https on public hosts, or be at one of `private_origins` (PRIVATE_ORIGINS).
    `allow_local` also permits http and private hosts, for local development. `PublicResolver`
    checks what a name resolves to when it is called.
    """
    scheme, host, _ = _parts(url)
    if not allow_local and not is_private_origin(url, private_origins):
        if scheme != "https":
            raise AddressRejected(f"it is not https ({_LOCAL_ADVICE})")
        if not _is_public_host(host):
            raise AddressRejected(f"it is a private address ({_LOCAL_ADVICE})")
    return url


_LOCAL_ADVICE = (
    "PRIVATE_ORIGINS allows hosts of your own network by name; ALLOW_LOCAL_UPSTREAMS allows all,"
    " for local work"
)


def is_private_origin(url: str, private_origins: str) -> bool:
    """Whether a URL is at one of the origins. Raises `AddressRejected` if it is not a valid URL."""
    scheme, host, port = _parts(url)
    return (scheme, _canonical(host), port) in listed_origins(private_origins)


@lru_cache(maxsize=16)
def listed_origins(private_origins: str) -> frozenset[tuple[str, str, int]]:
    """Scheme, host and port of each entry of PRIVATE_ORIGINS.

    Raises `ValueError` with the number of the first entry that cannot be allowed.
    """
    entries = [entry.strip() for entry in private_origins.split(",") if entry.strip()]
    found = set()
    for number, entry in enumerate(entries, 1):
        if not is_origin(entry):
            raise ValueError(f"entry {number} is not an origin, such as http://gpu.lan:8000")
        scheme, host, port = _parts(entry)
        if why := _why_not_private(host):
            raise ValueError(f"entry {number} {why}")
        found.add((scheme, _canonical(host), port))
    return frozenset(found)


def is_origin(url: str) -> bool:
    """Whether a URL has a scheme, a host and perhaps a port, and nothing else."""
    try:
        _parts(url)
    except AddressRejected:
        return False
    return not any(sign in url.partition("://")[2].removesuffix("/") for sign in "/?#")


def _why_not_private(host: str) -> str | None:
    """Why a host cannot be in the operator's own network; None if it can."""
    try:
        is_own = is_own_network(host.strip("[]"), host)
    except ValueError:
        if len(host) > _LONGEST_NAME or not _LOCAL_NAME.fullmatch(host):
            return "has a host that programs read in different ways"
        is_own = host.partition(".")[0] not in _METADATA_NAMES
    return None if is_own else "is a cloud's metadata service, or no host of your own network"


def is_own_network(address: str, host: str) -> bool:
    """Whether an IP address to which `host` resolves is in the operator's own network.

    This machine counts only under its own names: localhost, 127.0.0.1, [::1]. Metadata services
    never count.
    """
    ip = ipaddress.ip_address(address)
    if ip in _METADATA or (ip.version == 6 and ip.scope_id):
        return False
    if any(ip in network for network in _THIS_MACHINE):
        return f".{host}".endswith(".localhost") or _canonical(host) == str(ip)
    return any(ip in network for network in _OWN_NETWORKS)


def _canonical(host: str) -> str:
    """One spelling of a host that `_parts` returned."""
    try:
        return ipaddress.ip_address(host.strip("[]")).compressed
    except ValueError:
        return host


@lru_cache(maxsize=256)
def endpoint(
    base: str,
    path: str,
    *,
    protocol: Literal["openai", "chat_worker"] = "openai",
    is_own_path: bool = False,
) -> str:
    """The URL of an endpoint of a server.

    `base` is the server's address as people write it: the host alone, with a version (`/v1`), or
    complete (`/v1/chat/completions`), each with or without a slash and a query. `path` begins with
    `/v1/` where the server's own address has no version. A host alone gets the path of its API,
    unless `path` is the row's own.
    """
    address, mark, query = base.partition("?")
    address = address.rstrip("/")
    known = _ENDPOINTS[protocol]
    root = address.removesuffix(next(filter(address.endswith, known), ""))
    if protocol == "openai":
        if path == "/health":
            root = _VERSION.sub("", root)
        elif root == address and address.count("/") == 2 and not is_own_path:
            path = path.removeprefix("/v1")
            root += _root_of(address)
        elif path.startswith("/v1/") and (root != address or _VERSION.search(root)):
            path = path.removeprefix("/v1")
    return f"{root}{path}{mark}{query}"


def _root_of(address: str) -> str:
    """The root of a host's API, for an address without a path such as "https://api.groq.com"."""
    host = address.rpartition("/")[2].partition(":")[0].lower()
    return "/openai/v1" if host.endswith(_AZURE) else _OWN_ROOTS.get(host, "/v1")


def origin(url: str) -> str:
    """The normalised origin of a URL: scheme, host, and the port unless it is the default.

    Raises `AddressRejected` if it is not a valid URL.
    """
    scheme, host, port = _parts(url)
    return f"{scheme}://{host}" + (f":{port}" if port != _PORTS[scheme] else "")


def is_local(url: str) -> bool:
    """Whether a URL names this machine or another host that is not on the public internet."""
    return not _is_public_host(_parts(url)[1])


@lru_cache(maxsize=256)
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


@lru_cache(maxsize=256)
def _is_public_host(host: str) -> bool:
    try:
        return is_public(host[1:-1] if host.startswith("[") else host)
    except ValueError:
        known = len(host) <= _LONGEST_NAME and _NAME.fullmatch(host)
        return bool(known) and not f".{host}".endswith(_LOCAL_NAMES)


def is_public(address: str) -> bool:
    """Whether an IP address is a single public host. Raises `ValueError` if it is not an address.

    Addresses that wrap an IPv4 address (mapped, 6to4, Teredo, NAT64) do not count, because they
    lead elsewhere than they appear to. Neither do addresses with a zone id.
    """
    ip = ipaddress.ip_address(address)
    if ip.version == 6 and (ip not in _GLOBAL_UNICAST or ip.scope_id):
        return False
    return not any(ip in network for network in _NOT_PUBLIC)


class PublicResolver(AbstractResolver):
    """Returns only the public addresses of a host name, or, for one of `private_origins`, only
    those in the operator's own network.

    The connection uses the checked addresses, so DNS rebinding gains nothing.
    """

    def __init__(self, resolver: AbstractResolver, private_origins: str = "") -> None:
        self._resolver = resolver
        self._private = {(host, port) for _, host, port in listed_origins(private_origins)}

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> "list[ResolveResult]":
        """The addresses of the host that may be called. Raises `OSError` if there are none."""
        found = await self._resolver.resolve(host, port, family)
        name = host.lower().rstrip(".")
        if (name, port) in self._private:
            own = [entry for entry in found if is_own_network(entry["host"], name)]
            if not own:
                raise OSError("the name resolves to no address of the own network")
            return own
        public = [entry for entry in found if is_public(entry["host"])]
        if not public:
            raise OSError("the name resolves to a private address")
        return public

    async def close(self) -> None:
        """Close the underlying resolver."""
        await self._resolver.close()
