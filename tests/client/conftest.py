"""Fixtures of the client's tests."""

from collections.abc import Iterator

import pytest
from fakenode import ThreadedPair


@pytest.fixture
def pair() -> Iterator[ThreadedPair]:
    """A fake pair with node a as primary."""
    fake = ThreadedPair()
    fake.do(fake.a.promote)
    yield fake
    fake.close()
