"""Fixtures of the client's tests."""

import pytest
from fakenode import ThreadedPair


@pytest.fixture
def pair():
    """A fake pair with node a as primary."""
    fake = ThreadedPair()
    fake.do(fake.a.promote)
    yield fake
    fake.close()
