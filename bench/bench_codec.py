"""Parse and encode, timed inside native code over many rounds: ns for one message.

Run: pytest bench/bench_codec.py. The figures are medians over the rounds of the table's `samples`.
"""

from bench.conftest import Distribution
from gateway.bench.messages import BEGIN_STRING, EXECUTION, ORDER, SENDER, TARGET, WALL_NS
from gateway.native.encoder import Template
from gateway.native.parser import measure_parse, parse

SAMPLES = 200
ROUNDS = 20_000


def _template(sender: str, target: str) -> Template:
    return Template(BEGIN_STRING.encode(), f"49={sender}\x0156={target}\x01".encode())


def test_parse_an_execution_report(distribution: Distribution) -> None:
    message = _template(TARGET, SENDER).encode(b"8", 100_000, WALL_NS, EXECUTION)
    assert (len(message), len(parse(message).fields)) == (290, 28)
    distribution("parse, 290 bytes, 28 fields", [measure_parse(message, ROUNDS) for _ in range(SAMPLES)])


def test_encode_a_new_order(distribution: Distribution) -> None:
    template = _template(SENDER, TARGET)
    assert len(template.encode(b"D", 100_000, WALL_NS, ORDER)) == 180
    distribution("encode, 180 bytes", [template.measure_encode(b"D", ORDER, ROUNDS) for _ in range(SAMPLES)])
