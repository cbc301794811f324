"""Ways to the broker that take more than connect(): TLS, proxies, several endpoints. The session is one."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.proxies import Proxy
from tests.system.stage import Stage
from tests.wire.certificates import Certificates

LOOPBACK = "127.0.0.1"


def over_tls(stage: Stage) -> None:
    """The broker wants TLS, and certificates of its clients."""
    certificates = Certificates(stage.directory)
    cert, key = certificates.issue(LOOPBACK)
    own_cert, own_key = certificates.issue("gateway.example")
    files = {"tls-cert": cert, "tls-key": key, "tls-client-ca": certificates.ca_file}
    stage.broker_options = tuple(text for name, file in files.items() for text in (f"--{name}", str(file)))
    tls = f'{{ ca_file = "{certificates.ca_file}", cert_file = "{own_cert}", key_file = "{own_key}" }}'
    stage.amend("heartbeat = 30", f'heartbeat = 30\nconnect_timeout = "5s"\ntls = {tls}')


def endpoints(stage: Stage, *tables: str, order: str = "in-order") -> None:
    """Ways to the broker; {broker} stands for its address."""
    broker = f"{LOOPBACK}:{stage.broker_port}"
    text = ", ".join(table.replace("{broker}", broker) for table in tables)
    more = f'endpoint_order = "{order}"\nreconnect_max = "100ms"'
    stage.amend(f'endpoints = ["{broker}"]', f"endpoints = [{text}]\n{more}")


def through(proxy: Proxy, kind: str) -> str:
    return f'{{ address = "{{broker}}", proxy = {{ kind = "{kind}", address = "{LOOPBACK}:{proxy.port}" }} }}'


async def test_orders_over_tls_go_on_when_the_primary_is_killed(make_stage: Callable[..., Stage]) -> None:
    stage = make_stage(engine="native")
    over_tls(stage)
    async with stage:
        flow = stage.flow(rate=500, count=800)
        await flow.submitted(300)
        dead, _ = await stage.take_over()
        await stage.rejoin(dead)
        await stage.assert_all_processed(flow)


@pytest.mark.parametrize("kind", ["http", "socks5"])
async def test_a_change_of_endpoint_keeps_the_numbers(make_stage: Callable[..., Stage], kind: str) -> None:
    """TLS through a proxy that dies; the second endpoint has neither a proxy nor a way to miss anything."""
    stage = make_stage(engine="native")
    over_tls(stage)
    async with Proxy(kind).running() as proxy:
        endpoints(stage, through(proxy, kind), '{ address = "{broker}", source = "127.0.0.5" }')
        async with stage:
            flow = stage.flow(rate=500, count=800)
            await flow.accepted(300)
            proxy.die()
            counts = await flow.done()
            result = await stage.judge()
    assert proxy.targets == [(LOOPBACK, stage.broker_port)]
    assert counts.accepted == result.processed == 800


async def test_round_robin_goes_on_to_the_next_endpoint(make_stage: Callable[..., Stage]) -> None:
    stage = make_stage(engine="native")
    async with Proxy("http").running() as first, Proxy("socks5").running() as second:
        endpoints(stage, through(first, "http"), through(second, "socks5"), order="round-robin")
        async with stage:
            flow = stage.flow(rate=300, count=600)
            await flow.accepted(100)
            first.cut()
            await flow.accepted(300)
            second.cut()
            counts = await flow.done()
            await stage.judge()
    assert counts.accepted == 600
    assert (len(first.targets), len(second.targets)) == (2, 1)


async def test_a_broker_whose_certificate_is_not_trusted_gets_no_logon(make_stage: Callable[..., Stage]) -> None:
    stage = make_stage(engine="native")
    over_tls(stage)
    stage.amend('ca_file = "', 'server_name = "other.example", ca_file = "')
    await stage.start_broker()
    await stage.start_node("a")
    try:
        line = await stage.until_logged("a", "event", "connect_failed")
    finally:
        await stage.stop_all()
    assert line["error"].startswith("session 'BROKER': endpoint 127.0.0.1")
    assert "TLS handshake: the certificate is not accepted" in line["error"]
