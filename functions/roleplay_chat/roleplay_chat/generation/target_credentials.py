"""The headers with the key of a target or a provider."""

from collections.abc import Mapping

from edge.credentials import Misconfigured, credentials
from roleplay_chat.generation.error_classifier import failed
from roleplay_chat.generation.targets import Target
from roleplay_chat.rows import ProviderRow
from roleplay_chat.settings import Settings


def target_credentials(
    url: str, of: Target | ProviderRow, settings: Settings, environ: Mapping[str, str]
) -> dict[str, str]:
    """The headers. Checks the URL before it adds a key. Raises `UpstreamError` if one is wrong."""
    try:
        return credentials(
            url,
            scheme=of.auth_scheme,
            header=of.auth_header_name,
            secret_name=of.secret_name,
            environ=environ,
            key_origins=settings.key_origins,
            allow_local=settings.allow_local_upstreams,
            private_origins=settings.private_origins,
        )
    except Misconfigured as error:
        raise failed("misconfigured", why=str(error)) from error
