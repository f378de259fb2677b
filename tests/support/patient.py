"""httpx's functions with a timeout that suits a busy machine.

The default of five seconds would make tests fail on slow machines.
"""

from __future__ import annotations

from functools import partial

import httpx

from tests.support.waiting import PATIENCE

get = partial(httpx.get, timeout=PATIENCE)
post = partial(httpx.post, timeout=PATIENCE)
put = partial(httpx.put, timeout=PATIENCE)
request = partial(httpx.request, timeout=PATIENCE)
stream = partial(httpx.stream, timeout=PATIENCE)
