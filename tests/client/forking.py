"""What a forked process does with a client of its parent."""

from __future__ import annotations

import contextlib
import os
import resource
from collections.abc import Callable
from typing import Any


def fork_at_the_limit() -> int:
    """As os.fork, while no descriptor is left to be had."""
    lowest = os.dup(0)
    os.close(lowest)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
    try:
        return os.fork()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def sockets_open() -> set[str]:
    """Of this process, by what the kernel calls them."""
    links = set()
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # of the listing itself
            links.add(os.readlink(f"/proc/self/fd/{number}"))
    return {link for link in links if link.startswith("socket:")}


def in_a_fork(act: Callable[[], Any], fork: Callable[[], int] = os.fork) -> str:
    """What `act` raised in a forked process, or what it gave."""
    read, write = os.pipe()
    child = fork()
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
