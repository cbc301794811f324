"""A receiver as a process: one socket towards both nodes, its journal, and for a drop copy its lines."""

from __future__ import annotations

import os
import selectors
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

import structlog

from gateway.config import Address, Config, Receiver, read_key
from gateway.errors import ConfigError, GatewayError
from gateway.journal.flusher import Flusher
from gateway.native.datagram import Channel
from gateway.native.journal import Journal
from gateway.receiver.copies import Copies
from gateway.receiver.follower import NODES, Follower
from gateway.receiver.seen import Seen, write_seen

log = structlog.get_logger("receiver")

FIRST_INDEX = 2  # node indices 0 and 1 are the pair's
REORDER_SLOTS = 1 << 14
UDP_BUFFER_BYTES = 4 << 20
MAX_DATAGRAM_BYTES = 9001  # one more than is taken
DATAGRAMS_PER_TURN = 256
TURN_S = 0.02
TELL_EVERY_NS = 1_000_000_000
NS_PER_MS = 1_000_000
NODE_NAMES = "ab"


def section_of(config: Config, name: str) -> tuple[int, Receiver]:
    """Node index and section of receiver `name`. Raises ConfigError."""
    for index, section in enumerate(config.receiver):
        if section.name == name:
            return FIRST_INDEX + index, section
    known = ", ".join(section.name for section in config.receiver) or "none"
    raise ConfigError(f"no [[receiver]] {name!r}; there are: {known}")


class ReceiverProcess:
    """A running receiver. `run()` returns after SIGTERM or SIGINT; raises GatewayError when it cannot start."""

    def __init__(
        self,
        config: Config,
        name: str,
        make_copies: Callable[[Journal, list[str]], Copies] | None = None,
    ) -> None:
        index, section = section_of(config, name)
        self._section = section
        self._nodes = [section.nodes["a"], section.nodes["b"]]
        key = read_key(env=section.key_env, file=section.key_file, what=f"key of receiver {name!r}")
        section.data_dir.mkdir(parents=True, exist_ok=True)
        self._journal = open_journal(config, section, index)
        incarnation = self._journal.next_incarnation(time.time_ns() // NS_PER_MS)
        channel = Channel(key, pair_id=config.pair.id, node=index, incarnation=incarnation)
        self._follower = Follower(
            self._journal,
            channel,
            datagram_bytes=section.datagram_bytes,
            round_trip_ns=section.round_trip,
            reorder_slots=REORDER_SLOTS,
        )
        self._flusher = Flusher(
            self._journal,
            policy="none" if config.journal.durability == "none" else "interval",
            interval_ns=config.journal.flush_interval,
            on_error=lambda text: log.error("journal_failed", error=text),
        )
        self._copies = make_copies(self._journal, [s.name for s in config.session]) if make_copies is not None else None
        self._stopping = False
        self._told = ("", 0)
        self._tell_at_ns = 0

    def run(self) -> None:
        """Follows the pair until SIGTERM or SIGINT."""
        wake_reader, wake_writer = socket.socketpair()
        wake_writer.setblocking(False)
        signal.set_wakeup_fd(wake_writer.fileno())
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        self._flusher.start()
        try:
            with (
                wake_reader,
                wake_writer,
                _socket(self._section.address) as sock,
                selectors.DefaultSelector() as selector,
            ):
                selector.register(sock, selectors.EVENT_READ)
                selector.register(wake_reader, selectors.EVENT_READ)
                log.info("started", receiver=self._section.name, pid=os.getpid(), last_lsn=self._journal.last_lsn)
                while not self._stopping:
                    selector.select(0 if self._copies is not None and self._copies.behind else TURN_S)
                    self._turn(sock)
                signal.set_wakeup_fd(-1)
        finally:
            self._flusher.stop()
            if self._copies is not None:
                self._copies.close()
            self._journal.close()
        log.info("stopped", receiver=self._section.name)

    def _turn(self, sock: socket.socket) -> None:
        now = time.monotonic_ns()
        truncations = self._follower.truncations
        for _ in range(DATAGRAMS_PER_TURN):
            try:
                data = sock.recv(MAX_DATAGRAM_BYTES)
            except BlockingIOError:
                break
            except ConnectionError:
                continue
            self._follower.on_datagram(data, now)
            if self._follower.truncations != truncations:
                truncations = self._follower.truncations
                log.warning("truncated", last_lsn=self._journal.last_lsn)
                if self._copies is not None:
                    self._copies.truncated()
        for node, datagram in self._follower.due(now):
            try:
                sock.sendto(datagram, tuple(self._nodes[node]))
            except OSError:
                continue  # lost, as on any network
        if self._copies is not None:
            self._copies.write_new()
        self._tell(now)

    def _tell(self, now: int) -> None:
        """Logs changes of what is followed; notes what is known of the primary."""
        view = self._follower.primary
        if view is None or now < self._tell_at_ns:
            return
        self._tell_at_ns = now + TELL_EVERY_NS
        told = (self._follower.state, view.epoch)
        if told != self._told:
            self._told = told
            log.info("follows", state=told[0], epoch=told[1], last_lsn=self._journal.last_lsn)
        if view.heard_ns is None or now - view.heard_ns > TELL_EVERY_NS:
            return
        node = NODE_NAMES[next(i for i in NODES if self._follower.views[i] is view)]
        write_seen(
            self._section.data_dir,
            Seen(node, view.epoch, view.released_lsn, view.log_end_lsn, time.time_ns() - (now - view.heard_ns)),
        )

    def _stop(self, *_: object) -> None:
        self._stopping = True


def open_journal(config: Config, section: Receiver, index: int, *, read_only: bool = False) -> Journal:
    """The receiver's journal. Raises JournalError: in use, damaged, another pair's or node's."""
    path: Path = section.data_dir / "journal"
    return Journal.open(
        path, node=index, pair_id=config.pair.id, segment_bytes=config.journal.segment_bytes, read_only=read_only
    )


def _socket(address: Address) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, UDP_BUFFER_BYTES)
        sock.bind(tuple(address))
    except OSError as error:
        sock.close()
        raise GatewayError(f"receiver: cannot use {address}: {error.strerror}") from None
    sock.setblocking(False)
    return sock
