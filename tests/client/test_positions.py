"""Positions in a file: they survive a kill, a torn write is never taken, and what is no such file is named."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.client import AsyncClient, Client, PositionFile, PositionsDamaged
from gateway.client.positions import ENTRY_BYTES, HEADER, SLOT, SLOTS_AT


@given(st.lists(st.tuples(st.sampled_from("ABC"), st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1)), max_size=30))
def test_the_last_position_of_each_session_is_kept(
    tmp_path_factory: pytest.TempPathFactory, notes: list[tuple[str, int, int]]
) -> None:
    path = tmp_path_factory.mktemp("positions") / "file"
    with PositionFile(path) as file:
        for name, generation, seq in notes:
            file.note(name, ord(name), generation, seq)
    with PositionFile(path) as file:
        assert file.positions == {ord(name): (generation, seq) for name, generation, seq in notes}
        assert all(file.names[ord(name)] == name for name, _, _ in notes)


def test_what_was_noted_is_there_without_closing(tmp_path: Path) -> None:
    file = PositionFile(tmp_path / "file")
    file.note("A", 1, 0, 7)
    assert (tmp_path / "file").read_bytes().count(b"A") >= 1
    content = (tmp_path / "file").read_bytes()
    (tmp_path / "copy").write_bytes(content)  # as after SIGKILL
    with PositionFile(tmp_path / "copy") as again:
        assert again.positions == {1: (0, 7)}
    file.close()


def test_a_torn_slot_leaves_the_position_before_it(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with PositionFile(path) as file:
        file.note("A", 1, 0, 7)
        file.note("A", 1, 0, 8)
    content = bytearray(path.read_bytes())
    content[HEADER.size + SLOTS_AT] ^= 0xFF  # the second note's slot (turn 2)
    path.write_bytes(content)
    with PositionFile(path) as file:
        assert file.positions == {1: (0, 7)}
    assert SLOTS_AT + 2 * SLOT.size == ENTRY_BYTES


def test_a_session_that_is_numbered_differently_now_keeps_its_entry(tmp_path: Path) -> None:
    with PositionFile(tmp_path / "file") as file:
        file.note("A", 1, 0, 7)
        file.note("A", 4, 0, 8)
    with PositionFile(tmp_path / "file") as file:
        assert file.positions == {4: (0, 8)}


def test_two_processes_cannot_share_a_file(tmp_path: Path) -> None:
    with PositionFile(tmp_path / "file"), pytest.raises(PositionsDamaged, match="another process uses"):
        PositionFile(tmp_path / "file")


def test_a_file_that_was_closed_too_early_is_named(tmp_path: Path) -> None:
    file = PositionFile(tmp_path / "positions")
    file.close()
    with pytest.raises(PositionsDamaged, match="positions: was closed before the client that uses it"):
        file.note("A", 0, 0, 1)


@pytest.mark.parametrize("content", [b"x", b"x" * 49216])
def test_another_file_is_not_touched(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(PositionsDamaged, match=r"file: (has 1 bytes|is not a positions file)"):
        PositionFile(path)
    assert path.read_bytes() == content


def test_too_many_sessions_are_refused(tmp_path: Path) -> None:
    with PositionFile(tmp_path / "file") as file:
        for number in range(256):
            file.note(f"S{number}", number, 0, 1)
        with pytest.raises(PositionsDamaged, match="no room for session 'one more'"):
            file.note("one more", 300, 0, 1)


@pytest.mark.parametrize("kind", [Client, AsyncClient])
@pytest.mark.parametrize("positions", ["momentum.pos", Path("momentum.pos"), {}, ""])
def test_a_client_takes_no_path_for_a_positions_file(kind: type[Client] | type[AsyncClient], positions: object) -> None:
    with pytest.raises(TypeError, match=r"positions: a PositionFile .* found \w+: say PositionFile\(path\)"):
        kind("127.0.0.1:1", "momentum", positions=positions)  # type: ignore[arg-type]
