"""What a forked process does with a client of its parent."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any


def in_a_fork(act: Callable[[], Any]) -> str:
    """What `act` raised in a forked process, or what it gave."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            told = repr(act())
        except BaseException as error:
            told = repr(error)
        finally:
            os.write(write, told.encode())
            os._exit(0)
    os.waitpid(child, 0)
    os.close(write)
    with os.fdopen(read) as answer:
        return answer.read()
