"""Damaged journals: opened to read, opened to write, summed up, exported, and a node built from what is left.

A changed record may be given a right CRC again: then it is as if a buggy or hostile writer had written it.
"""

from __future__ import annotations

import shutil
import struct
import tempfile
from pathlib import Path
from typing import ClassVar

from gateway.errors import GatewayError
from gateway.journal.export import export
from gateway.journal.verify import summarize
from gateway.native import record as names
from gateway.native.crc32c import checksum
from gateway.native.journal import Journal
from tests.fuzz.rig import check_log, small_node
from tests.fuzz.steps import number, step, steps

PATCH, TRUNCATE, EXTEND, REMOVE, COPY, RENAME, RECORD, HEADER = range(8)
SEGMENT_BYTES, PAGE = 1 << 16, 4096
SIZES = {"segment_bytes": SEGMENT_BYTES, "max_records": 1 << 12, "max_sessions": 4, "max_seq": 1 << 10}
RECORD_HEADER = struct.Struct("<II")
RECORDS = 600
SHARED_MEMORY = Path("/dev/shm")


class JournalTarget:
    """A list of steps, each of which damages a file of one and the same journal."""

    tokens: ClassVar[list[bytes]] = [
        b"\xff\xff\xff\xff",
        bytes(4),
        b"\x30\x00\x00\x00",
        b"\x08\x00\x00\x00",
        b"journal.meta",
        bytes(8),
        bytes([1, 0]),
    ]

    def __init__(self) -> None:
        place = SHARED_MEMORY if SHARED_MEMORY.is_dir() else None
        self._root = tempfile.TemporaryDirectory(prefix="fuzz-journal-", dir=place)
        made = Path(self._root.name) / "made"
        with Journal.open(made, **SIZES) as journal:
            _fill(journal)
        self._files = {path.name: path.read_bytes() for path in sorted(made.iterdir()) if path.is_file()}
        shutil.rmtree(made)

    def seeds(self) -> list[bytes]:
        """One step of each kind."""
        at = struct.pack("<I", PAGE + 100)
        return [
            step(PATCH, b"\x01" + at + b"\xff"),
            step(TRUNCATE, b"\x01" + at),
            step(EXTEND, b"\x00" + at),
            step(REMOVE, b"\x01"),
            step(COPY, b"\x01\x02"),
            step(RENAME, b"\x0100000000000000000900.log"),
            step(RECORD, b"\x02\x05\x00" + b"\x2e\x00\x05"),
            step(HEADER, b"\x02\x18\x00\x07"),
            b"",
        ] + [step(RECORD, bytes([1, k, 0, 46, 0, kind])) for k, kind in enumerate((1, 2, 3, 4, 5, 6, 7))]

    def run(self, data: bytes) -> None:
        """Only GatewayErrors may come of it."""
        files = {name: bytearray(content) for name, content in self._files.items()}
        for what, argument in steps(data, 8):
            _damage(files, what, argument)
        place = Path(self._root.name) / "damaged"
        place.mkdir()
        try:
            for name, content in files.items():
                (place / name).write_bytes(content)
            self._read(place)
            self._write(place)
        finally:
            shutil.rmtree(place)

    def _read(self, place: Path) -> None:
        try:
            with Journal.open(place, read_only=True) as journal:
                summarize(journal)
                for _ in export(journal):
                    pass
        except GatewayError:
            return

    def _write(self, place: Path) -> None:
        try:
            with Journal.open(place, **SIZES) as journal:
                check_log(journal)
                last = journal.last_lsn
                node = small_node(journal, node=0)
                node.rebuild()
                node.status()
                del node
                journal.append(names.STATE, 0, bytes(16), epoch=max(journal.last_epoch, 1))
            with Journal.open(place, **SIZES) as journal:
                assert journal.last_lsn == last + 1
        except GatewayError:
            return


def _fill(journal: Journal) -> None:
    """Every kind of record, in several segments."""
    order = (
        b"8=FIX.4.4\x019=99\x0135=D\x0134=%d\x0111=c%d\x0155=Z\x0154=1\x0138=10\x0140=2\x0144=5\x0158="
        + b"x" * 150
        + b"\x0110=000\x01"
    )
    journal.append(names.EPOCH, 0, bytes(8) + struct.pack("<HH", 0, 0))
    for i in range(1, RECORDS):
        flags = names.APPLICATION
        if i % 3 == 0:
            payload = order % (i, i)
            aux = payload.index(b"11=") + 3 << 16 | len(str(i)) + 1
            journal.append(names.OUT, 0, payload, seq=i // 3, client=1, aux=aux, flags=flags | names.ORDER)
        elif i % 3 == 1:
            report = b"8=FIX.4.4\x019=99\x0135=8\x0134=%d\x0137=o\x0111=c%d\x0139=1\x01151=5\x0110=000\x01" % (i, i - 1)
            journal.append(names.IN, 0, report, seq=i // 3 + 1, client=1, aux=i // 3 + 2, flags=flags)
        elif i % 30 == 2:
            journal.append(names.CHECKPOINT, 0, b"\x03\x00keyvalue", client=1)
        elif i % 30 == 5:
            journal.append(names.DOUBT, 0, b"\x02\x00d%c\x01D55=Z\x0154=1\x0138=1\x01" % (48 + i % 60), client=1)
        elif i % 30 == 8:
            journal.append(names.REJECTED, 0, b"\x02\x00r%ctoo much" % (48 + i % 60), client=2, aux=10)
        else:
            journal.append(names.STATE, 1, struct.pack("<QQ", i, i), aux=2)


def _damage(files: dict[str, bytearray], what: int, argument: bytes) -> None:
    if not files:
        return
    ordered = sorted(files)
    name = ordered[number(argument) % len(ordered)]
    content = files[name]
    place = number(argument, 1, 4) % (len(content) + PAGE)
    if what == PATCH:
        content[place : place + len(argument[5:])] = argument[5:]
    elif what == TRUNCATE:
        del content[place:]
    elif what == EXTEND:
        content += bytes(place)
    elif what == REMOVE:
        del files[name]
    elif what == COPY:
        files[ordered[number(argument, 1) % len(ordered)]] = bytearray(content)
    elif what == RENAME:
        new = argument[1:40].decode("latin-1").replace("/", "_").replace("\0", "_").strip(".")
        if new:
            files[new] = files.pop(name)
    elif what == RECORD:
        _change_record(content, number(argument, 1, 2), number(argument, 3, 2), argument[5:])
    elif what == HEADER and len(content) >= 40:
        at = number(argument, 1, 2) % 36
        content[at : at + len(argument[3:7])] = argument[3:7]
        content[36:40] = checksum(bytes(content[:36])).to_bytes(4, "little")


def _change_record(content: bytearray, index: int, at: int, new: bytes) -> None:
    """Writes `new` into a record, and the CRC that the record then has."""
    places, place = [], PAGE
    while place + 48 <= len(content):
        length = RECORD_HEADER.unpack_from(content, place)[0]
        if not 48 <= length <= len(content) - place:
            break
        places.append((place, length))
        place += length + 7 & ~7
    if not places:
        return
    place, length = places[index % len(places)]
    at %= length
    if 4 <= at < 8:
        return
    new = new[: length - at]
    content[place + at : place + at + len(new)] = new
    length = min(RECORD_HEADER.unpack_from(content, place)[0], len(content) - place)
    covered = bytes(content[place : place + 4]) + bytes(content[place + 8 : place + length])
    content[place + 4 : place + 8] = checksum(covered).to_bytes(4, "little")
