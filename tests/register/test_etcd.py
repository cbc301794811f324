"""The register on a real etcd: members lost, quorum lost, users, damage by hand. What every register does is tested
beside the others."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.chaos.etcd import HAVE_ETCD, EtcdCluster
from gateway.native.role import RegisterOutcome, RegisterValue
from gateway.register import RegisterCorrupt, RegisterUnavailable
from gateway.register.base import EMPTY
from gateway.register.etcd import EtcdOptions, EtcdRegister, _encoded

pytestmark = pytest.mark.skipif(not HAVE_ETCD, reason="no etcd here: apt install etcd-server")

KEY = "fix-gateway/pair-1"
FIRST = RegisterValue(0, 1, 0, 1)
SECOND = RegisterValue(0, 1, 0, 3)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[EtcdCluster]:
    with EtcdCluster(tmp_path / "etcd") as running:
        yield running


def register(cluster: EtcdCluster, timeout_s: float = 5.0, **options: str) -> EtcdRegister:
    return EtcdRegister(EtcdOptions(cluster.endpoints, KEY, **options), timeout_s=timeout_s)


def post(cluster: EtcdCluster, path: str, request: dict[str, object], token: str = "") -> dict[str, str]:
    call = urllib.request.Request(cluster.endpoints[0] + path, json.dumps(request).encode())
    if token:
        call.add_header("Authorization", token)
    with urllib.request.urlopen(call, timeout=5) as answer:
        return dict(json.loads(answer.read()))


async def won(cell: EtcdRegister, expected: RegisterValue, desired: RegisterValue) -> RegisterValue:
    outcome = await cell.compare_and_set(expected, desired)
    assert outcome.kind is RegisterOutcome.WON, outcome
    assert outcome.value is not None
    return outcome.value


def test_a_deleted_key_never_brings_an_old_version_back(cluster: EtcdCluster) -> None:
    async def run() -> None:
        cell = register(cluster)
        first = await won(cell, EMPTY, FIRST)
        post(cluster, "/v3/kv/deleterange", {"key": _encoded(KEY.encode())})
        assert await cell.read() == EMPTY
        assert (await cell.compare_and_set(first, SECOND)).kind is RegisterOutcome.LOST
        assert (await won(cell, EMPTY, SECOND)).version > first.version
        await cell.close()

    asyncio.run(run())


@pytest.mark.parametrize(
    "content", [b"", b"[]", b'{"epoch": 1}', b'{"epoch": "1", "primary": 0, "in_sync": 1}', b"\xff"]
)
def test_a_value_that_is_none_is_an_error_that_names_the_key(cluster: EtcdCluster, content: bytes) -> None:
    async def run() -> None:
        cell = register(cluster)
        post(cluster, "/v3/kv/put", {"key": _encoded(KEY.encode()), "value": _encoded(content)})
        with pytest.raises(RegisterCorrupt, match=KEY):
            await cell.read()
        with pytest.raises(RegisterCorrupt, match=KEY):
            await cell.compare_and_set(EMPTY, FIRST)
        await cell.close()

    asyncio.run(run())


def test_the_loss_of_one_member_of_three_costs_nothing_and_of_two_is_told(tmp_path: Path) -> None:
    async def run(cluster: EtcdCluster) -> None:
        cell = register(cluster)
        first = await won(cell, EMPTY, FIRST)
        cluster.kill(0)
        second = await until_won(cell, first, SECOND)
        assert await cell.read() == second
        cluster.kill(1)
        with pytest.raises(RegisterUnavailable):
            await register(cluster, 0.5).read()
        lost = await register(cluster, 0.5).compare_and_set(second, FIRST)
        assert (lost.kind, lost.value) == (RegisterOutcome.UNKNOWN, None)
        cluster.start(0)
        cluster.until_answering()
        assert (await cell.read()).version >= second.version
        await cell.close()

    with EtcdCluster(tmp_path / "etcd", 3) as cluster:
        asyncio.run(run(cluster))


async def until_won(cell: EtcdRegister, expected: RegisterValue, desired: RegisterValue) -> RegisterValue:
    """As a role does: what is unknown is read, and tried again if it did not take effect."""
    while True:
        outcome = await cell.compare_and_set(expected, desired)
        if outcome.kind is RegisterOutcome.UNKNOWN:
            try:
                value = await cell.read()
            except RegisterUnavailable:
                continue
            if value.version == expected.version:
                continue
            return value
        assert outcome.value is not None
        return outcome.value


def test_no_member_at_all_is_unavailable_and_names_them(tmp_path: Path) -> None:
    async def run() -> None:
        cell = register(EtcdCluster(tmp_path / "never-started", 2), 0.5)
        with pytest.raises(RegisterUnavailable, match="no member can be reached"):
            await cell.read()
        assert (await cell.compare_and_set(EMPTY, FIRST)).kind is RegisterOutcome.UNKNOWN
        await cell.close()

    asyncio.run(run())


def test_a_user_logs_in_and_its_password_is_in_no_error(cluster: EtcdCluster) -> None:
    for user in ("root", "gateway"):
        post(cluster, "/v3/auth/user/add", {"name": user, "password": "sesame"})
        post(cluster, "/v3/auth/role/add", {"name": user})
        post(cluster, "/v3/auth/user/grant", {"user": user, "role": user})
    allowed = {"permType": "READWRITE", "key": _encoded(KEY.encode())}
    post(cluster, "/v3/auth/role/grant", {"name": "gateway", "perm": allowed})
    post(cluster, "/v3/auth/enable", {})

    async def run() -> None:
        cell = register(cluster, user="gateway", password="sesame")
        first = await won(cell, EMPTY, FIRST)
        cell._token = "expired"
        assert await cell.read() == first
        await cell.close()
        for wrong in (register(cluster), register(cluster, user="gateway", password="open")):
            with pytest.raises(RegisterUnavailable, match="refuses") as caught:
                await wrong.read()
            assert "open" not in str(caught.value)
            assert "password='" not in repr(wrong._options)
            await wrong.close()

    asyncio.run(run())


def test_a_watch_tells_changes_of_the_other_node(cluster: EtcdCluster) -> None:
    async def run() -> None:
        a, b = register(cluster), register(cluster)
        first = await won(a, EMPTY, FIRST)
        news = b.watch()
        waiting = asyncio.ensure_future(anext(news))
        expected, seen = first, None
        while seen is None:  # the watch begins some time after it was asked for
            expected = await won(a, expected, SECOND)
            done, _ = await asyncio.wait([waiting], timeout=0.05)
            seen = waiting.result() if done else None
        assert seen[1:] == SECOND[1:]
        assert first.version < seen.version <= expected.version
        await a.close()
        await b.close()

    asyncio.run(run())
