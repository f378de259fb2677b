"""Which addresses may be called."""

from __future__ import annotations

import socket

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from edge.addresses import AddressRefused, PublicResolver, check_address
from tests.support.waiting import listening_socket

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
# Names that resolvers take for 127.0.0.1 or for the names above.
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
    "https://[2002:7f00:1::]",
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
    "https://a b.example",
    "https://224.0.0.1",
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


@pytest.mark.parametrize("url", PUBLIC)
def test_public_address_is_returned_as_it_is(url: str) -> None:
    assert check_address(url, allow_local=False) == url


@pytest.mark.parametrize("url", LOCAL)
def test_local_address_needs_the_setting_for_local_work(url: str) -> None:
    with pytest.raises(AddressRefused, match="ALLOW_LOCAL_UPSTREAMS"):
        check_address(url, allow_local=False)
    assert check_address(url, allow_local=True) == url


@pytest.mark.parametrize("url", DISGUISED)
def test_local_address_in_disguise(url: str) -> None:
    with pytest.raises(AddressRefused):
        check_address(url, allow_local=False)


@pytest.mark.parametrize("allow_local", [True, False], ids=["local-work", "deployed"])
@pytest.mark.parametrize("url", NO_ADDRESS)
def test_what_is_no_address_is_refused_everywhere(url: str, allow_local: bool) -> None:
    with pytest.raises(AddressRefused):
        check_address(url, allow_local=allow_local)


def test_refusal_does_not_repeat_credentials() -> None:
    with pytest.raises(AddressRefused) as caught:
        check_address("https://user:password@worker.example", allow_local=False)
    assert "password" not in str(caught.value)


class Names(AbstractResolver):
    """Names whose addresses change from one question to the next."""

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


class TestPublicResolver:
    async def test_passes_on_public_addresses_alone(self) -> None:
        resolver = PublicResolver(Names(["10.0.0.1", "8.8.8.8", "::1", "2606:4700::1111"]))
        found = await resolver.resolve("worker.example")
        assert [entry["host"] for entry in found] == ["8.8.8.8", "2606:4700::1111"]

    @pytest.mark.parametrize("address", ["127.0.0.1", "169.254.169.254", "::ffff:10.0.0.1"])
    async def test_name_of_a_private_address_is_not_resolved(self, address: str) -> None:
        with pytest.raises(OSError, match="private"):
            await PublicResolver(Names([address])).resolve("worker.example")

    async def test_name_that_becomes_private_is_not_connected_to(self) -> None:
        listener = listening_socket()
        resolver = PublicResolver(Names(["8.8.8.8"], ["127.0.0.1"]))
        await resolver.resolve("worker.example")
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(resolver=resolver)
        ) as session:
            with pytest.raises(aiohttp.ClientConnectorDNSError):
                await session.get(f"http://worker.example:{listener.getsockname()[1]}/")
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()
        listener.close()
