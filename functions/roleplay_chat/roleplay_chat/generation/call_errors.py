"""What a call to an upstream can raise, as failures."""

import httpx

from edge.clients import NETWORK_ERRORS, timed_out
from roleplay_chat.generation.error_classifier import Failure, UpstreamError
from roleplay_chat.generation.error_policies import ERROR_POLICIES

CALL_ERRORS = (UpstreamError, *NETWORK_ERRORS, httpx.InvalidURL, ValueError)
"""The exceptions that a call can raise because of an upstream or its row."""


def network_failure(error: Exception, *, shown: bool = False) -> Failure:
    """The failure for a network error; `shown`: after text of the reply was shown."""
    name = "cut_off" if shown else "timed_out" if timed_out(error) else "unreachable"
    return Failure(ERROR_POLICIES[name], why=type(error.__cause__ or error).__name__)


def call_failure(error: Exception) -> Failure:
    """The failure for one of `CALL_ERRORS`, in a call that is not for a reply."""
    if isinstance(error, UpstreamError):
        return error.failure
    if isinstance(error, NETWORK_ERRORS):
        return network_failure(error)
    # The row's URL or the key is not valid in a request.
    return Failure(ERROR_POLICIES["misconfigured"], why=type(error).__name__)
