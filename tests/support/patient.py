"""httpx's functions, waiting as long as a busy machine may need.

httpx itself gives up after five seconds, which says more about the machine than about us.
"""

from __future__ import annotations

from functools import partial

import httpx

from tests.support.waiting import PATIENCE

get = partial(httpx.get, timeout=PATIENCE)
post = partial(httpx.post, timeout=PATIENCE)
put = partial(httpx.put, timeout=PATIENCE)
request = partial(httpx.request, timeout=PATIENCE)
