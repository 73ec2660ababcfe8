"""What a refusal says: one sentence."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest


@contextmanager
def refused(kind: type[Exception], *words: str) -> Iterator[pytest.ExceptionInfo[Exception]]:
    """What is done within raises ``kind`` with one line that contains all of these ``words``."""
    with pytest.raises(kind) as caught:
        yield caught
    said = str(caught.value)
    assert "\n" not in said
    for part in words:
        assert part in said
