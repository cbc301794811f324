"""Parse and encode, timed inside native code over many rounds: ns for one message.

Run: pytest bench/bench_codec.py. The figures are medians over the rounds of the table's `samples`. What is parsed is a
stream of messages that differ in their values and lengths, see gateway/bench/messages.py.
"""

from bench.conftest import Distribution
from gateway.bench.messages import (
    BEGIN_STRING,
    SENDER,
    TARGET,
    WALL_NS,
    varied_executions,
    varied_orders,
)
from gateway.native.encoder import Template
from gateway.native.parser import MAX_WIDE, measure_parse, parse, set_wide

SAMPLES = 200
MESSAGES = 1_000
ROUNDS = 20


def _template(sender: str, target: str) -> Template:
    return Template(BEGIN_STRING.encode(), f"49={sender}\x0156={target}\x01".encode())


def _stream(template: Template, msg_type: bytes, bodies: list[bytes]) -> bytes:
    return b"".join(template.encode(msg_type, 100_000 + n, WALL_NS + n, body) for n, body in enumerate(bodies))


def _measure(distribution: Distribution, name: str, stream: bytes) -> None:
    """Once for each number of fields at once that the processor has."""
    for fields in (16, 8, 0):
        if fields <= MAX_WIDE:
            before = set_wide(fields)
            times = [measure_parse(stream, ROUNDS) for _ in range(SAMPLES)]
            set_wide(before)
            distribution(f"parse {name}, {fields or 1} at once", times)


def test_parse_executions(distribution: Distribution) -> None:
    stream = _stream(_template(TARGET, SENDER), b"8", varied_executions(MESSAGES))
    assert (round(len(stream) / MESSAGES, -1), len(parse(stream).fields)) == (290, 28)
    _measure(distribution, "execution", stream)


def test_parse_orders(distribution: Distribution) -> None:
    stream = _stream(_template(SENDER, TARGET), b"D", varied_orders(MESSAGES))
    assert (round(len(stream) / MESSAGES, -1), len(parse(stream).fields)) == (180, 18)
    _measure(distribution, "order", stream)


def test_encode_a_new_order(distribution: Distribution) -> None:
    template = _template(SENDER, TARGET)
    bodies = varied_orders(MESSAGES)
    distribution("encode order", [template.measure_encode(b"D", bodies, ROUNDS) for _ in range(SAMPLES)])
