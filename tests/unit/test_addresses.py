"""Which addresses the functions may call."""

from __future__ import annotations

from ipaddress import ip_address

import aiohttp
import httpx
import pytest
from yarl import URL

from edge.addresses import (
    AddressRejected,
    PublicResolver,
    check_address,
    endpoint,
    is_public,
    origin,
)
from tests.support.addresses import (
    ARE_PUBLIC,
    DISGUISED,
    LOCAL,
    NO_ADDRESS,
    NOT_PUBLIC,
    PUBLIC,
    Names,
)
from tests.support.waiting import listening_socket


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_address_that_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ARE_PUBLIC)
def test_address_that_is_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("HTTPS://Worker.Example./a?b", "https://worker.example"),
        ("https://worker.example:443", "https://worker.example"),
        ("http://worker.example:80/", "http://worker.example"),
        ("http://worker.example:443/", "http://worker.example:443"),
        ("https://worker.example:08443", "https://worker.example:8443"),
        ("https://[2606:4700::1111]:8443/v1", "https://[2606:4700::1111]:8443"),
    ],
)
def test_origin_has_one_spelling(url: str, expected: str) -> None:
    assert origin(url) == expected


@pytest.mark.parametrize("url", [*PUBLIC, *LOCAL])
def test_client_connects_to_the_host_that_was_checked(url: str) -> None:
    """Three parsers read each URL: ours, the client's, and its transport's."""
    client = httpx.URL(url)
    transport = URL(str(client))
    ours = origin(url)
    for theirs in (client.raw_host.decode(), transport.raw_host or ""):
        host = f"[{theirs}]" if ":" in theirs else theirs
        there = origin(f"{client.scheme}://{host}:{transport.port}")
        assert canonical(there) == canonical(ours)


def canonical(url: str) -> str:
    """The origin with an IPv6 address in its usual spelling."""
    scheme, _, rest = url.partition("[")
    address, _, port = rest.partition("]")
    return f"{scheme}[{ip_address(address).compressed}]{port}" if rest else url


@pytest.mark.parametrize("url", PUBLIC)
def test_public_address_is_returned_as_it_is(url: str) -> None:
    assert check_address(url, allow_local=False) == url


@pytest.mark.parametrize("url", LOCAL)
def test_local_address_needs_the_setting_for_local_work(url: str) -> None:
    with pytest.raises(AddressRejected, match="ALLOW_LOCAL_UPSTREAMS"):
        check_address(url, allow_local=False)
    assert check_address(url, allow_local=True) == url


@pytest.mark.parametrize("url", DISGUISED)
def test_local_address_in_disguise(url: str) -> None:
    with pytest.raises(AddressRejected):
        check_address(url, allow_local=False)


@pytest.mark.parametrize("allow_local", [True, False], ids=["local-work", "deployed"])
@pytest.mark.parametrize("url", NO_ADDRESS)
def test_what_is_no_address_is_refused_everywhere(url: str, allow_local: bool) -> None:
    with pytest.raises(AddressRejected):
        check_address(url, allow_local=allow_local)


def test_refusal_does_not_repeat_credentials() -> None:
    with pytest.raises(AddressRejected) as caught:
        check_address("https://user:password@worker.example", allow_local=False)
    assert "password" not in str(caught.value)


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


