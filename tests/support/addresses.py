"""Addresses of servers that are public, and of those that are not."""

from __future__ import annotations

import socket

from aiohttp.abc import AbstractResolver, ResolveResult

PUBLIC = [
    "https://openrouter.ai/api/v1/chat/completions",
    "https://abc-8000.proxy.example/health",
    "HTTPS://WORKER.EXAMPLE",
    "https://8.8.8.8:8443/v1",
    "https://[2606:4700::1111]/v1",
    "https://localhost.example",
    "https://internal.example",
    "https://worker.example.",
    "https://xn--bcher-kva.example",
    "https://abc-8000.proxy.xn--p1ai",
]
LOCAL = [
    "http://worker.example",
    "http://127.0.0.1:8788/chat",
    "https://localhost",
    "https://LOCALHOST:8000",
    "https://db.localhost",
    "https://printer.local",
    "https://metadata.google.internal/computeMetadata/v1",
    "https://127.0.0.1",
    "https://127.8.9.10",
    "https://10.0.0.5",
    "https://172.16.0.1",
    "https://192.168.1.1",
    "https://169.254.169.254/latest/meta-data",
    "https://100.64.0.1",
    "https://0.0.0.0",
    "https://255.255.255.255",
    "https://[::1]:8000",
    "https://[::]",
    "https://[fc00::1]",
    "https://[fe80::1]",
    "https://[::ffff:127.0.0.1]",
    "https://[::ffff:10.0.0.1]",
]
# Names that resolvers read as 127.0.0.1 or as the names above.
DISGUISED = [
    "https://localhost.",
    "https://127.0.0.1.",
    "https://metadata.google.internal.",
    "https://127.1",
    "https://2130706433",
    "https://0x7f000001",
    "https://0177.0.0.1",
    "https://１２７.0.0.1",
    "https://0",
    "https://127.0.0.0x1",
    "https://[64:ff9b::7f00:1]",
    "https://[2002:7f00:1::]",
    "https://worker",
    "https://ⓛocalhost",
    "https://a b.example",
    "https://224.0.0.1",
    "https://[2001:0:4136:e378:8000:63bf:80ff:fffe]",
    "https://[::127.0.0.1]",
    "https://[fe80::1%25eth0]",
    "https://[2606:4700::1111%25eth0]",
    "https://ＬＯＣＡＬＨＯＳＴ",
    "https://localhost。",
    "https://bücher.example",
    "https://ollama",
    "https://ollama.",
    "https://worker.internal.",
    "https://router.home.arpa",
    "https://-.example",
    "https://a..example",
    "https://[ff0e::1]",
]
NO_ADDRESS = [
    "",
    "worker.example",
    "//worker.example",
    "https://",
    "https:///health",
    "https://?q",
    "ftp://worker.example",
    "file:///etc/passwd",
    "javascript:alert(1)",
    "https://[::1",
    "https://worker.example:99999",
    "https://worker.example:port",
    "https://user@worker.example",
    "https://user:password@worker.example",
    "https://openrouter.ai\\@worker.example",
]
# Addresses that are not public, even if some versions of Python's `ipaddress` say so.
NOT_PUBLIC = [
    *("0.0.0.1", "10.0.0.1", "100.64.0.1", "100.127.255.255", "127.0.0.1", "169.254.0.23"),
    *("172.31.255.255", "192.0.0.1", "192.0.0.8", "192.0.0.9", "192.0.0.170", "192.0.0.192"),
    *("192.0.2.1", "192.88.99.1", "192.88.99.2", "192.168.0.1", "198.18.0.1", "198.19.255.255"),
    *("198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1"),
    "255.255.255.255",
    # Metadata services of clouds.
    *("168.63.129.16", "169.254.169.254", "169.254.170.2", "100.100.100.200", "fd00:ec2::254"),
    *("fd20:ce::254", "fe80::a9fe:a9fe"),
    # IPv4 in IPv6: compatible, mapped, NAT64, 6to4, Teredo.
    *("::127.0.0.1", "::8.8.8.8", "::ffff:8.8.8.8", "::ffff:127.0.0.1", "64:ff9b::8.8.8.8"),
    *("64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "64:ff9b:1:ffff::808:808", "2002:808:808::1"),
    *("2002:7f00:1::", "2001::1", "2001:0:4136:e378:8000:63bf:80ff:fffe"),
    # ORCHID, its second version, benchmarks, drone ids, anycast, documentation, segment routing.
    *("2001:10::1", "2001:20::1", "2001:2f:ffff::1", "2001:2::1", "2001:30::1", "2001:1::1"),
    *("2001:3::1", "2001:4:112::1", "2001:db8::1", "3fff::1", "3fff:fff::1", "5f00::1", "100::1"),
    *("::", "::1", "fc00::1", "fdff::1", "fe80::1", "fec0::1", "ff02::1", "ff0e::1", "4000::1"),
    *("2606:4700::1111%eth0", "fe80::1%eth0"),
]
ARE_PUBLIC = [
    *("1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0"),
    *("168.63.129.15", "168.63.129.17", "169.253.255.255", "169.255.0.0", "172.15.255.255"),
    *("172.32.0.0", "191.255.255.255", "192.0.1.0", "192.0.3.0", "192.88.98.255", "192.88.100.0"),
    *("198.17.255.255", "198.20.0.0", "223.255.255.255", "2000::", "2001:200::1", "2003::1"),
    *("2606:4700::1111", "2620:0:ccc::2", "2a00:1450::1", "3ffe:ffff::1", "3fff:1000::1"),
]


class Names(AbstractResolver):
    """Names whose addresses change from one lookup to the next."""

    def __init__(self, *answers: list[str]) -> None:
        self._answers = list(answers)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=0)
            for address in self._answers.pop(0)
        ]

    async def close(self) -> None:
        self._answers.clear()
