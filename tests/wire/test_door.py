"""The front door: who comes in, and what becomes of everyone else."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from pathlib import Path

import pytest

from gateway.config.connections import Acceptor, ClientTls, Endpoint, ServerTls, Tcp
from gateway.config.units import Address
from gateway.errors import GatewayError
from gateway.wire.dialer import dial, route_to
from gateway.wire.directory import Directory, Identity, Refusal
from gateway.wire.door import Door
from gateway.wire.errors import ConnectError
from tests.support.waiting import wait_until
from tests.wire.certificates import Certificates
from tests.wire.net import read, read_all, run, write

X = Identity("FIX.4.4", "BROKER", "CLIENT")
ANYWHERE = Address("127.0.0.1", 0)
HAS_IPV6 = Path("/proc/net/if_inet6").exists() and "00000001 01" in Path("/proc/net/if_inet6").read_text()


def message(msg_type="A", sender="CLIENT", target="BROKER", more=b""):
    body = b"35=%s\x0149=%s\x0156=%s\x0134=1\x0152=20260101-00:00:00\x01" % (
        msg_type.encode(), sender.encode(), target.encode(),
    ) + more  # fmt: skip
    head = b"8=FIX.4.4\x019=%d\x01" % len(body) + body
    return head + b"10=%03d\x01" % (sum(head) % 256)


class House:
    """A door, and those who came in."""

    def __init__(self, wanted=True, directory=None, at=ANYWHERE, **settings):
        self._at = at
        if directory is None:
            directory = Directory()
            directory.add(X, "x")
        self.arrivals = asyncio.Queue()
        self._wanted = wanted
        self.door = Door(Acceptor(**settings), directory, self._welcome)

    def _welcome(self, arrival):
        if self._wanted:
            self.arrivals.put_nowait(arrival)
        return self._wanted

    async def __aenter__(self):
        [self.address] = self.door.open([self._at])
        return self

    async def __aexit__(self, *_):
        self.door.close()
        await asyncio.sleep(0)
        while not self.arrivals.empty():
            self.arrivals.get_nowait().socket.close()

    async def knock(self, *said, source=None):
        """A connection that sends what is given."""
        sock = socket.socket()
        sock.setblocking(False)
        if source:
            sock.bind((source, 0))
        await asyncio.get_running_loop().sock_connect(sock, tuple(self.address))
        for data in said:
            await write(sock, data)
        return sock

    async def assert_refuses(self, reason, sock):
        """The connection is closed, and counted under its reason alone."""
        with contextlib.suppress(ConnectionResetError):
            assert await read_all(sock) == b""
        sock.close()
        await wait_until(lambda: self.door.refused[reason], f"the door refuses for {reason}")
        assert self.door.refused == {reason: 1}


def test_a_logon_comes_in_with_its_session_and_every_byte_that_was_read():
    async def story():
        async with House() as house:
            client = await house.knock(message() + b"8=FIX")
            arrival = await house.arrivals.get()
            assert (arrival.key, arrival.identity, arrival.source) == ("x", X, "127.0.0.1")
            rest = await read(arrival.socket, 5) if len(arrival.received) == len(message()) else b""
            assert arrival.received + rest == message() + b"8=FIX"
            await write(arrival.socket, b"answer")
            assert await read(client, 6) == b"answer"
            client.close()

    run(story())


def test_a_logon_in_many_pieces_comes_in():
    async def story():
        async with House() as house:
            client = await house.knock()
            for byte in message():
                await write(client, bytes([byte]))
                await asyncio.sleep(0)
            assert (await house.arrivals.get()).received == message()
            client.close()

    run(story())


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (message(sender="MALLORY"), Refusal.UNKNOWN),
        (message(msg_type="D"), Refusal.NOT_LOGON),
        (b"GET / HTTP/1.1\r\n\r\n", Refusal.GARBLED),
        (b"\x16\x03\x01\x02\x00\x01", Refusal.GARBLED),
        (message().replace(b"CLIENT", b"CLIENS"), Refusal.GARBLED),
        (message(more=b"58=%s\x01" % (b"x" * 5000)), Refusal.TOO_LARGE),
        (message(more=b"58=%s\x01" % (b"x" * 4020)), Refusal.TOO_LARGE),
        (b"8=FIX." + b"4" * 5000, Refusal.GARBLED),
    ],
)
def test_what_is_no_logon_of_ours_is_closed_and_counted(said, reason):
    async def story():
        async with House() as house:
            sock = await house.knock()
            with contextlib.suppress(ConnectionError):
                await write(sock, said)
            await house.assert_refuses(reason, sock)

    run(story())


def test_who_closes_before_the_logon_is_counted():
    async def story():
        async with House() as house:
            sock = await house.knock(b"8=FIX")
            sock.shutdown(socket.SHUT_WR)
            await house.assert_refuses(Refusal.CLOSED, sock)

    run(story())


def test_silence_and_slow_speech_are_cut_off_in_time():
    async def story():
        async with House(first_message_timeout="100ms") as house:
            await house.assert_refuses(Refusal.TOO_LATE, await house.knock())
            house.door.refused.clear()
            slow = await house.knock()
            with contextlib.suppress(ConnectionError):
                for byte in message():  # each byte is soon, the whole is late
                    await write(slow, bytes([byte]))
                    await asyncio.sleep(0.01)
            await house.assert_refuses(Refusal.TOO_LATE, slow)

    run(story())


def test_a_source_that_is_not_allowed_is_not_listened_to():
    async def story():
        async with House(allowed=["127.0.0.8/30"]) as house:
            await house.assert_refuses(Refusal.SOURCE, await house.knock(source="127.0.0.7"))
            friend = await house.knock(message(), source="127.0.0.9")
            assert (await house.arrivals.get()).source == "127.0.0.9"
            friend.close()

    run(story())


@pytest.mark.skipif(not HAS_IPV6, reason="this host has no IPv6")
def test_ipv6_sources_are_told_apart_as_well():
    async def story():
        async with House(at=Address("::1", 0), allowed=["::1"]) as house:
            sock = await dial(route_to(Endpoint(address=str(house.address), source="::1"), Tcp(), None, 10**9, "x"))
            await write(sock, message())
            assert (await house.arrivals.get()).source == "::1"
            sock.close()
        async with House(at=Address("::1", 0), allowed=["127.0.0.0/8", "fe80::/10"]) as house:
            sock = await dial(route_to(Endpoint(address=str(house.address)), Tcp(), None, 10**9, "x"))
            await house.assert_refuses(Refusal.SOURCE, sock)

    run(story())


def test_connections_are_limited_in_all_until_one_ends():
    async def story():
        async with House(max_connections=1) as house:
            first = await house.knock(message())
            arrival = await house.arrivals.get()
            await house.assert_refuses(Refusal.FULL, await house.knock(message()))
            arrival.ended()
            arrival.ended()  # once is enough, twice does no harm
            second = await house.knock(message())
            await house.arrivals.get()
            assert house.door.counters()["open"] == 1
            first.close()
            second.close()

    run(story())


def test_connections_are_limited_for_each_source():
    async def story():
        async with House(max_connections_per_source=1) as house:
            first = await house.knock(message(), source="127.0.0.7")
            await house.arrivals.get()
            other = await house.knock(message(), source="127.0.0.8")
            await house.arrivals.get()
            await house.assert_refuses(Refusal.SOURCE_FULL, await house.knock(message(), source="127.0.0.7"))
            first.close()
            other.close()

    run(story())


def test_who_says_nothing_for_longest_makes_room_for_who_comes():
    async def story():
        async with House(max_unidentified=2) as house:
            silent = [await house.knock(), await house.knock()]
            client = await house.knock(message())
            assert (await house.arrivals.get()).key == "x"
            await house.assert_refuses(Refusal.CROWDED_OUT, silent[0])
            assert house.door.counters()["unidentified"] == 1
            for sock in (silent[1], client):
                sock.close()

    run(story())


def test_a_crowd_of_silent_connections_leave_nothing_behind():
    async def story():
        async with House(max_unidentified=4, max_connections_per_source=1000) as house:
            crowd = [await house.knock() for _ in range(100)]
            await wait_until(lambda: house.door.refused[Refusal.CROWDED_OUT] >= 96, "all but four are crowded out")
            for sock in crowd:
                sock.close()
            await wait_until(lambda: not house.door.counters()["open"], "no connection is open")
            assert house.door.counters()["unidentified"] == 0
            assert house.door.refused.total() == 100

    run(story())


def test_a_connection_that_its_session_does_not_want_is_closed():
    async def story():
        async with House(wanted=False) as house:
            await house.assert_refuses(Refusal.NOT_WELCOME, await house.knock(message()))
            assert house.door.counters()["open"] == 0
            assert house.door.counters()["refused.session_refused"] == 1

    run(story())


def test_a_closed_door_lets_nobody_in_until_it_is_opened_again():
    async def story():
        async with House() as house:
            waiting = await house.knock()
            await wait_until(lambda: house.door.counters()["unidentified"], "the connection has come in")
            house.door.close()
            await house.assert_refuses(Refusal.DOOR_CLOSED, waiting)
            with pytest.raises(ConnectionRefusedError):
                await house.knock()
            assert house.door.open([house.address]) == [house.address]
            client = await house.knock(message())
            await house.arrivals.get()
            client.close()

    run(story())


def test_an_address_that_is_taken_is_told_and_none_is_kept():
    async def story():
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            door = House().door
            with pytest.raises(
                GatewayError, match=rf"acceptor: cannot listen on 127.0.0.1:{port}: Address already in use"
            ):
                door.open([ANYWHERE, Address("127.0.0.1", port)])
            door.close()

    run(story())


def test_a_system_without_descriptors_is_given_a_rest(monkeypatch):
    async def story():
        async with House() as house:
            refusals = [OSError(errno.EMFILE, "Too many open files")] * 2
            accept = socket.socket.accept

            def short_of_descriptors(listener):
                if refusals:
                    raise refusals.pop()
                return accept(listener)

            monkeypatch.setattr(socket.socket, "accept", short_of_descriptors)
            client = await house.knock(message())
            await house.arrivals.get()
            assert house.door.refused == {Refusal.FAULT: 2}
            client.close()

    run(story())


def test_a_fault_of_the_session_costs_one_connection_and_not_the_door():
    async def story():
        directory = Directory()
        directory.add(X, "x")
        calls = []

        def welcome(arrival):
            calls.append(arrival)
            raise RuntimeError("broken")

        door = Door(Acceptor(), directory, welcome)
        [address] = door.open([ANYWHERE])
        for number in (1, 2):
            _, writer = await asyncio.open_connection(*address)
            writer.write(message())
            await wait_until(lambda n=number: door.refused[Refusal.FAULT] >= n, "the fault is counted")
            writer.close()
        assert len(calls) == 2
        assert door.counters()["open"] == 0
        door.close()

    run(story())


@pytest.fixture
def certificates(tmp_path):
    return Certificates(tmp_path)


def server_tls(certificates, **options):
    cert, key = certificates.issue("127.0.0.1")
    return ServerTls(cert_file=cert, key_file=key, **options)


def dial_tls(address, **options):
    endpoint = Endpoint(address=str(address))
    return dial(route_to(endpoint, Tcp(), ClientTls(**options), 5 * 10**9, "session 'X'"))


def test_tls_is_taken_off_at_the_door(certificates):
    async def story():
        async with House(tls=server_tls(certificates)) as house:
            client = await dial_tls(house.address, ca_file=certificates.ca_file)
            await write(client, message())
            arrival = await house.arrivals.get()
            assert arrival.received == message()
            await write(arrival.socket, b"answer")
            assert await read(client, 6) == b"answer"
            arrival.socket.close()
            assert await read_all(client) == b""
            client.close()

    run(story())


def test_a_tls_handshake_that_fails_or_stalls_is_counted(certificates):
    async def story():
        async with House(tls=server_tls(certificates, handshake_timeout="100ms")) as house:
            await house.assert_refuses(Refusal.TLS, await house.knock())
            house.door.refused.clear()
            plain = await house.knock(message())
            await wait_until(lambda: house.door.refused[Refusal.TLS], "the failed handshake is counted")
            plain.close()
            house.door.refused.clear()
            with pytest.raises(ConnectError, match="certificate is not accepted"):
                await dial_tls(house.address)
            await wait_until(lambda: house.door.refused[Refusal.TLS], "the failed handshake is counted")
            assert house.door.counters()["open"] == 0

    run(story())


def test_a_session_is_for_the_owner_of_its_certificate(certificates):
    async def story():
        directory = Directory()
        directory.add(X, "x", certificate="client.example")
        tls = server_tls(certificates, client_ca_file=certificates.ca_file)
        async with House(directory=directory, tls=tls) as house:
            for name, came_in in (("mallory.example", False), ("client.example", True)):
                cert, key = certificates.issue(name)
                options = {"ca_file": certificates.ca_file, "cert_file": cert, "key_file": key}
                client = await dial_tls(house.address, **options)
                await write(client, message())
                if came_in:
                    assert (await house.arrivals.get()).key == "x"
                else:
                    await house.assert_refuses(Refusal.CERTIFICATE, client)
                client.close()

    run(story())