WORKER = "https://worker.example"
CHAT, MODELS, HEALTH = "/v1/chat/completions", "/v1/models", "/health"


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize(
    ("given", "chat", "models", "health"),
    [
        ("", "/v1/chat/completions", "/v1/models", "/health"),
        ("/v1", "/v1/chat/completions", "/v1/models", "/health"),
        ("/v1/chat/completions", "/v1/chat/completions", "/v1/models", "/health"),
        ("/v1/models", "/v1/chat/completions", "/v1/models", "/health"),
        ("/v1/completions", "/v1/chat/completions", "/v1/models", "/health"),
        ("/health", "/chat/completions", "/models", "/health"),
        ("/api", "/api/v1/chat/completions", "/api/v1/models", "/api/health"),
        ("/api/v4", "/api/v4/chat/completions", "/api/v4/models", "/api/health"),
        ("/chat/completions", "/chat/completions", "/models", "/health"),
        (
            "/v1beta/openai/chat/completions",
            "/v1beta/openai/chat/completions",
            "/v1beta/openai/models",
            "/v1beta/openai/health",
        ),
    ],
)
def test_address_of_an_openai_worker_may_be_given_in_any_way(
    given: str, chat: str, models: str, health: str, slash: str
) -> None:
    base = f"{WORKER}{given}{slash}"
    found = [endpoint(base, path) for path in (CHAT, MODELS, HEALTH)]
    assert found == [f"{WORKER}{chat}", f"{WORKER}{models}", f"{WORKER}{health}"]


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize(
    ("given", "root"), [("", ""), ("/v1", "/v1"), ("/chat", ""), ("/health", ""), ("/a", "/a")]
)
def test_address_of_a_worker_of_the_own_protocol_may_be_given_in_any_way(
    given: str, root: str, slash: str
) -> None:
    for path in ("/chat", "/health"):
        url = endpoint(f"{WORKER}{given}{slash}", path, protocol="chat_worker")
        assert url == f"{WORKER}{root}{path}"


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize(
    ("given", "path", "url"),
    [
        ("/api/v1", "/chat/completions", "/api/v1/chat/completions"),
        ("/api/v1/chat/completions", "/chat/completions", "/api/v1/chat/completions"),
        ("/api/v1/chat/completions", "/models", "/api/v1/models"),
        ("/v1", "/v1/chat/completions", "/v1/chat/completions"),
        ("/v1beta/openai", "/chat/completions", "/v1beta/openai/chat/completions"),
        # A host alone has its API at /v1, but for those below.
        ("", "/chat/completions", "/v1/chat/completions"),
        ("", "/models", "/v1/models"),
        ("/chat/completions", "/chat/completions", "/chat/completions"),
        # Any path is said on purpose.
        ("/openai", "/chat/completions", "/openai/chat/completions"),
        ("", "/v1/chat/completions", "/v1/chat/completions"),
        ("/inference", "/chat/completions", "/inference/chat/completions"),
    ],
)
def test_address_of_a_provider_may_be_given_in_any_way(
    given: str, path: str, url: str, slash: str
) -> None:
    assert endpoint(f"{WORKER}{given}{slash}", path) == f"{WORKER}{url}"


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize(
    ("host", "root"),
    [
        ("api.openai.com", "/v1"),
        ("api.mistral.ai", "/v1"),
        ("api.deepseek.com", "/v1"),
        ("api.anthropic.com", "/v1"),
        ("api.together.xyz", "/v1"),
        ("api.x.ai", "/v1"),
        ("api.moonshot.ai", "/v1"),
        ("api.cerebras.ai", "/v1"),
        ("litellm.example:4000", "/v1"),
        ("10.0.0.5:8000", "/v1"),
        ("[2606:4700::1111]:8000", "/v1"),
        ("openrouter.ai", "/api/v1"),
        ("API.Groq.com", "/openai/v1"),
        ("api.fireworks.ai:443", "/inference/v1"),
        ("generativelanguage.googleapis.com", "/v1beta/openai"),
        ("dashscope-intl.aliyuncs.com", "/compatible-mode/v1"),
        ("api.cohere.com", "/compatibility/v1"),
        ("name.openai.azure.com", "/openai/v1"),
        ("open.bigmodel.cn", "/api/paas/v4"),
        ("models.github.ai", "/inference"),
        ("api.perplexity.ai", ""),
    ],
)
def test_host_of_a_provider_alone_gets_its_path(host: str, root: str, slash: str) -> None:
    for path in ("/chat/completions", "/models"):
        assert endpoint(f"https://{host}{slash}", path) == f"https://{host}{root}{path}"
        assert endpoint(f"https://{host}{root}{slash}", path) == f"https://{host}{root}{path}"


def test_own_path_of_a_row_follows_the_host() -> None:
    url = endpoint(WORKER, "/other/completions", is_own_path=True)
    assert url == f"{WORKER}/other/completions"


def test_query_of_an_address_stays_at_its_end() -> None:
    for given in ("/deployments/m", "/deployments/m/chat/completions"):
        url = endpoint(f"{WORKER}{given}?api-version=1", "/chat/completions")
        assert url == f"{WORKER}/deployments/m/chat/completions?api-version=1"
