"""The audit passes on good evidence, and fails, naming the finding, on each kind of bad evidence.

The evidence is what a run leaves behind: the client's record, the broker's ledger and two journals, as files.
"""

import struct
from dataclasses import dataclass, field
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.audit.audit import AuditResult, audit, out_of_order
from gateway.audit.evidence import Evidence, read_broker, read_client_record, read_journal
from gateway.audit.record import ClientRecorder
from gateway.broker.ledger import Ledger
from gateway.native import record as names
from gateway.native.journal import Journal

ORDERS = 6
TAKEOVER_AFTER = 3  # orders
SET_SEQ, SHAPE = 2, {"segment_bytes": 1 << 16, "max_records": 1 << 12, "max_seq": 1 << 10}


@dataclass
class Entry:
    """What one record of the log is to be."""

    kind: int
    seq: int = 0
    cl_ord_id: str = ""
    payload: bytes = b""
    aux: int = 0
    flags: int = 0
    epoch: int = 1

    def append_to(self, journal: Journal) -> None:
        payload, aux = self.payload, self.aux
        if self.cl_ord_id:
            payload = b"35=D\x0111=" + self.cl_ord_id.encode() + b"\x01"
            aux = len(b"35=D\x0111=") << 16 | len(self.cl_ord_id)
        journal.append(self.kind, 0, payload, seq=self.seq, aux=aux, flags=self.flags, epoch=self.epoch)


@dataclass
class Story:
    """A run that went well: six orders, two executions each, a takeover in the middle. Tests spoil it."""

    directory: Path
    client: list[dict] = field(default_factory=list)
    ledger: list[dict] = field(default_factory=list)
    log: list[Entry] = field(default_factory=list)
    behind: int = 0  # records that node b does not have

    def __post_init__(self) -> None:
        self.log = [Entry(names.EPOCH), Entry(names.OUT, 1), Entry(names.IN, 1, aux=2)]
        out, received, epoch = 2, 2, 1
        for number in range(ORDERS):
            if number == TAKEOVER_AFTER:
                epoch = 2
                self.log += [Entry(names.EPOCH, epoch=2), Entry(names.OUT, out, epoch=2)]
                out += 1
            name = f"order-{number}"
            self.client.append({"what": "submitted", "cl_ord_id": name, "wall_ns": number})
            self.client.append({"what": "accepted", "cl_ord_id": name, "wall_ns": number, "seq": out})
            self.log.append(Entry(names.OUT, out, name, flags=names.ORDER | names.APPLICATION, epoch=epoch))
            executions = []
            for part in ("new", "fill"):
                exec_id = f"{name}-{part}"
                executions.append({"exec_id": exec_id, "exec_type": "0", "seq": received})
                self.client.append(
                    {"what": "execution", "cl_ord_id": name, "wall_ns": number, "exec_id": exec_id, "seq": received}
                )
                self.log.append(Entry(names.IN, received, aux=received + 1, payload=exec_id.encode(), epoch=epoch))
                received += 1
            self.ledger.append(
                {"cl_ord_id": name, "seq": out, "wall_ns": number, "processed": True, "executions": executions}
            )
            out += 1

    def write(self) -> "Story":
        (self.directory / "client").write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in self.client))
        ledger = Ledger(self.directory / "ledger")
        for entry in self.ledger:
            ledger.write(entry)
        ledger.close()
        with (
            Journal.open(self.directory / "a", node=0, **SHAPE) as a,
            Journal.open(self.directory / "b", node=1, **SHAPE) as b,
        ):
            for entry in self.log:
                entry.append_to(a)
            for record in list(a.records())[: len(self.log) - self.behind]:
                b.append_raw(record.raw)
        return self

    def judge(self) -> AuditResult:
        return audit(
            Evidence(
                read_client_record((self.directory / "client").read_bytes().splitlines()),
                read_broker(self.directory / "ledger"),
                {node: read_journal(self.directory / node) for node in ("a", "b")},
            )
        )

    def told(self, what: str, cl_ord_id: str) -> dict:
        return next(line for line in self.client if (line["what"], line["cl_ord_id"]) == (what, cl_ord_id))

    def order(self, cl_ord_id: str) -> Entry:
        return next(entry for entry in self.log if entry.cl_ord_id == cl_ord_id)


@pytest.fixture
def story(tmp_path: Path) -> Story:
    return Story(tmp_path)


def failed(result: AuditResult) -> dict[str, list[str]]:
    return {finding.name: finding.examples for finding in result.findings if not finding.passed}


