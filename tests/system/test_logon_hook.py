"""A node signs each Logon with the hook of its configuration, and sends none that could not be signed."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hmac
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.demo.world import LOOPBACK, World, write_secret
from gateway.fix.fields import decode_fields

DEADLINE_S = 15.0
HOOK = """
[session.logon_options]
secret_file = "secret"
passphrase_file = "passphrase"
"""


@pytest.fixture
def venue(tmp_path: Path) -> Iterator[tuple[World, socket.socket]]:
    world = World(tmp_path / "world", mode="sync", reactor="epoll", engine="native")
    text = world.config.read_text().replace("\n[[client]]", HOOK + "\n[[client]]")
    hook = 'mode = "sync"\nlogon_hook = "gateway.signing.hmac_sha256:sign"\n'
    world.config.write_text(text.replace('mode = "sync"\n', hook))
    write_secret(world.directory / "secret", base64.b64encode(b"key").decode())
    with socket.create_server((LOOPBACK, world.broker_port)) as server, asyncio.Runner() as loop:
        server.settimeout(DEADLINE_S)

        async def start() -> None:
            for node in ("a", "b"):
                await world.start_node(node)

        try:
            loop.run(start())
            yield world, server
        finally:
            loop.run(world.stop_all())


def first_message(server: socket.socket) -> dict[int, str]:
    connection, _ = server.accept()
    connection.settimeout(DEADLINE_S)
    with connection:
        data = more = b""
        while b"\x0110=" not in data:
            with contextlib.suppress(ConnectionResetError):
                more = connection.recv(4096)
            if not more:
                break
            data += more
    return dict(reversed(decode_fields(data))) if data else {}


def test_each_logon_is_signed_over_its_own_time(venue: tuple[World, socket.socket]):
    world, server = venue
    write_secret(world.directory / "passphrase", "open sesame")
    seen = []
    while len(seen) < 2:  # those before the passphrase was there did not come
        logon = first_message(server)
        if logon:
            seen.append(logon)
    for logon in seen:
        text = b"\x01".join(logon[tag].encode() for tag in (52, 35, 34, 49, 56)) + b"\x01open sesame"
        assert base64.b64decode(logon[96]) == hmac.digest(b"key", text, "sha256")
        assert (logon[35], logon[34], logon[554]) == ("A", "1", "open sesame")
    assert seen[0][52] != seen[1][52]
    for node in ("a", "b"):
        assert "open sesame" not in (world.directory / f"{node}.log").read_text()


def test_without_the_secret_no_logon_goes_out(venue: tuple[World, socket.socket]):
    world, server = venue
    assert first_message(server) == {}
    logs = "".join((world.directory / f"{node}.log").read_text() for node in ("a", "b"))
    assert "logon_hook_failed" in logs
    assert "passphrase" in logs
