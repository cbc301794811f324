"""The pump between TLS and a socket pair: nothing is lost at either end, and nothing piles up."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import socket
import struct

import pytest

from gateway.config.connections import ClientTls, Endpoint, ServerTls, Tcp
from gateway.wire.dialer import dial, route_to
from gateway.wire.tls import server_context
from tests.support.waiting import turns, wait_until
from tests.wire.certificates import Certificates
from tests.wire.net import read, read_all, run, serving, write

MEGABYTE = 1 << 20
BLOCK = random.Random(1).randbytes(MEGABYTE)
# Kernel buffers of both connections, and of the pump: what may be under way when nobody reads.
MOST_UNDER_WAY_BYTES = 24 * MEGABYTE
MANY = 40  # connections


@pytest.fixture
def connected(tmp_path):
    """`async with connected(handler) as sock`: a TLS connection to `handler`, and its plain end."""
    certificates = Certificates(tmp_path)
    cert, key = certificates.issue("127.0.0.1")
    context = server_context(ServerTls(cert_file=cert, key_file=key), "tls")
    tls = ClientTls(ca_file=certificates.ca_file)

    @contextlib.asynccontextmanager
    async def make(handler):
        async with serving(handler, context) as port:
            endpoint = Endpoint(address=f"127.0.0.1:{port}")
            sock = await dial(route_to(endpoint, Tcp(), tls, 5 * 10**9, "session 'X'"))
            with sock:
                yield sock

    return make


def open_descriptors():
    return len(os.listdir("/proc/self/fd"))


def test_what_was_written_before_the_close_arrives(connected):
    async def story():
        got = asyncio.get_running_loop().create_future()

        async def collect(reader, writer):
            got.set_result(await reader.read())

        async with connected(collect) as sock:
            await write(sock, BLOCK)
            sock.close()
            assert await got == BLOCK

    run(story())


def test_what_was_written_arrives_though_what_came_was_never_read(connected):
    async def story():
        got = asyncio.get_running_loop().create_future()
        greeted = asyncio.Event()

        async def talk_and_collect(reader, writer):
            for _ in range(3):
                writer.write(b"x" * 100_000)
            await writer.drain()
            greeted.set()
            got.set_result(await reader.readexactly(9))

        async with connected(talk_and_collect) as sock:
            await greeted.wait()
            await write(sock, b"last word")
            sock.close()
            assert await got == b"last word"

    run(story())


def test_what_the_counterparty_sent_before_it_closed_is_delivered(connected):
    async def story():
        said = asyncio.Event()

        async def say_and_close(reader, writer):
            writer.write(BLOCK)
            await writer.drain()
            said.set()

        async with connected(say_and_close) as sock:
            await said.wait()
            await turns(20)  # it has closed by now
            assert await read_all(sock) == BLOCK

    run(story())


def test_a_reset_by_the_counterparty_ends_the_plain_side(connected):
    async def story():
        async def reset(reader, writer):
            await reader.read(1)
            raw = writer.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()

        async with connected(reset) as sock:
            await write(sock, b"x")
            with contextlib.suppress(ConnectionResetError):
                assert await read_all(sock) == b""

    run(story())


def test_a_megabyte_each_way_at_the_same_time_is_the_same_bytes(connected):
    async def story():
        async def echo(reader, writer):
            while data := await reader.read(5000):
                writer.write(data)
                await writer.drain()

        async with connected(echo) as sock:
            _, back = await asyncio.gather(write(sock, BLOCK), read(sock, MEGABYTE))
            assert back == BLOCK

    run(story())


def test_who_writes_to_a_counterparty_that_does_not_read_is_made_to_wait(connected):
    async def story():
        asleep = asyncio.Event()
        total = 0

        async def sleep(reader, writer):
            nonlocal total
            await asleep.wait()
            while data := await reader.read(MEGABYTE):
                total += len(data)

        async with connected(sleep) as sock:
            written, stuck = 0, 0
            while stuck < 20 and written < 4 * MOST_UNDER_WAY_BYTES:
                try:
                    written += sock.send(BLOCK)
                    stuck = 0
                except BlockingIOError:
                    stuck += 1
                    await asyncio.sleep(0.01)
            assert written < MOST_UNDER_WAY_BYTES
            asleep.set()
            sock.close()
            await wait_until(lambda: total >= written, "all that was written has arrived")
            assert total == written

    run(story())


def test_a_counterparty_that_sends_faster_than_we_read_is_made_to_wait(connected):
    async def story():
        sent = 0

        async def flood(reader, writer):
            nonlocal sent
            for _ in range(64):
                writer.write(BLOCK)
                await writer.drain()
                sent += MEGABYTE

        async with connected(flood) as sock:
            got = 0
            while sent < 64 * MEGABYTE:
                await turns(20)  # in each of them it might send, and the pump might take
                assert sent - got < MOST_UNDER_WAY_BYTES
                got += len(await read(sock, MEGABYTE // 4))
            assert got + len(await read_all(sock)) == 64 * MEGABYTE

    run(story())


def test_no_descriptor_outlives_its_connection(connected):
    async def story():
        async def hold(reader, writer):
            await reader.read()

        before = open_descriptors()
        for _ in range(MANY // 2):
            async with connected(hold) as sock:
                sock.close()
            async with connected(hold) as sock:
                await write(sock, b"x")
        # The loop may have opened a few for itself, but not one for each connection.
        await wait_until(lambda: open_descriptors() < before + MANY // 2, "the descriptors are closed")

    run(story())
