"""Which key goes to which provider."""

import pytest

from edge.credentials import Misconfigured, credentials, secret_value

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


def given(url: str = URL, scheme: str = "bearer", name: str | None = "Some_API_KEY") -> object:
    return credentials(
        url,
        scheme=scheme,
        header="X-Key",
        secret_name=name,
        environ=ENVIRON,
        allow_local=False,
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
        with pytest.raises(Misconfigured, match="its address is refused"):
            given(url, scheme)

    @pytest.mark.parametrize("name", ["Unset_API_KEY", "SUPABASE_SECRET_API_KEY", None])
    def test_needs_a_key(self, name: str | None) -> None:
        with pytest.raises(Misconfigured, match="is not set"):
            given(name=name)
