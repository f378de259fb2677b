"""Hosts of one's own network that the environment allows by name."""

from __future__ import annotations

import pytest

from edge.addresses import (
    AddressRejected,
    PublicResolver,
    check_address,
    is_own_network,
    is_private_origin,
    listed_origins,
)
from edge.credentials import Misconfigured, credentials
from tests.support.addresses import DISGUISED, LOCAL, NO_ADDRESS, Names

OWN = (
    "http://gpu.lan:8000, http://192.168.1.20:11434/,https://10.0.0.7,http://[fd00::5]:8080,"
    "HTTP://Llama:8081,http://localhost:1234,http://box.internal.:80,http://127.0.0.1:9"
)
ALLOWED = [
    "http://gpu.lan:8000",
    "http://GPU.LAN:8000/v1/chat/completions",
    "http://gpu.lan.:8000/v1",
    "http://192.168.1.20:11434/v1?x=1",
    "https://10.0.0.7",
    "https://10.0.0.7:443/v1",
    "http://[fd00::5]:8080",
    "http://[FD00:0:0::5]:8080/v1",
    "http://llama:8081/v1",
    "http://localhost:1234/v1",
    "http://box.internal/",
    "http://127.0.0.1:9",
]
OTHERS = [
    "http://gpu.lan",
    "http://gpu.lan:8001",
    "https://gpu.lan:8000",
    "http://evil.gpu.lan:8000",
    "http://gpu.lan.evil.example:8000",
    "http://192.168.1.21:11434",
    "http://192.168.1.20",
    "http://10.0.0.7",
    "https://10.0.0.7:8443",
    "http://[fd00::6]:8080",
    "http://[::ffff:192.168.1.20]:11434",
    "http://3232235796:11434",
    "http://0xc0a80114:11434",
    "http://llama",
    "http://127.0.0.1:1234",
    "http://[::1]:1234",
    "http://worker.example:8000",
]
METADATA = [
    *("169.254.169.254", "169.254.170.2", "168.63.129.16", "100.100.100.200", "192.0.0.192"),
    *("[fd00:ec2::254]", "[fd20:ce::254]", "[fe80::a9fe:a9fe]", "[::ffff:169.254.169.254]"),
    *("[FD00:EC2:0::254]", "metadata.google.internal", "METADATA.google.internal.", "metadata"),
    "instance-data.ec2.internal",
]
NOT_OWN = [
    "8.8.8.8",
    "0.0.0.0",  # noqa: S104
    "255.255.255.255",
    "[::]",
    "[::ffff:10.0.0.1]",
    "[64:ff9b::a00:1]",
    "[2002:a00:1::]",
    "[2606:4700::1111]",
]


@pytest.mark.parametrize("url", ALLOWED)
def test_listed_origin_may_be_called(url: str) -> None:
    assert check_address(url, allow_local=False, private_origins=OWN) == url


@pytest.mark.parametrize(
    "url",
    [url for url in [*OTHERS, *LOCAL, *DISGUISED, *NO_ADDRESS] if url not in ALLOWED],
)
def test_nothing_else_becomes_allowed(url: str) -> None:
    with pytest.raises(AddressRejected):
        check_address(url, allow_local=False, private_origins=OWN)


def test_refusal_names_the_setting() -> None:
    for url in ("http://gpu.lan:8001", "https://192.168.1.1"):
        with pytest.raises(AddressRejected, match="PRIVATE_ORIGINS"):
            check_address(url, allow_local=False, private_origins=OWN)


def test_public_addresses_need_no_entry() -> None:
    url = "https://openrouter.ai/api/v1"
    assert check_address(url, allow_local=False, private_origins=OWN) == url
    assert not is_private_origin(url, OWN)


@pytest.mark.parametrize("host", [*METADATA, *NOT_OWN])
@pytest.mark.parametrize("form", ["http://{}", "https://{}:8080"])
def test_what_is_never_allowed_cannot_be_listed(host: str, form: str) -> None:
    with pytest.raises(ValueError, match=r"entry 2 is a cloud's metadata service, or no host"):
        listed_origins(f"http://gpu.lan:8000,{form.format(host)}")


