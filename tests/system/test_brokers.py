"""Counterparties that do not behave as the simulator does."""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime

from tests.system.stage import Stage


def logout(seq: int, text: str) -> bytes:
    """A Logout instead of an answer to our Logon."""
    now = datetime.now(UTC).strftime("%Y%m%d-%H:%M:%S")
    body = f"35=5|34={seq}|49=BROKER|56=GATEWAY|52={now}|58={text}|".replace("|", "\x01")
    head = f"8=FIX.4.4\x019={len(body)}\x01{body}".encode()
    return head + b"10=%03d\x01" % (sum(head) % 256)


async def test_a_refused_logon_is_told_in_the_counterpartys_words(native_stage: Stage) -> None:
    stage = native_stage

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            await reader.read(4096)
            writer.write(logout(1, "not before nine"))
            await writer.drain()
            await reader.read(4096)
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", stage.broker_port):
        await stage.start_node("a")
        try:
            line = await stage.until_logged("a", "reason", "logon_refused")
        finally:
            await stage.stop_all()
    assert (line["session"], line["text"]) == ("BROKER", "not before nine")
