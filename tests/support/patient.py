"""httpx's functions for servers on this machine.

Their timeout suits a busy one: with the default of five seconds tests would fail on slow machines.
They load no certificates, which takes longer than most requests.
"""

from __future__ import annotations

import ssl
from functools import partial

import httpx

from tests.support.waiting import PATIENCE

NO_CERTIFICATES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Trusts nobody. A test that speaks TLS passes its own `verify`."""

get = partial(httpx.get, timeout=PATIENCE, verify=NO_CERTIFICATES, trust_env=False)
post = partial(httpx.post, timeout=PATIENCE, verify=NO_CERTIFICATES, trust_env=False)
put = partial(httpx.put, timeout=PATIENCE, verify=NO_CERTIFICATES, trust_env=False)
request = partial(httpx.request, timeout=PATIENCE, verify=NO_CERTIFICATES, trust_env=False)
stream = partial(httpx.stream, timeout=PATIENCE, verify=NO_CERTIFICATES, trust_env=False)
