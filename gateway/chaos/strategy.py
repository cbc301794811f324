"""The client of a chaos run, its own process: does what its standard input asks for, and records all it is told.

A line of input is a JSON object with `rate` (orders a second) and `count`; progress goes to standard output.
"""

from __future__ import annotations

import queue
import sys
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import orjson
import typer

from gateway.audit.record import ClientRecorder
from gateway.client import Client
from gateway.client.orderfile import read_orders
from gateway.config import load_config, read_secret
from gateway.demo.trader import CONNECT_TIMEOUT_S, LONGEST_READ_S, Counts, Trader

QUIET_S = 0.05


def strategy(
    config: Annotated[Path, typer.Option(help="The pair's configuration.")],
    client: Annotated[str, typer.Option(help="Name of this client.")],
    session: Annotated[str, typer.Option(help="FIX session to send on.")],
    orders: Annotated[Path, typer.Option(help="CSV file of orders, sent over and over.")],
    record: Annotated[Path, typer.Option(help="File to record what was told.")],
) -> None:
    """Send as many orders as standard input asks for, and answer when all are answered."""
    pair = load_config(config)
    section = next(each for each in pair.client if each.name == client)
    token = read_secret(f"token of client {client!r}", env=section.token_env, file=section.token_file)
    nodes = ",".join(str(node.clients) for node in pair.node.values())
    wanted: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_read_input, args=(wanted,), name="input", daemon=True).start()
    recorder = ClientRecorder(record)
    with Client(nodes, client, token, connect_timeout=CONNECT_TIMEOUT_S) as connection:
        trader = Trader(connection, client, session, read_orders(orders), recorder, _print_counts)
        while True:
            while wanted.empty():
                trader.read(LONGEST_READ_S)
            line = wanted.get()
            if not line:
                break
            trader.run(**orjson.loads(line), quiet_s=QUIET_S)
    recorder.close()


def _read_input(wanted: queue.SimpleQueue[bytes]) -> None:
    for line in sys.stdin.buffer:
        wanted.put(line)
    wanted.put(b"")


def _print_counts(counts: Counts) -> None:
    print(orjson.dumps(asdict(counts)).decode(), flush=True)
