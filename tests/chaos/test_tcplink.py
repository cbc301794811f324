import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from gateway.chaos.tcplink import TcpLink

SHORT_S = 0.05  # long enough for what must not come to have come


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(100):
        writer.write(data)
    writer.close()


def with_link(story: Any) -> None:
    async def run() -> None:
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        async with server, TcpLink(server.sockets[0].getsockname()) as link:
            await story(link)

    asyncio.run(run())


async def connect(link: TcpLink) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, port = link.address.split(":")
    return await asyncio.open_connection(host, int(port))


async def nothing_comes(waiting: Coroutine[Any, Any, bytes]) -> asyncio.Task[bytes]:
    task = asyncio.create_task(waiting)
    await asyncio.sleep(SHORT_S)
    assert not task.done()
    return task


def test_it_carries_both_ways_and_the_end_of_a_connection() -> None:
    async def story(link: TcpLink) -> None:
        reader, writer = await connect(link)
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"
        writer.write_eof()
        assert await reader.read() == b""

    with_link(story)


def test_while_it_is_cut_everything_waits_and_nothing_is_lost() -> None:
    async def story(link: TcpLink) -> None:
        reader, writer = await connect(link)
        writer.write(b"1")
        assert await reader.readexactly(1) == b"1"
        link.cut = True
        writer.write(b"2")
        late_reader, late_writer = await connect(link)
        late_writer.write(b"3")
        first = await nothing_comes(reader.readexactly(1))
        second = await nothing_comes(late_reader.readexactly(1))
        link.cut = False
        assert (await first, await second) == (b"2", b"3")

    with_link(story)


def test_the_end_of_a_connection_is_not_seen_through_a_cut() -> None:
    async def story(link: TcpLink) -> None:
        reader, writer = await connect(link)
        writer.write(b"1")
        await reader.readexactly(1)
        link.cut = True
        writer.write_eof()  # the echo answers it with an end of its own
        end = await nothing_comes(reader.read())
        link.cut = False
        assert await end == b""

    with_link(story)


def test_dropped_connections_are_reset_and_new_ones_are_carried() -> None:
    async def story(link: TcpLink) -> None:
        reader, writer = await connect(link)
        writer.write(b"1")
        await reader.readexactly(1)
        link.drop()
        with pytest.raises(ConnectionError):
            await reader.readexactly(1)
        reader, writer = await connect(link)
        writer.write(b"2")
        assert await reader.readexactly(1) == b"2"

    with_link(story)
