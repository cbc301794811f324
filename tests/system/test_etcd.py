"""The pair with its register on a real etcd."""

from pathlib import Path

import pytest

from gateway.chaos.etcd import HAVE_ETCD, EtcdCluster
from gateway.demo.observer import OTHER, is_primary
from tests.system.stage import Stage

pytestmark = pytest.mark.skipif(not HAVE_ETCD, reason="no etcd here: apt install etcd-server")


async def test_takeover_and_rejoin_with_a_register_on_etcd(tmp_path: Path) -> None:
    with EtcdCluster(tmp_path / "etcd") as cluster:
        async with Stage(tmp_path, register=f'kind = "etcd"\nendpoints = {cluster.endpoints}') as stage:
            flow = stage.flow(rate=800, count=1200)
            await flow.submitted(400)
            dead, leader = await stage.take_over()
            await stage.rejoin(dead)
            counts = await flow.done()
            assert await stage.see.primary() == leader
            result = await stage.judge()
    assert counts.accepted == result.processed == 1200


async def test_a_pair_in_sync_trades_on_without_etcd_and_takes_over_when_it_is_back(tmp_path: Path) -> None:
    with EtcdCluster(tmp_path / "etcd") as cluster:
        async with Stage(tmp_path, register=f'kind = "etcd"\nendpoints = {cluster.endpoints}') as stage:
            flow = stage.flow(rate=500, count=2000)
            await flow.submitted(300)
            cluster.kill(0)
            await flow.accepted(flow.counts.accepted + 300)
            leader = await stage.see.primary()
            await stage.kill(leader)
            await flow.submitted(flow.counts.submitted + 200)
            assert not any(map(is_primary, (await stage.see.statuses()).values()))
            cluster.start(0)
            await stage.see.until_primary(OTHER[leader])
            await stage.rejoin(leader)
            await stage.assert_all_processed(flow)