@pytest.mark.parametrize(
    "entry",
    [
        *("gpu.lan", "gpu.lan:8000", "*", "http://*.lan", "ftp://gpu.lan", "http://gpu.lan/v1"),
        *("http://user:secret@gpu.lan", "http://gpu.lan?x", "http://gpu.lan:99999", "10.0.0.0/8"),
        *("http://10.0.0.0/8", "http://127.1", "http://2130706433", "http://0x7f000001"),
        *("http://0177.0.0.1", "http://127.0.0.0x1", "http://gpu_lan", "http://-.lan"),
        "http://[fe80::1%25eth0]",
    ],
)
def test_entry_that_is_no_origin_is_named_by_its_number(entry: str) -> None:
    with pytest.raises(ValueError, match=r"^entry 1 ") as caught:
        listed_origins(entry)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("given", ["", " ", ",", " , "])
def test_without_entries_nothing_is_private(given: str) -> None:
    assert listed_origins(given) == frozenset()


class TestResolver:
    """What a listed name resolves to, when it is called."""

    async def found(self, host: str, port: int, *addresses: str) -> list[str]:
        resolver = PublicResolver(Names(list(addresses)), OWN)
        return [entry["host"] for entry in await resolver.resolve(host, port)]

    async def test_only_addresses_of_the_own_network_are_connected_to(self) -> None:
        given = ["8.8.8.8", "169.254.169.254", "10.1.2.3", "::1", "fd12::1", "127.0.0.1"]
        assert await self.found("gpu.lan", 8000, *given) == ["10.1.2.3", "fd12::1"]
        assert await self.found("GPU.lan.", 8000, *given) == ["10.1.2.3", "fd12::1"]

    @pytest.mark.parametrize(
        "address",
        [
            *("8.8.8.8", "2606:4700::1111", "127.0.0.1", "::1", "0.0.0.1", "fe80::1"),
            *("::ffff:10.0.0.1", "64:ff9b::a00:1"),
            *(host.strip("[]") for host in METADATA if ":" in host or host[0].isdigit()),
        ],
    )
    async def test_name_that_resolves_elsewhere_is_not_connected_to(self, address: str) -> None:
        with pytest.raises(OSError, match="no address of the own network"):
            await self.found("gpu.lan", 8000, address)

    async def test_localhost_is_this_machine(self) -> None:
        assert await self.found("localhost", 1234, "127.0.0.1", "::1", "10.0.0.1") == [
            *("127.0.0.1", "::1", "10.0.0.1")
        ]

    @pytest.mark.parametrize(("host", "port"), [("gpu.lan", 8001), ("other.lan", 8000)])
    async def test_other_ports_and_names_stay_public(self, host: str, port: int) -> None:
        assert await self.found(host, port, "8.8.8.8", "10.0.0.1") == ["8.8.8.8"]
        with pytest.raises(OSError, match="private"):
            await self.found(host, port, "10.0.0.1")


def test_loopback_counts_for_names_of_this_machine_alone() -> None:
    assert is_own_network("127.0.0.1", "localhost")
    assert is_own_network("::1", "db.localhost")
    assert is_own_network("127.0.0.1", "127.0.0.1")
    assert not is_own_network("127.0.0.1", "notlocalhost")
    assert not is_own_network("127.0.0.1", "10.0.0.1")


def test_keys_go_to_listed_origins_that_they_are_bound_to() -> None:
    def header(key_origins: str) -> dict[str, str]:
        return credentials(
            "http://gpu.lan:8000/v1",
            scheme="bearer",
            header="Authorization",
            secret_name="OWN_API_KEY",
            environ={"OWN_API_KEY": "k"},
            key_origins=key_origins,
            allow_local=False,
            private_origins=OWN,
        )

    assert header("OWN_API_KEY=http://gpu.lan:8000") == {"Authorization": "Bearer k"}
    with pytest.raises(Misconfigured, match=r"OWN_API_KEY=http://gpu\.lan:8000"):
        header("OWN_API_KEY=http://gpu.lan")
