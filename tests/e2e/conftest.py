"""One stack with the real language model for all tests of the whole way: it is slow to start."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.working_copy import WorkingCopy, running_copy


@pytest.fixture(scope="package")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WorkingCopy]:
    with running_copy(tmp_path_factory.mktemp("copy") / "project") as copy:
        yield copy