def test_good_evidence_passes(story: Story):
    result = story.write().judge()
    assert failed(result) == {}
    assert result.passed
    assert (result.submitted, result.accepted, result.processed) == (ORDERS, ORDERS, ORDERS)
    assert (result.executions_sent, result.executions_received) == (2 * ORDERS, 2 * ORDERS)


def test_a_standby_that_is_behind_is_no_fault(story: Story):
    story.behind = 4
    assert story.write().judge().passed


def test_the_change_of_epoch_is_told_with_the_numbers_around_it(story: Story):
    first, second = story.write().judge().epochs
    assert (first.epoch, first.first_out_after) == (1, 1)
    assert (second.epoch, second.last_out_before, second.first_out_after) == (2, 4, 5)


def test_an_order_that_never_reached_the_broker_is_lost(story: Story):
    spoiled = story.ledger.pop(2)
    gone = {execution["exec_id"] for execution in spoiled["executions"]}
    story.client = [line for line in story.client if line.get("exec_id") not in gone]
    result = story.write().judge()
    assert failed(result) == {"lost": ["order-2"]}
    assert not result.passed


def test_an_order_that_the_client_knows_was_not_sent_is_not_lost(story: Story):
    spoiled = story.ledger.pop(2)
    gone = {execution["exec_id"] for execution in spoiled["executions"]}
    story.client = [line for line in story.client if line.get("exec_id") not in gone]
    story.client.append({"what": "not_sent_again", "cl_ord_id": "order-2", "wall_ns": 9})
    assert story.write().judge().passed


def test_an_order_processed_twice(story: Story):
    story.ledger.append({**story.ledger[4], "seq": 99, "executions": []})
    assert failed(story.write().judge()) == {"processed twice": ["order-4"]}


def test_an_order_that_the_broker_refused_to_process_again_counts_once(story: Story):
    story.ledger.append({**story.ledger[4], "processed": False, "executions": []})
    assert story.write().judge().passed


def test_an_execution_that_the_client_missed(story: Story):
    story.client = [line for line in story.client if line.get("exec_id") != "order-1-fill"]
    assert failed(story.write().judge()) == {"executions missed": ["order-1-fill"]}


def test_an_execution_that_the_client_got_twice(story: Story):
    story.client.append(next(line for line in story.client if line.get("exec_id") == "order-1-fill"))
    assert failed(story.write().judge()) == {"executions doubled": ["order-1-fill"]}


def test_executions_that_came_in_the_wrong_order(story: Story):
    places = [i for i, line in enumerate(story.client) if line["what"] == "execution"]
    first, second = places[2], places[3]
    story.client[first], story.client[second] = story.client[second], story.client[first]
    assert failed(story.write().judge()) == {"executions out of order": ["order-1-new"]}


def test_an_order_without_an_answer(story: Story):
    story.client.remove(story.told("accepted", "order-5"))
    assert failed(story.write().judge()) == {"unanswered": ["order-5"]}


def test_an_order_told_as_rejected_that_the_broker_processed(story: Story):
    story.told("accepted", "order-5")["what"] = "rejected"
    assert failed(story.write().judge()) == {"rejected but processed": ["order-5"]}


def test_an_order_that_nobody_submitted(story: Story):
    story.ledger.append({"cl_ord_id": "ghost", "seq": 9, "wall_ns": 9, "processed": True, "executions": []})
    assert failed(story.write().judge()) == {"unknown to the client": ["ghost"]}


def test_a_gap_in_the_numbers_out(story: Story):
    for entry in story.log:
        if entry.kind == names.OUT and entry.seq > 3:
            entry.seq += 2
    assert failed(story.write().judge()) == {"numbers skipped": ["session 0, MsgSeqNum out 4 to 5"]}


def test_a_gap_in_the_numbers_in(story: Story):
    story.log = [entry for entry in story.log if not (entry.kind == names.IN and entry.seq == 5)]
    assert failed(story.write().judge()) == {"numbers skipped": ["session 0, MsgSeqNum in 5 to 5"]}


def test_numbers_that_were_passed_over_on_record_are_no_gap(story: Story):
    at = next(i for i, entry in enumerate(story.log) if entry.kind == names.EPOCH and entry.epoch == 2)
    story.log.insert(at + 1, Entry(names.STATE, aux=SET_SEQ, payload=struct.pack("<QQ", 1005, 8), epoch=2))
    for entry in story.log[at:]:
        if entry.kind == names.OUT:
            entry.seq += 1000
    assert failed(story.write().judge()) == {}


