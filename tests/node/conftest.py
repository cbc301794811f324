"""One pair for all tests here."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from gateway.client import Client, Message
from tests.support.rig import WAIT_S, Rig


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    rig = Rig(tmp_path_factory.mktemp("pair"))
    try:
        rig.start()
        yield rig
    finally:
        rig.stop()


@pytest.fixture
def rig(running: Rig) -> Iterator[Rig]:
    yield running
    running.hang_up()


@pytest.fixture
def hear() -> Callable[..., list[Message]]:
    """Reads so many messages of the counterparty."""

    def read(client: Client, count: int) -> list[Message]:
        messages: list[Message] = []
        while len(messages) < count:
            event = client.next(WAIT_S)
            if isinstance(event, Message):
                messages.append(event)
        return messages

    return read
