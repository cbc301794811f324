"""`gateway send`: the file is checked first, each fate is printed, the exit status says whether all are known."""

import threading
from pathlib import Path
from typing import Any

import pytest
import typer
from fakenode import SESSION, ThreadedPair
from typer.testing import CliRunner

from gateway.client import OrdType
from gateway.client.cli import send
from gateway.client.orderfile import OrderFileError, read_orders
from gateway.config import load_config
from gateway.demo.world import World
from gateway.native import clientwire as wire

CSV = "symbol,side,quantity,price,cl_ord_id\nAAPL,buy,100,190.25,one\nMSFT,sell,5,,two\n"


@pytest.fixture
def app() -> typer.Typer:
    app = typer.Typer()
    app.command()(send)
    return app


@pytest.fixture
def orders(tmp_path: Path) -> Path:
    path = tmp_path / "orders.csv"
    path.write_text(CSV)
    return path


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_TOKEN", "secret")


def run(app: typer.Typer, *arguments: object) -> Any:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def broker_answers(pair: ThreadedPair, reports: dict[str, bytes]) -> None:
    """Whatever is accepted gets its ExecutionReport."""

    def answer(frame: wire.Submit, cl_ord_id: str) -> bytes:
        pair.pair.messages.append(b"35=8\x0111=%b\x01%b" % (cl_ord_id.encode(), reports[cl_ord_id]))
        seq = len(pair.pair.messages)
        return wire.accepted(SESSION, 0, seq, cl_ord_id) + wire.message(SESSION, 0, seq, pair.pair.messages[-1])

    pair.a.verdict = answer


def test_each_fate_is_printed(pair: ThreadedPair, app: typer.Typer, orders: Path) -> None:
    broker_answers(pair, {"one": b"39=2\x0114=100\x016=190.2\x01", "two": b"39=8\x0158=no such symbol\x01"})
    result = run(app, orders, "--nodes", pair.nodes, "--client", "alpha", "--session", "BROKER")
    assert result.exit_code == 0, result.output
    assert "2\tone\tbuy 100 AAPL at 190.25\t1\tfilled 100 at 190.2" in result.output
    assert "3\ttwo\tsell 5 MSFT\t2\trejected by the counterparty: no such symbol" in result.output
    assert "fate known: 2, not known: 0" in result.output


def test_an_order_without_an_answer_makes_the_exit_status_1(pair: ThreadedPair, app: typer.Typer, orders: Path) -> None:
    result = run(app, orders, "--nodes", pair.nodes, "--client", "alpha", "--wait", 0.1)
    assert result.exit_code == 1
    assert "NO ANSWER: accepted" in result.output


def test_a_refused_order_has_a_known_fate(pair: ThreadedPair, app: typer.Typer, orders: Path) -> None:
    pair.a.verdict = lambda frame, cl_ord_id: wire.rejected(SESSION, 10, cl_ord_id, "above 50")
    result = run(app, orders, "--nodes", pair.nodes, "--client", "alpha")
    assert result.exit_code == 0, result.output
    assert "refused by the gateway: above 50 (max_order_qty)" in result.output


def test_the_same_file_again_tells_what_is_known(pair: ThreadedPair, app: typer.Typer, orders: Path) -> None:
    pair.a.verdict = lambda frame, cl_ord_id: wire.order_state(SESSION, 0, 9, wire.OrderStatus.FILLED, cl_ord_id)
    result = run(app, orders, "--nodes", pair.nodes, "--client", "alpha")
    assert result.exit_code == 0, result.output
    assert "handed in before: filled" in result.output


