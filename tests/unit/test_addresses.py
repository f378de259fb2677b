"""Which addresses may be called."""

from __future__ import annotations

import pytest

from edge.addresses import AddressRefused, check_address

PUBLIC = [
    "https://openrouter.ai/api/v1/chat/completions",
    "https://abc-8000.proxy.example/health",
    "HTTPS://WORKER.EXAMPLE",
    "https://8.8.8.8:8443/v1",
    "https://[2606:4700::1111]/v1",
    "https://localhost.example",
    "https://internal.example",
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
    "https://[64:ff9b::7f00:1]",
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


@pytest.mark.xfail(reason="only the plain spellings are known to be local")
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
