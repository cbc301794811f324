"""The ring between threads: order, wrap-around, back-pressure."""

from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.native.ring import Ring


def test_messages_come_out_in_order():
    ring = Ring(bytearray(1024))
    assert ring.write(b"first")
    assert ring.write(b"second")
    assert [ring.read(), ring.read(), ring.read()] == [b"first", b"second", None]


def test_a_full_ring_refuses_and_takes_again_after_a_read():
    ring = Ring(bytearray(256))
    while ring.write(b"x" * 8):
        pass
    assert ring.read() == b"x" * 8
    assert ring.write(b"y" * 8)


def test_a_second_reader_of_the_same_memory_sees_what_was_written():
    memory = bytearray(1024)
    Ring(memory).write(b"across")
    assert Ring(memory, attach=True).read() == b"across"


def test_memory_without_a_ring_is_refused():
    with pytest.raises(ValueError, match="no ring"):
        Ring(bytearray(1024), attach=True)


def test_a_message_that_can_never_fit_is_refused():
    with pytest.raises(ValueError, match="fit"):
        Ring(bytearray(256)).write(b"x" * 100)


@given(st.lists(st.one_of(st.none(), st.binary(min_size=1, max_size=100)), max_size=200))
def test_behaves_like_a_queue(steps: list[bytes | None]):
    ring = Ring(bytearray(192 + 256))
    model: deque[bytes] = deque()
    for step in steps:
        if step is None:
            assert ring.read() == (model.popleft() if model else None)
        elif ring.write(step):
            model.append(step)
        else:
            assert model, "an empty ring takes every message that can fit"
            assert ring.read() == model.popleft()
    assert [ring.read() for _ in range(len(model))] == list(model)
    assert ring.read() is None
