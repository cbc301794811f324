"""Parsing and encoding, for messages of four sizes; beside the quickfix and simplefix packages."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from gateway.bench.messages import BEGIN_STRING, BODIES, SENDER, TARGET, VARIANTS, WALL_NS
from gateway.bench.scenario import Round, Scenario, Setting, Subject
from gateway.bench.scenarios.calls import Prepare, calls, timed
from gateway.native.encoder import Template
from gateway.native.parser import measure_parse, parse

BATCHES = 2_000
PASSES = 8  # over all variants, for one figure
SLOWER = 20  # a Python package does so many fewer in a round
FIRST_SEQ = 100_000
SIX_FIELDS = 6


def whole_messages(kind: str) -> list[bytes]:
    """Whole messages of a kind, with values that vary from one to the next."""
    msg_type, bodies = BODIES[kind]
    template = Template(BEGIN_STRING.encode(), f"49={SENDER}\x0156={TARGET}\x01".encode())
    return [
        template.encode(msg_type, FIRST_SEQ + number, WALL_NS + number * 1_001_001, bodies[number % len(bodies)])
        for number in range(VARIANTS)
    ]


def _parse(kind: str) -> Prepare:
    def prepared(setting: Setting) -> Callable[[], Round]:
        stream = b"".join(whole_messages(kind))
        return lambda: Round({"parse": np.array([measure_parse(stream, PASSES) for _ in range(setting.operations)])})

    return prepared


def _parse_quickfix(kind: str) -> Prepare:
    def prepared(setting: Setting) -> Callable[[], Round]:
        import quickfix  # noqa: PLC0415  (not installed everywhere)

        texts = [message.decode() for message in whole_messages(kind)]
        tags = [tag for tag, _ in parse(whole_messages(kind)[0]).fields[7:-1]][:SIX_FIELDS]

        def parsed(number: int) -> None:
            quickfix.Message(texts[number % VARIANTS], False)

        def read(number: int) -> None:
            message = quickfix.Message(texts[number % VARIANTS], False)
            for tag in tags:
                message.getField(tag)

        count = max(1, setting.operations // SLOWER)
        return lambda: Round({"parse": timed(parsed, count), "parse and read six": timed(read, count)})

    return prepared


def _parse_simplefix(kind: str) -> Prepare:
    def prepared(setting: Setting) -> Callable[[], Round]:
        import simplefix  # noqa: PLC0415  (not installed everywhere)

        messages = whole_messages(kind)
        parser = simplefix.FixParser()

        def parsed(number: int) -> None:
            parser.append_buffer(messages[number % VARIANTS])
            parser.get_message()

        return lambda: Round({"parse": timed(parsed, max(1, setting.operations // SLOWER))})

    return prepared


def _encode(kind: str) -> Prepare:
    def prepared(setting: Setting) -> Callable[[], Round]:
        msg_type, bodies = BODIES[kind]
        template = Template(BEGIN_STRING.encode(), f"49={SENDER}\x0156={TARGET}\x01".encode())

        mixed = [bodies[number % len(bodies)] for number in range(VARIANTS)]
        return lambda: Round(
            {"encode": np.array([template.measure_encode(msg_type, mixed, PASSES) for _ in range(setting.operations)])}
        )

    return prepared


def _fields(kind: str) -> tuple[bytes, list[list[tuple[int, str]]]]:
    """Type and fields of the variants of a message, for packages that take them one by one."""
    msg_type, bodies = BODIES[kind]
    split = [
        [(int(tag), value) for tag, _, value in (field.partition("=") for field in text.decode().split("\x01")[:-1])]
        for text in bodies
    ]
    return msg_type, split


def _encode_quickfix(kind: str) -> Prepare:
    def prepared(setting: Setting) -> Callable[[], Round]:
        import quickfix  # noqa: PLC0415  (not installed everywhere)

        msg_type, variants = _fields(kind)
        name = msg_type.decode()

        def encoded(number: int) -> None:
            message = quickfix.Message()
            header = message.getHeader()
            header.setField(8, BEGIN_STRING)
            header.setField(35, name)
            header.setField(34, str(FIRST_SEQ + number))
            header.setField(49, SENDER)
            header.setField(52, "20261121-07:00:00.123")
            header.setField(56, TARGET)
            for tag, value in variants[number % len(variants)]:
                message.setField(tag, value)
            message.toString()

        return lambda: Round({"encode": timed(encoded, max(1, setting.operations // SLOWER))})

    return prepared


def _encode_simplefix(kind: str) -> Prepare:
    def prepared(setting: Setting) -> Callable[[], Round]:
        import simplefix  # noqa: PLC0415  (not installed everywhere)

        msg_type, variants = _fields(kind)

        def encoded(number: int) -> None:
            message = simplefix.FixMessage()
            message.append_pair(8, BEGIN_STRING)
            message.append_pair(35, msg_type)
            message.append_pair(34, FIRST_SEQ + number)
            message.append_pair(49, SENDER)
            message.append_pair(52, "20261121-07:00:00.123")
            message.append_pair(56, TARGET)
            for tag, value in variants[number % len(variants)]:
                message.append_pair(tag, value)
            message.encode()

        return lambda: Round({"encode": timed(encoded, max(1, setting.operations // SLOWER))})

    return prepared


def _scenario(what: str, kind: str) -> Scenario:
    parses = what == "parse"
    native, quickfix, simplefix = (
        (_parse, _parse_quickfix, _parse_simplefix) if parses else (_encode, _encode_quickfix, _encode_simplefix)
    )
    lengths = [len(message) for message in whole_messages(kind)]
    fields = len(parse(whole_messages(kind)[0]).fields)
    subjects = [Subject("gateway", "gateway", calls(native(kind)))]
    if kind != "snapshot":  # without a dictionary, quickfix knows no repeating groups: it would do other work
        subjects.append(Subject("quickfix", "peer", calls(quickfix(kind)), needs="quickfix"))
    subjects.append(Subject("simplefix", "peer", calls(simplefix(kind)), needs="simplefix"))
    text = f"{what} a message: {kind}, {sum(lengths) // len(lengths)} bytes, {fields} fields, values varied"
    return Scenario(f"codec.{what}.{kind}", text, tuple(subjects), operations=BATCHES, quick_operations=100)


SCENARIOS = tuple(_scenario(what, kind) for what in ("parse", "encode") for kind in BODIES)
