"""The two messages that the benchmarks use: a NewOrderSingle of 180 bytes, an ExecutionReport of 290 with 28 fields.

`varied_orders` and `varied_executions` are bodies of about that size whose values and their lengths differ from one to
the next, as they do in traffic: a processor learns one message by heart, and is then faster than it ever is at work.
"""

import random

BEGIN_STRING, SENDER, TARGET = "FIX.4.4", "GATEWAY", "BROKER"
CL_ORD_ID = b"probe-000000001"
ORDER_FIELDS = b"1=ACCT\x0121=1\x0155=AAPL\x0154=1\x0138=100\x0140=2\x0144=190.25\x0159=0\x01"
ORDER_FIELDS += b"60=20261121-07:00:00.000\x01"
ORDER = b"11=" + CL_ORD_ID + b"\x01" + ORDER_FIELDS
EXECUTION = (
    b"37=ORD0000001\x0111=" + CL_ORD_ID + b"\x0117=EXEC0000001\x01150=F\x0139=2\x011=ACCOUNT1\x0155=AAPL\x0154=1\x01"
    b"38=100\x0140=2\x0144=190.25\x0159=0\x0132=100\x0131=190.25\x01151=0\x0114=100\x016=190.25\x01"
    b"60=20261121-07:00:00.000\x0130=XNAS\x0158=filled at exchange A\x01"
)
WALL_NS = 1_795_244_400_123_456_789  # 2026-11-21

VARIANTS = 64  # of a message whose values differ
ENTRIES = 40
_SYMBOLS = ("AAPL", "MSFT", "F", "GOOGL", "IBM", "BRK.B")


def varied_orders(count: int) -> list[bytes]:
    """Bodies of NewOrderSingle (35=D), the same on every call."""
    chance = random.Random(count)
    return [_order(chance).replace("|", "\x01").encode() for _ in range(count)]


def varied_executions(count: int) -> list[bytes]:
    """Bodies of ExecutionReport (35=8), the same on every call."""
    chance = random.Random(count)
    return [_execution(chance).replace("|", "\x01").encode() for _ in range(count)]


def _quantity(chance: random.Random) -> int:
    return chance.randrange(1, 10 ** chance.choice((2, 3, 4)))


def _price(chance: random.Random) -> str:
    return f"{chance.randrange(1, 10 ** chance.choice((5, 5, 6))) / 100:.2f}"


def _transact_time(chance: random.Random) -> str:
    minute, second, millisecond = chance.randrange(60), chance.randrange(60), chance.randrange(1000)
    return f"20261121-07:{minute:02}:{second:02}.{millisecond:03}"


def _order(chance: random.Random) -> str:
    return (
        f"11=probe-{chance.randrange(10**9):09}|1=ACCT|21=1|55={chance.choice(_SYMBOLS)}|54={chance.choice('12')}|"
        f"38={_quantity(chance)}|40=2|44={_price(chance)}|59=0|60={_transact_time(chance)}|"
    )


def _execution(chance: random.Random) -> str:
    quantity, price = _quantity(chance), _price(chance)
    return (
        f"37=ORD{chance.randrange(10**7):07}|11=probe-{chance.randrange(10**9):09}|17=EXEC{chance.randrange(10**7):07}|"
        f"150=F|39=2|1=ACCOUNT{chance.randrange(1, 12)}|55={chance.choice(_SYMBOLS)}|54={chance.choice('12')}|"
        f"38={quantity}|40=2|44={price}|59={chance.choice('0136')}|32={quantity}|31={price}|"
        f"151={chance.choice((0, quantity))}|14={quantity}|6={price}|60={_transact_time(chance)}|"
        f"30={chance.choice(('XNAS', 'XNYS', 'N'))}|58=filled at exchange {chance.choice('ABC')}|"
    )


def snapshot() -> bytes:
    """The body of a MarketDataSnapshotFullRefresh (35=W): long, with a repeating group."""
    entries = b"".join(
        b"269=%d\x01270=190.%02d\x01271=%d\x01290=%d\x01" % (entry % 2, entry, 100 * (entry + 1), entry // 2 + 1)
        for entry in range(ENTRIES)
    )
    return b"262=REQUEST1\x0155=AAPL\x01268=%d\x01" % ENTRIES + entries


BODIES = {  # message type and bodies, by what it is called
    "heartbeat": (b"0", [b""]),
    "order": (b"D", varied_orders(VARIANTS)),
    "execution": (b"8", varied_executions(VARIANTS)),
    "snapshot": (b"W", [snapshot()]),
}
