"""Which key is sent to which provider."""

import pytest

from edge.credentials import Misconfigured, bound_origins, credentials, secret_value
from edge.settings import EdgeSettings

URL = "https://provider.example/v1"
ENVIRON = {"Some_API_KEY": "sk-1", "SUPABASE_SECRET_API_KEY": "canary"}


class TestKey:
    @pytest.mark.parametrize(
        ("name", "found"),
        [
            ("Some_API_KEY", "sk-1"),
            ("Unset_API_KEY", None),
            ("Blank_API_KEY", None),
            ("SUPABASE_SECRET_API_KEY", None),
            ("supabase_secret_API_KEY", None),
            ("CHAT_WORKER_API_KEY", None),
            ("HEALTH_CHECK_SECRET", None),
            (None, None),
        ],
    )
    def test_is_one_that_a_row_may_name(self, name: str | None, found: str | None) -> None:
        environ = {
            "Some_API_KEY": " sk-1\n",
            "Blank_API_KEY": " ",
            "SUPABASE_SECRET_API_KEY": "canary",
            "supabase_secret_API_KEY": "canary",
            "CHAT_WORKER_API_KEY": "canary",
            "HEALTH_CHECK_SECRET": "canary",
        }
        assert secret_value(name, environ) == found


def given(
    url: str = URL,
    scheme: str = "bearer",
    name: str | None = "Some_API_KEY",
    origins: str = "Some_API_KEY=https://provider.example",
    *,
    allow_local: bool = False,
) -> object:
    return credentials(
        url,
        scheme=scheme,
        header="X-Key",
        secret_name=name,
        environ=ENVIRON,
        key_origins=origins,
        allow_local=allow_local,
        private_origins="",
    )


class TestHeader:
    @pytest.mark.parametrize(
        ("scheme", "header"),
        [("bearer", {"X-Key": "Bearer sk-1"}), ("header", {"X-Key": "sk-1"}), ("none", {})],
    )
    def test_is_as_the_row_says(self, scheme: str, header: dict[str, str]) -> None:
        assert given(scheme=scheme) == header

    @pytest.mark.parametrize("url", ["http://provider.example", "https://10.0.0.1", "file:///etc"])
    @pytest.mark.parametrize("scheme", ["bearer", "none"])
    def test_goes_to_public_https_addresses_alone(self, url: str, scheme: str) -> None:
        with pytest.raises(Misconfigured, match="its address is rejected"):
            given(url, scheme)

    @pytest.mark.parametrize("name", ["Unset_API_KEY", "SUPABASE_SECRET_API_KEY", None])
    def test_missing_key_is_misconfigured(self, name: str | None) -> None:
        with pytest.raises(Misconfigured, match="is not set"):
            given(name=name)


