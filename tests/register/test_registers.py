"""What every register must do, run over each of them; then what is particular to one."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.chaos.etcd import HAVE_ETCD, EtcdCluster
from gateway.native.role import RegisterOutcome, Request, RequestKind
from gateway.register import RegisterCorrupt, RegisterUnavailable, RegisterValue, open_register, perform
from gateway.register import file as file_register
from gateway.register.base import EMPTY, Outcome, Register
from gateway.register.etcd import EtcdOptions
from gateway.register.file import FileRegister

A, B, BOTH = 1, 2, 3

Opener = Callable[[], Register]


def value(epoch: int, primary: int, in_sync: int, version: int = 0) -> RegisterValue:
    return RegisterValue(version, epoch, primary, in_sync)


def open_file(path: Path) -> Register:
    return open_register("file", node=0, peer=1, path=path / "register")


def open_static(path: Path) -> Register:
    return open_register("static", node=0, peer=1, alone=0, path=path / "register.json")


OPENERS: dict[str, Callable[[Path], Register]] = {"file": open_file, "static": open_static}
SHARED = ["file"]
ETCD = pytest.param("etcd", marks=pytest.mark.skipif(not HAVE_ETCD, reason="no etcd here: apt install etcd-server"))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdCluster]:
    with EtcdCluster(tmp_path_factory.mktemp("etcd")) as running:
        yield running


def opener_of(kind: str, request: pytest.FixtureRequest, path: Path) -> Opener:
    if kind != "etcd":
        return lambda: OPENERS[kind](path)
    options = EtcdOptions(request.getfixturevalue("cluster").endpoints, str(path))
    return lambda: open_register("etcd", node=0, peer=1, path=path, etcd=options, timeout_s=5)


@pytest.fixture(params=[*sorted(OPENERS), ETCD])
def opener(request: pytest.FixtureRequest, tmp_path: Path) -> Opener:
    return opener_of(request.param, request, tmp_path)


@pytest.fixture(params=[*SHARED, ETCD])
def shared_opener(request: pytest.FixtureRequest, tmp_path: Path) -> Opener:
    return opener_of(request.param, request, tmp_path)


@asynccontextmanager
async def opened(opener: Opener) -> AsyncIterator[Register]:
    register = opener()
    try:
        yield register
    finally:
        await register.close()


def story(opener: Opener, tell: Callable[[Register], Awaitable[None]]) -> None:
    async def run() -> None:
        async with opened(opener) as register:
            await tell(register)

    asyncio.run(run())


async def won(register: Register, expected: RegisterValue, desired: RegisterValue) -> RegisterValue:
    outcome = await register.compare_and_set(expected, desired)
    assert outcome.kind is RegisterOutcome.WON, outcome
    assert outcome.value is not None
    return outcome.value


# --- every register -------------------------------------------------------------------------------------------------


def test_unwritten_register_is_empty(opener: Opener) -> None:
    async def tell(register: Register) -> None:
        assert await register.read() == EMPTY

    story(opener, tell)


def test_won_value_is_what_is_read_and_its_version_grows(opener: Opener) -> None:
    async def tell(register: Register) -> None:
        first = await won(register, EMPTY, value(1, 0, A))
        assert first[1:] == (1, 0, A)
        assert await register.read() == first
        second = await won(register, first, value(1, 0, BOTH))
        assert second.version > first.version
        assert await register.read() == second

    story(opener, tell)


def test_old_version_loses_and_is_told_what_is_there(opener: Opener) -> None:
    async def tell(register: Register) -> None:
        first = await won(register, EMPTY, value(1, 0, A))
        second = await won(register, first, value(1, 0, BOTH))
        for stale in (EMPTY, first):
            assert await register.compare_and_set(stale, value(2, 1, B)) == Outcome(RegisterOutcome.LOST, second)
        assert await register.read() == second

    story(opener, tell)


def test_only_the_version_is_compared(opener: Opener) -> None:
    async def tell(register: Register) -> None:
        first = await won(register, EMPTY, value(1, 0, A))
        await won(register, first._replace(epoch=9), value(10, 0, A))

    story(opener, tell)


def test_of_many_rivals_exactly_one_wins(opener: Opener) -> None:
    async def tell(register: Register) -> None:
        cell = await won(register, EMPTY, value(1, 0, BOTH))
        for epoch in range(2, 12):
            outcomes = await asyncio.gather(*(register.compare_and_set(cell, value(epoch, 0, BOTH)) for _ in range(8)))
            winners = [outcome.value for outcome in outcomes if outcome.kind is RegisterOutcome.WON]
            assert len(winners) == 1
            assert {outcome.kind for outcome in outcomes} == {RegisterOutcome.WON, RegisterOutcome.LOST}
            assert {outcome.value for outcome in outcomes} == {winners[0]}
            assert winners[0] is not None
            cell = winners[0]

    story(opener, tell)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        (value(0, 0, A), "epoch 0"),
        (value(2**32, 0, A), "epoch"),
        (value(1, 2, 4), "primary 2"),
        (value(1, 0, 0), "in_sync"),
        (value(1, 0, B), "must contain the primary"),
    ],
)
def test_value_that_no_cell_can_hold_is_refused(opener: Opener, wrong: RegisterValue, named: str) -> None:
    async def tell(register: Register) -> None:
        with pytest.raises(ValueError, match=named):
            await register.compare_and_set(EMPTY, wrong)
        assert await register.read() == EMPTY

    story(opener, tell)


def test_value_outlives_the_process(opener: Opener) -> None:
    async def write(register: Register) -> None:
        await won(register, EMPTY, value(7, 0, BOTH))

    async def read(register: Register) -> None:
        assert (await register.read())[1:] == (7, 0, BOTH)

    story(opener, write)
    story(opener, read)


def test_request_of_a_role_is_performed(opener: Opener) -> None:
    async def tell(register: Register) -> None:
        request = Request(RequestKind.COMPARE_AND_SET, 1, False, EMPTY, value(1, 0, A))
        assert (await perform(register, request)).kind is RegisterOutcome.WON
        outcome = await perform(register, request._replace(kind=RequestKind.READ))
        assert outcome == Outcome(RegisterOutcome.VALUE, await register.read())

    story(opener, tell)


# --- registers that both nodes share --------------------------------------------------------------------------------


def test_two_nodes_see_one_cell(shared_opener: Opener) -> None:
    async def run() -> None:
        async with opened(shared_opener) as a, opened(shared_opener) as b:
            first = await won(a, EMPTY, value(1, 0, BOTH))
            assert await b.read() == first
            outcomes = await asyncio.gather(
                a.compare_and_set(first, value(1, 0, A)), b.compare_and_set(first, value(2, 1, B))
            )
            kinds = sorted(outcome.kind for outcome in outcomes)
            assert kinds == [RegisterOutcome.WON, RegisterOutcome.LOST]
            assert outcomes[0].value == outcomes[1].value == await a.read() == await b.read()

    asyncio.run(run())


# --- file -----------------------------------------------------------------------------------------------------------


def newest(directory: Path) -> Path:
    return max(directory.glob("*.json"))


@pytest.mark.parametrize("content", [b"", b'{"version": 1, "ep', b"[]", b'{"version": 1, "epoch": 0}', b"\xff\xfe"])
def test_corrupt_file_is_an_error_that_names_it(tmp_path: Path, content: bytes) -> None:
    async def tell(register: Register) -> None:
        await won(register, EMPTY, value(1, 0, A))
        path = newest(tmp_path / "register")
        path.write_bytes(content)
        with pytest.raises(RegisterCorrupt, match=str(path)):
            await register.read()
        with pytest.raises(RegisterCorrupt, match=str(path)):
            await register.compare_and_set(value(1, 0, A, version=1), value(1, 0, BOTH))

    story(lambda: open_file(tmp_path), tell)


def test_renamed_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    async def tell(register: Register) -> None:
        await won(register, EMPTY, value(1, 0, A))
        path = newest(tmp_path / "register")
        path.rename(path.with_name(f"{9:020}.json"))
        with pytest.raises(RegisterCorrupt, match="holds version 1"):
            await register.read()

    story(lambda: open_file(tmp_path), tell)


def test_other_files_in_the_directory_are_left_alone(tmp_path: Path) -> None:
    async def tell(register: Register) -> None:
        (tmp_path / "register").mkdir()
        (tmp_path / "register" / "notes.json").write_text("mine")
        await won(register, EMPTY, value(1, 0, A))
        assert (tmp_path / "register" / "notes.json").read_text() == "mine"

    story(lambda: open_file(tmp_path), tell)


def test_old_versions_are_removed_but_never_the_newest(tmp_path: Path) -> None:
    async def tell(register: Register) -> None:
        cell = EMPTY
        for _ in range(file_register.KEPT_VERSIONS + 20):
            cell = await won(register, cell, value(1, 0, A))
        versions = sorted(int(path.stem) for path in (tmp_path / "register").glob("*.json"))
        assert versions == list(range(cell.version - file_register.KEPT_VERSIONS + 1, cell.version + 1))
        assert not list((tmp_path / "register").glob("*.tmp"))

    story(lambda: open_file(tmp_path), tell)


def pause_before_link(monkeypatch: pytest.MonkeyPatch, meanwhile: Callable[[], None]) -> None:
    """The first link after this waits until `meanwhile` has happened: a process stopped at the worst place."""
    link = os.link

    def paused(source: os.PathLike[str], target: os.PathLike[str]) -> None:
        monkeypatch.setattr(os, "link", link)
        meanwhile()
        link(source, target)

    monkeypatch.setattr(os, "link", paused)


@pytest.mark.parametrize("others", [1, 3, file_register.KEPT_VERSIONS - 1, file_register.KEPT_VERSIONS + 20])
def test_process_paused_before_it_writes_blocks_nobody_and_loses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, others: int
) -> None:
    slow, quick = FileRegister(tmp_path / "register"), FileRegister(tmp_path / "register")

    def meanwhile() -> None:
        cell = quick._read()
        for _ in range(others):
            outcome = quick._compare_and_set(cell, value(1, 0, A))
            assert outcome.kind is RegisterOutcome.WON
            assert outcome.value is not None
            cell = outcome.value

    pause_before_link(monkeypatch, meanwhile)
    outcome = slow._compare_and_set(EMPTY, value(2, 1, B))
    assert outcome.kind is RegisterOutcome.LOST
    assert outcome.value == quick._read()
    assert outcome.value is not None
    assert outcome.value[1:] == (1, 0, A)


def test_name_that_is_free_only_because_its_bearer_was_removed_is_not_won(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_register, "_TEMPORARY_NAME", re.compile("keep them"))
    test_process_paused_before_it_writes_blocks_nobody_and_loses(
        tmp_path, monkeypatch, file_register.KEPT_VERSIONS + 20
    )


def test_missing_parent_directory_is_unavailable_and_says_so(tmp_path: Path) -> None:
    async def tell(register: Register) -> None:
        with pytest.raises(RegisterUnavailable, match="nowhere"):
            await register.read()
        outcome = await register.compare_and_set(EMPTY, value(1, 0, A))
        assert outcome.kind is RegisterOutcome.UNKNOWN
        assert isinstance(outcome.error, RegisterUnavailable)

    story(lambda: open_file(tmp_path / "nowhere"), tell)


def test_no_answer_in_time_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    register = FileRegister(tmp_path / "register", timeout_s=0.01)

    async def run() -> None:
        release = asyncio.Event()
        loop = asyncio.get_running_loop()

        def hang() -> RegisterValue:
            asyncio.run_coroutine_threadsafe(release.wait(), loop).result()
            return EMPTY

        monkeypatch.setattr(register, "_read", hang)
        outcome = await register.compare_and_set(EMPTY, value(1, 0, A))
        assert outcome.kind is RegisterOutcome.UNKNOWN
        assert "0.01 s" in str(outcome.error)
        release.set()
        await register.close()

    asyncio.run(run())


# --- factory --------------------------------------------------------------------------------------------------------


def test_factory_names_what_it_can_open(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"'paper': must be one of etcd, file, static"):
        open_register("paper", node=0, peer=1, path=tmp_path)
    with pytest.raises(ValueError, match="alone"):
        open_register("static", node=0, peer=1, path=tmp_path)
    with pytest.raises(ValueError, match="cluster"):
        open_register("etcd", node=0, peer=1, path=tmp_path)
    with pytest.raises(ValueError, match="time-out"):
        open_register("file", node=0, peer=1, path=tmp_path, timeout_s=0)