def test_numbers_that_start_over_after_a_reset_are_no_gap_and_no_repetition(story: Story):
    story.log += [
        Entry(names.STATE, aux=1, flags=names.RESET, epoch=2),
        Entry(names.OUT, 1, epoch=2),
        Entry(names.IN, 1, aux=2, epoch=2),
    ]
    assert failed(story.write().judge()) == {}


def test_a_gap_fill_of_the_counterparty_is_no_gap(story: Story):
    story.log += [Entry(names.IN, 14, aux=20, epoch=2), Entry(names.IN, 20, aux=21, epoch=2)]
    assert failed(story.write().judge()) == {}


def test_a_number_given_to_two_messages(story: Story):
    story.order("order-4").seq = story.order("order-3").seq
    assert failed(story.write().judge())["numbers reused"] == ["session 0, MsgSeqNum 6"]


def test_an_order_that_the_log_numbers_twice(story: Story):
    story.log.append(Entry(names.OUT, 9, "order-0", flags=names.ORDER, epoch=2))
    assert failed(story.write().judge()) == {"orders logged twice": ["order-0"]}


@pytest.mark.parametrize("node", ["a", "b"])
def test_a_byte_changed_on_disk(story: Story, node: str):
    story.write()
    with Journal.open(story.directory / node, read_only=True) as journal:
        _, offset = journal.place_of(7)
    segment = story.directory / node / f"{1:020d}.log"
    content = bytearray(segment.read_bytes())
    content[offset + 50] ^= 1
    segment.write_bytes(content)
    found = failed(story.judge())
    assert "LSN 7 is damaged" in found["journals damaged"][0]
    assert found["journals damaged"][0].startswith(f"node {node}: ")


def test_a_record_that_was_rewritten_with_a_right_checksum(story: Story):
    story.write()
    with Journal.open(story.directory / "b", node=1, **SHAPE) as journal:
        tail = list(journal.records(6))
        journal.truncate(5)
        for record in tail:
            payload = record.payload.replace(b"order-0", b"order-9") if record.lsn == 6 else record.payload
            journal.append(
                record.kind, 0, payload, seq=record.seq, aux=record.aux, flags=record.flags, epoch=record.epoch
            )
    assert "LSN 6 of epoch 1" in failed(story.judge())["journals differ"]


def test_the_number_of_examples_is_bounded_and_the_count_is_not(story: Story):
    story.ledger += [
        {"cl_ord_id": f"ghost-{i}", "seq": 9, "wall_ns": 9, "processed": True, "executions": []} for i in range(20)
    ]
    finding = next(f for f in story.write().judge().findings if f.name == "unknown to the client")
    assert (finding.count, len(finding.examples)) == (20, 5)


def test_the_result_as_json_says_what_failed(story: Story):
    story.ledger.append({**story.ledger[4], "executions": []})
    report = orjson.loads(orjson.dumps(story.write().judge().as_dict()))
    assert report["passed"] is False
    assert [f["name"] for f in report["findings"] if f["count"]] == ["processed twice"]


def test_a_ledger_whose_last_line_was_cut_is_read_up_to_there(story: Story):
    story.write()
    with (story.directory / "ledger").open("ab") as file:
        file.write(b'{"cl_ord_id": "order-6", "proce')
    assert story.judge().passed


def test_what_the_recorder_writes_is_what_the_audit_reads(tmp_path: Path):
    recorder = ClientRecorder(tmp_path / "record")
    for number, name in enumerate(("one", "two", "three", "four")):
        recorder.submitted(name, number)
    recorder.accepted("one", 10, 7)
    recorder.rejected("two", 11, "limit")
    recorder.accepted("three", 12, 8)
    recorder.not_sent_again("three", 13)
    recorder.execution("one", 14, "E1", 2)
    recorder.execution("one", 15, "E2", 3)
    recorder.close()
    evidence = read_client_record((tmp_path / "record").read_bytes().splitlines())
    assert [evidence.orders[name].outcome for name in ("one", "two", "three", "four")] == [
        "accepted",
        "rejected",
        "accepted",
        "none",
    ]
    assert (evidence.orders["one"].accepted_seq, evidence.orders["one"].first_execution_wall_ns) == (7, 14)
    assert evidence.orders["three"].not_sent_again
    assert evidence.exec_ids == ["E1", "E2"]


@given(st.permutations(range(8)))
def test_order_is_judged_as_by_comparing_each_with_all_before(received: list[int]):
    late = [str(x) for i, x in enumerate(received) if any(y > x for y in received[:i])]
    assert out_of_order([str(i) for i in range(8)], [str(x) for x in received]) == late