class TestOrigin:
    """The environment decides where a key is sent, not a row."""

    @pytest.mark.parametrize(
        "url",
        [
            "https://provider.example",
            "https://provider.example/",
            "https://provider.example/v1/chat/completions?x=1",
            "https://provider.example:443/v1",
            "https://provider.example./v1",
            "HTTPS://Provider.Example/v1",
        ],
    )
    def test_is_one_however_it_is_spelled(self, url: str) -> None:
        assert given(url) == {"X-Key": "Bearer sk-1"}

    @pytest.mark.parametrize(
        "url",
        [
            "https://elsewhere.example/v1",
            "https://provider.example.elsewhere.example",
            "https://xprovider.example",
            "https://sub.provider.example",
            "https://provider.example:8443/v1",
            "https://elsewhere.example/https://provider.example",
            "https://elsewhere.example/?@provider.example",
            "https://elsewhere.example/#https://provider.example",
            "https://8.8.8.8/v1",
            "https://xn--provder-7ya.example",
        ],
    )
    def test_key_is_not_sent_to_another_origin(self, url: str) -> None:
        with pytest.raises(Misconfigured, match="Some_API_KEY may not be sent there"):
            given(url)
        assert given(url, scheme="none") == {}

    @pytest.mark.parametrize(
        "url",
        [
            "https://provider.example@elsewhere.example",
            "https://provider.example:x@elsewhere.example",
            "https://provider.example\\@elsewhere.example",
            "https://elsewhere.example\\.provider.example",
            "https://provıder.example",
            "https://provider。example",
            "https://provider.example%2eelsewhere.example",
            "https://provider.example\t.elsewhere.example",
            "https://provider.example\n",
            " https://provider.example",
            "https:/provider.example",
            "https://[provider.example]",
            "https://[2606:4700::1111]provider.example",
        ],
    )
    @pytest.mark.parametrize("allow_local", [True, False], ids=["local-work", "deployed"])
    def test_address_that_parsers_read_differently_is_not_called(
        self, url: str, allow_local: bool
    ) -> None:
        with pytest.raises(Misconfigured, match="its address is rejected"):
            given(url, allow_local=allow_local)

    def test_missing_origin_is_named_as_it_has_to_be_set(self) -> None:
        with pytest.raises(Misconfigured) as caught:
            given("https://b.example:8443/v1", origins=" Other_API_KEY=https://a.example, ")
        wanted = "Other_API_KEY=https://a.example,Some_API_KEY=https://b.example:8443"
        assert str(caught.value).endswith(f": set KEY_ORIGINS={wanted}")
        assert given("https://b.example:8443/v1", origins=wanted) == {"X-Key": "Bearer sk-1"}

    def test_key_may_be_bound_to_several_origins(self) -> None:
        origins = "Some_API_KEY=https://a.example,Some_API_KEY=https://b.example/"
        for url in ("https://a.example/v1", "https://b.example/v1"):
            assert given(url, origins=origins) == {"X-Key": "Bearer sk-1"}

    def test_origin_of_another_key_does_not_count(self) -> None:
        for name in ("Other_API_KEY", "some_API_KEY"):
            with pytest.raises(Misconfigured, match="may not be sent"):
                given(origins=f"{name}=https://provider.example")

    @pytest.mark.parametrize(
        ("url", "local"),
        [
            ("http://127.0.0.1:8789/v1", True),
            ("http://worker:8000", True),
            ("https://10.0.0.5/v1", True),
            ("https://elsewhere.example/v1", False),
            ("http://elsewhere.example/v1", False),
            ("https://8.8.8.8/v1", False),
        ],
    )
    def test_needs_no_entry_for_local_addresses_in_local_work(self, url: str, local: bool) -> None:
        if local:
            assert given(url, origins="", allow_local=True) == {"X-Key": "Bearer sk-1"}
            return
        with pytest.raises(Misconfigured, match="may not be sent"):
            given(url, origins="", allow_local=True)

    @pytest.mark.parametrize(
        "entry",
        [
            "sk-canary",
            "Some_API_KEY",
            "Some_API_KEY=",
            "Some_API_KEY=canary",
            "Some_API_KEY=https://a.example/v1",
            "Some_API_KEY=https://a.example?x",
            "Some_API_KEY=https://user:canary@a.example",
            "Some_TOKEN=https://a.example",
        ],
    )
    def test_invalid_origin_is_rejected_without_being_quoted(self, entry: str) -> None:
        with pytest.raises(ValueError, match="entry 2 is not") as caught:
            bound_origins(f"Some_API_KEY=https://a.example,{entry}")
        assert "canary" not in str(caught.value)

    def test_origin_of_the_seeded_provider_is_the_default(self) -> None:
        default = EdgeSettings.model_fields["key_origins"].default
        assert bound_origins(default) == {
            "OpenRouter_Roleplay_API_KEY": frozenset({"https://openrouter.ai"})
        }

    def test_empty_setting_is_the_default(self) -> None:
        settings = EdgeSettings(supabase_url="x", supabase_secret_key="x", key_origins="")
        assert settings.key_origins == EdgeSettings.model_fields["key_origins"].default
