import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from gateway.chaos.tcplink import TcpLink


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(100):
        writer.write(data)
    writer.close()


def with_link(story: Any) -> None:
    async def run() -> None:
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        address = server.sockets[0].getsockname()
        async with server, TcpLink(address) as link, TcpLink(address) as other:
            await story(link, other)

    asyncio.run(run())


async def connect(link: TcpLink) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, port = link.address.split(":")
    return await asyncio.open_connection(host, int(port))


async def nothing_comes(waiting: Coroutine[Any, Any, bytes], other: TcpLink) -> asyncio.Task[bytes]:
    """What waits goes on waiting, while over another link everything comes that is begun later, and its end."""
    task = asyncio.create_task(waiting)
    reader, writer = await connect(other)
    writer.write(b"1")
    assert await reader.readexactly(1) == b"1"
    writer.write_eof()
    assert await reader.read() == b""
    assert not task.done()
    return task


def test_it_carries_both_ways_and_the_end_of_a_connection() -> None:
    async def story(link: TcpLink, other: TcpLink) -> None:
        reader, writer = await connect(link)
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"
        writer.write_eof()
        assert await reader.read() == b""

    with_link(story)


def test_while_it_is_cut_everything_waits_and_nothing_is_lost() -> None:
    async def story(link: TcpLink, other: TcpLink) -> None:
        reader, writer = await connect(link)
        writer.write(b"1")
        assert await reader.readexactly(1) == b"1"
        link.cut = True
        writer.write(b"2")
        late_reader, late_writer = await connect(link)
        late_writer.write(b"3")
        first = await nothing_comes(reader.readexactly(1), other)
        second = await nothing_comes(late_reader.readexactly(1), other)
        link.cut = False
        assert (await first, await second) == (b"2", b"3")

    with_link(story)


def test_the_end_of_a_connection_is_not_seen_through_a_cut() -> None:
    async def story(link: TcpLink, other: TcpLink) -> None:
        reader, writer = await connect(link)
        writer.write(b"1")
        await reader.readexactly(1)
        link.cut = True
        writer.write_eof()  # the echo answers it with an end of its own
        end = await nothing_comes(reader.read(), other)
        link.cut = False
        assert await end == b""

    with_link(story)


def test_dropped_connections_are_reset_and_new_ones_are_carried() -> None:
    async def story(link: TcpLink, other: TcpLink) -> None:
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