def test_the_pace_is_kept_through_a_failover(pair: ThreadedPair, app: typer.Typer, tmp_path: Path) -> None:
    path = tmp_path / "many.csv"
    path.write_text("symbol,side,quantity\n" + "AAPL,buy,1\n" * 50)
    broken = threading.Event()

    def fail_over() -> None:
        pair.run(pair.a.stop())
        pair.do(pair.b.promote)
        broken.set()

    timer = threading.Timer(0.1, fail_over)
    timer.start()
    result = run(app, path, "--nodes", pair.nodes, "--client", "alpha", "--rate", 200, "--wait", 0.2)
    timer.join()
    assert broken.is_set()
    assert result.exit_code == 1  # no broker answers here
    assert len(pair.pair.orders) == 50


def test_addresses_come_from_the_configuration(
    pair: ThreadedPair, app: typer.Typer, orders: Path, tmp_path: Path
) -> None:
    broker_answers(pair, {"one": b"39=0\x01", "two": b"39=0\x01"})
    world = World(tmp_path / "world", mode="sync", reactor="epoll", engine="native")
    text = world.config.read_text()
    for node, address in zip(load_config(world.config).node.values(), pair.nodes.split(","), strict=True):
        text = text.replace(str(node.clients), address)
    world.config.write_text(text)
    result = run(app, orders, "--config", world.config, "--client", "alpha")
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--client", "alpha"], "give either --config FILE or --nodes"),
        (["--client", "alpha", "--nodes", "nowhere"], "'nowhere' is not host:port"),
        (["--client", "alpha", "--config", "/nonexistent.toml"], "/nonexistent.toml: No such file"),
        (["--client", "alpha", "--nodes", "127.0.0.1:1", "--token-file", "/nonexistent"], "token cannot be read"),
    ],
)
def test_what_cannot_run_says_why(app: typer.Typer, orders: Path, arguments: list[str], complaint: str) -> None:
    result = run(app, orders, *arguments)
    assert result.exit_code == 2
    assert complaint in result.output


def test_a_wrong_token_is_not_printed(
    pair: ThreadedPair, app: typer.Typer, orders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEWAY_TOKEN", "wr0ng")
    result = run(app, orders, "--nodes", pair.nodes, "--client", "alpha")
    assert result.exit_code == 2
    assert "unknown client or wrong token" in result.output
    assert "wr0ng" not in result.output


def test_the_sample_is_a_file_of_orders() -> None:
    orders = read_orders(Path(__file__).parents[2] / "configs" / "orders.csv")
    assert len(orders) == 40
    assert {order.order.ord_type for order in orders} == {OrdType.LIMIT, OrdType.MARKET}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "line 1: has no column 'symbol'; found: nothing"),
        ("symbol,side\n", "has no column 'quantity'"),
        ("symbol,side,quantity,colour\n", "column 'colour' is not known"),
        ("symbol,side,quantity,symbol\n", "'symbol' is there twice"),
        ("symbol,side,quantity\n", "holds no orders"),
        ("symbol,side,quantity\nA,up,1\n", r"line 2: side 'up' is not known; allowed: buy \(1\)"),
        ("symbol,side,quantity\nA,buy,0\n", "quantity must be a positive number, found '0'"),
        ("symbol,side,quantity\nA,buy,x\n", "quantity must be a positive number, found 'x'"),
        ("symbol,side,quantity\n,buy,1\n", "symbol is empty"),
        ("symbol,side,quantity\nA,buy,1,2\n", "more cells"),
        ("symbol,side,quantity,cl_ord_id\nA,buy,1,x\nA,buy,1,x\n", "'x' is on line 2 too"),
        ("symbol,side,quantity,cl_ord_id\nA,buy,1," + "x" * 65, "at most 64"),
    ],
)
def test_mistakes_in_a_file_name_their_place(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(OrderFileError, match=complaint):
        read_orders(path)


def test_columns_named_by_tag_become_fields(tmp_path: Path) -> None:
    path = tmp_path / "tags.csv"
    path.write_text("Symbol, Side ,quantity,9001\nA,1,10,x\n\n")
    (order,) = read_orders(path)
    assert order.order.body().endswith(b"9001=x\x01")
