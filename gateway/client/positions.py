"""How far a strategy has read, kept in a file, so that it goes on there after a restart or a crash.

The file is mapped memory: a killed process loses nothing of it, and noting a position costs no system call. Each
session has a name and two slots that are written in turn, each with a checksum: a slot that was torn is never taken.
One process at a time may use a file.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
import zlib
from pathlib import Path
from types import TracebackType

from gateway.client.errors import PositionsDamaged

MAGIC = b"FIXGWPOS"
VERSION = 1
HEADER = struct.Struct("<8sIIQ40x")  # magic, version, entries, reserved: 64 bytes
NAME_BYTES = 128
NAME = struct.Struct(f"<HH{NAME_BYTES}s")  # session index, length of the name, name
SLOT = struct.Struct("<QIIQ")  # MsgSeqNum, generation, CRC-32 over the rest, turn
ENTRY_BYTES = 192  # NAME and two SLOTs, with room
SLOTS_AT = ENTRY_BYTES - 2 * SLOT.size
MAX_SESSIONS = 256
FILE_BYTES = HEADER.size + MAX_SESSIONS * ENTRY_BYTES


def check_positions(positions: object) -> None:
    """Raises TypeError: a path, for example, is no PositionFile."""
    if positions is not None and not isinstance(positions, PositionFile):
        found = type(positions).__name__
        raise TypeError(f"positions: a PositionFile (or None) is expected, found {found}: say PositionFile(path)")


class PositionFile:
    """Positions of one client in the file `path`; it is created if there is none.

    `positions` (session index -> (generation, MsgSeqNum)) and `names` (index -> session name) are what the file held
    when it was opened. Raises PositionsDamaged if it is no such file or another process uses it.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.positions: dict[int, tuple[int, int]] = {}
        self.names: dict[int, str] = {}
        self._entries: dict[str, int] = {}  # session name -> offset of its entry
        self._indices: dict[str, int] = {}
        self._turns: dict[str, int] = {}
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            self._lock()
            self._map = self._open_map()
            self._read()
        except BaseException:
            os.close(self._file)
            raise

    def note(self, session: str, index: int, generation: int, seq: int) -> None:
        """The strategy is done with message `seq` of `generation` of this session. Raises PositionsDamaged."""
        if self._map.closed:
            raise PositionsDamaged(f"{self.path}: was closed before the client that uses it")
        at = self._entries.get(session)
        if at is None:
            at = self._add(session)
        if self._indices.get(session) != index:  # new, or the gateway's configuration numbers it differently now
            name = session.encode()
            NAME.pack_into(self._map, at, index, len(name), name)
            self._indices[session] = index
        turn = self._turns[session] + 1
        self._turns[session] = turn
        crc = zlib.crc32(struct.pack("<QIQ", seq, generation, turn))
        SLOT.pack_into(self._map, at + SLOTS_AT + (turn & 1) * SLOT.size, seq, generation, crc, turn)

    def close(self) -> None:
        """Writes the file out and lets go of it."""
        if not self._map.closed:
            self._map.flush()
            self._map.close()
            os.close(self._file)

    def __enter__(self) -> PositionFile:
        """The file itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes the file."""
        self.close()

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            complaint = f"{self.path}: another process uses this positions file; give each its own"
            raise PositionsDamaged(complaint) from None

    def _open_map(self) -> mmap.mmap:
        size = os.fstat(self._file).st_size
        if size == 0:
            os.ftruncate(self._file, FILE_BYTES)
            os.pwrite(self._file, HEADER.pack(MAGIC, VERSION, 0, 0), 0)
        elif size != FILE_BYTES:
            found = f"has {size} bytes, a positions file has {FILE_BYTES}"
            raise PositionsDamaged(f"{self.path}: {found}; remove or restore it")
        return mmap.mmap(self._file, FILE_BYTES)

    def _read(self) -> None:
        magic, version, count, _ = HEADER.unpack_from(self._map)
        if magic != MAGIC or version != VERSION or count > MAX_SESSIONS:
            raise PositionsDamaged(f"{self.path}: is not a positions file of version {VERSION}; remove or restore it")
        for number in range(count):
            at = HEADER.size + number * ENTRY_BYTES
            index, length, name = NAME.unpack_from(self._map, at)
            session = name[: min(length, NAME_BYTES)].decode("utf-8", "replace")
            self._entries[session] = at
            self._indices[session] = index
            slots = [slot for slot in (self._slot(at, 0), self._slot(at, 1)) if slot is not None]
            self._turns[session] = max((turn for turn, _ in slots), default=0)
            if slots:
                self.positions[index] = max(slots)[1]
                self.names[index] = session

    def _slot(self, at: int, which: int) -> tuple[int, tuple[int, int]] | None:
        seq, generation, crc, turn = SLOT.unpack_from(self._map, at + SLOTS_AT + which * SLOT.size)
        if turn == 0 or crc != zlib.crc32(struct.pack("<QIQ", seq, generation, turn)):
            return None
        return turn, (generation, seq)

    def _add(self, session: str) -> int:
        name = session.encode()
        number = len(self._entries)
        if number == MAX_SESSIONS or len(name) > NAME_BYTES:
            limit = f"{MAX_SESSIONS} names of {NAME_BYTES} bytes"
            raise PositionsDamaged(f"{self.path}: no room for session {session!r} ({limit})")
        at = HEADER.size + number * ENTRY_BYTES
        NAME.pack_into(self._map, at, 0, len(name), name)
        HEADER.pack_into(self._map, 0, MAGIC, VERSION, number + 1, 0)  # the entry counts from here on
        self._entries[session] = at
        self._turns[session] = 0
        return at
