"""`gateway broker-sim --mode echo` as a conformance suite meets it: raw messages over TCP, every version."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.broker.echo_config import load_echo_config
from gateway.errors import ConfigError
from gateway.native.encoder import utc_timestamp
from gateway.native.parser import parse

PUBLIC = Path(sys.prefix) / "share" / "quickfix"
CONFIG = Path(__file__).parents[2] / "configs" / "conformance.toml"
SESSIONS = {
    "TW40": "FIX.4.0",
    "TW41": "FIX.4.1",
    "TW42": "FIX.4.2",
    "TW43": "FIX.4.3",
    "TW44": "FIX.4.4",
    "TW50": "FIXT.1.1",
    "TW50SP1": "FIXT.1.1",
    "TW50SP2": "FIXT.1.1",
}
APPL_VER_IDS = {"TW50": "7", "TW50SP1": "8", "TW50SP2": "9"}
WAIT_S = 5.0
QUIET_S = 0.3
each_session = pytest.mark.parametrize("name", SESSIONS)
pytestmark = pytest.mark.skipif(not PUBLIC.is_dir(), reason="the quickfix package's dictionaries are not installed")


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    command = [sys.executable, "-m", "gateway", "broker-sim", "--mode", "echo", "--config", str(CONFIG)]
    process = subprocess.Popen(
        [*command, "--dictionaries", str(PUBLIC), "--port", "0"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("listening on "):
            yield int(line.rpartition(":")[2])
            break
    process.terminate()
    process.communicate(timeout=10)
    assert process.returncode == 0


class Wire:
    """One raw connection."""

    def __init__(self, port: int, name: str, begin_string: str | None = None) -> None:
        self.name = name
        self.begin_string = begin_string or SESSIONS.get(name, "FIX.4.4")
        self.seq = 0
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=WAIT_S)
        self._unread = b""

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def message(self, msg_type: str, body: str = "", seq: int | None = None, header: str = "", at: float = 0) -> bytes:
        """`body` and `header` with | behind each field; `at`: seconds that SendingTime is off."""
        if seq is None:
            self.seq += 1
            seq = self.seq
        stamp = utc_timestamp(time.time_ns() + int(at * 10**9), 0).decode()
        text = f"35={msg_type}|34={seq}|49={self.name}|52={stamp}|56=ISLD|{header}{body}".replace("|", "\x01").encode()
        head = b"8=%s\x019=%d\x01" % (self.begin_string.encode(), len(text))
        return head + text + b"10=%03d\x01" % (sum(head + text) % 256)

    def say(self, msg_type: str, body: str = "", seq: int | None = None, header: str = "", at: float = 0) -> None:
        self.socket.sendall(self.message(msg_type, body, seq, header, at))

    def hear(self) -> dict[int, str] | None:
        """The next message; None when the other side hangs up."""
        while True:
            found = parse(self._unread)
            if found.status == "OK":
                self._unread = self._unread[found.consumed :]
                self.raw = [(tag, value.decode("latin-1")) for tag, value in found.fields]
                return dict(reversed(self.raw))
            data = self.socket.recv(65536)
            if not data:
                return None
            self._unread += data

    def hears_nothing(self) -> bool:
        self.socket.settimeout(QUIET_S)
        try:
            return not self.socket.recv(1, socket.MSG_PEEK)
        except TimeoutError:
            return True
        finally:
            self.socket.settimeout(WAIT_S)

    def log_on(self, heartbeat: int = 30) -> Wire:
        appl = f"1137={APPL_VER_IDS[self.name]}|" if self.name in APPL_VER_IDS else ""
        self.say("A", f"98=0|108={heartbeat}|{appl}")
        answer = self.hear()
        assert answer is not None
        assert (answer[35], answer[34], answer[49], answer[56]) == ("A", "1", "ISLD", self.name)
        assert answer.get(1137, "") == APPL_VER_IDS.get(self.name, "")
        return self

    def order(self, cl_ord_id: str = "id") -> str:
        """A NewOrderSingle that is valid in this version."""
        early = self.begin_string in ("FIX.4.0", "FIX.4.1")
        when = "" if early else f"60={utc_timestamp(time.time_ns(), 0).decode()}|"
        handling = "" if self.begin_string == "FIXT.1.1" else "21=3|"
        return f"11={cl_ord_id}|{handling}38=100|40=1|54=1|55=INTC|{when}"

    def log_out(self) -> None:
        self.say("5")
        answer = self.hear()
        assert answer is not None
        assert answer[35] == "5"
        assert self.hear() is None


@each_session
def test_an_order_comes_back_with_its_fields_in_order(port, name):
    with Wire(port, name).log_on() as wire:
        order = wire.order()
        wire.say("D", order)
        assert wire.hear()[34] == "2"
        names = [f"{tag}={value}" for tag, value in wire.raw]
        assert "|".join(names[names.index("11=id") : -1]) + "|" == order
        wire.log_out()


@each_session
def test_what_another_message_type_is_told(port, name):
    with Wire(port, name).log_on() as wire:
        news = "148=a|33=1|58=b|" if name != "TW40" else "33=1|58=b|"
        wire.say("B", news)
        answer = wire.hear()
        if name in ("TW40", "TW41"):
            assert (answer[35], answer[45], answer[58]) == ("3", "2", "Unsupported message type")
        else:
            assert (answer[35], answer[45], answer[372], answer[380]) == ("j", "2", "B", "3")
            assert answer[58] == "Unsupported Message Type"


@each_session
def test_an_order_that_may_have_been_seen_is_ignored_only_if_it_was(port, name):
    """Test case 19."""
    for _ in range(2):
        with Wire(port, name).log_on() as wire:
            order = wire.order("once")
            wire.say("D", order, header="97=Y|")
            assert wire.hear()[11] == "once"
            wire.say("D", order, header="97=Y|")
            wire.say("1", "112=x|")
            assert wire.hear()[35] == "0"
            wire.log_out()


@each_session
def test_a_logon_with_a_number_too_high_is_answered_and_the_gap_asked_for(port, name):
    """Test case 1.a."""
    with Wire(port, name) as wire:
        wire.seq = 4
        wire.log_on()
        request = wire.hear()
        assert (request[35], request[34], request[7]) == ("2", "2", "1")
        assert request[16] == ("999999" if name in ("TW40", "TW41") else "0")


@each_session
def test_logons_that_get_no_answer(port, name):
    """Test cases 1.c, 1.d and 1.e, and a second connection for a session that has one (1.b)."""
    appl = f"1137={APPL_VER_IDS[name]}|" if name in APPL_VER_IDS else ""
    logon = f"98=0|108=30|{appl}"
    for message in (
        Wire(port, "NOBODY", SESSIONS[name]).message("A", logon),
        Wire(port, name, "FIX.9.9").message("A", logon),
        Wire(port, name).message("A", logon, at=-121),
        Wire(port, name).message("A", logon).replace(b"56=ISLD", b"56=DLSI"),
        Wire(port, name).message("D", Wire(port, name).order()),
        Wire(port, name).message("0"),
    ):
        with Wire(port, name) as wire:
            wire.socket.sendall(message)
            assert wire.hear() is None
    with Wire(port, name).log_on() as first, Wire(port, name) as second:
        second.say("A", logon)
        assert second.hear() is None
        first.log_out()


@pytest.mark.parametrize("name", ["TW50", "TW50SP1", "TW50SP2"])
def test_a_fixt_logon_without_application_version_gets_no_answer(port, name):
    with Wire(port, name) as wire:
        wire.say("A", "98=0|108=30|")
        assert wire.hear() is None


@each_session
def test_garbled_messages_are_ignored_and_asked_for_when_the_next_comes(port, name):
    """Test cases 2.d, 2.m, 2.t and 3."""
    with Wire(port, name).log_on() as wire:
        order = wire.message("D", wire.order("a"))
        length = order.split(b"\x01")[1]
        wrong = [
            order[:-4] + b"%03d\x01" % ((int(order[-4:-1]) + 1) % 256),
            order.replace(length, b"9=30"),
            order.replace(b"35=D\x0134=2\x01", b"34=2\x0135=D\x01"),
            order[order.index(b"35=") :],
            order[:-7] + b"10=0\x01",
        ]
        for message in wrong:
            wire.socket.sendall(message)
        assert wire.hears_nothing()
        wire.say("0")
        request = wire.hear()
        assert (request[35], request[7]) == ("2", "2")
        wire.say("D", wire.order("a"), seq=2, header=f"43=Y|122={utc_timestamp(time.time_ns(), 0).decode()}|")
        assert wire.hear()[11] == "a"
        wire.log_out()


@each_session
def test_a_wrong_counterparty_version_or_clock_in_mid_session_ends_it(port, name):
    """Test cases 2.i, 2.k and 2.o."""
    for change in ("version", "sender", "target", "clock"):
        with Wire(port, name).log_on() as wire:
            message = wire.message("0", at=121 if change == "clock" else 0)
            if change == "version":
                wrong = Wire(port, name, "FIX.4.9")
                wrong.seq = 1
                message = wrong.message("0")
            elif change == "sender":
                wrong = Wire(port, "WT", wire.begin_string)
                wrong.seq = 1
                message = wrong.message("0")
            elif change == "target":
                message = message.replace(b"56=ISLD", b"56=DLSI")
                message = message[:-7] + b"10=%03d\x01" % (sum(message[:-7]) % 256)
            wire.socket.sendall(message)
            if change != "version":
                reject = wire.hear()
                text = "SendingTime accuracy problem" if change == "clock" else "CompID problem"
                assert (reject[35], reject[45], reject[58]) == ("3", "2", text)
            logout = wire.hear()
            assert logout[35] == "5"
            if change == "version":
                assert logout[58] == "Incorrect BeginString"
            assert wire.hear() is None


@each_session
def test_the_reasons_of_validation(port, name):
    """Test case 14."""
    with Wire(port, name).log_on() as wire:
        order = wire.order()
        first = [
            ("0", "999=HI|", "", 999, 0),
            ("0", "-1=HI|", "", -1, 0),
            ("0", "0=HI|", "", 0, 0),
            ("0", "5000=HI|", "", 5000, 0),
            ("D", order.replace("54=1|", ""), "", 54, 1),
            ("0", "58=x|", "", 58, 2),
            ("D", order + "58=|", "", 58, 4),
            ("D", order.replace("40=1|", "40=z|"), "", 40, 5),
            ("D", order + "44=+1|", "", 44, 6),
            ("*", "", "", None, 11),
            ("D", order + "40=2|", "", 40, 13),
        ]
        for msg_type, body, header, tag, reason in first:
            wire.say(msg_type, body, header=header)
            answer = wire.hear()
            assert (answer[35], answer[45]) == ("3", str(wire.seq)), (body, answer)
            if name in ("TW40", "TW41"):
                assert answer[58].endswith(f"({tag})" if tag is not None else "MsgType"), (body, answer)
                continue
            assert (answer.get(371), answer[372]) == (None if tag is None else str(tag), msg_type)
            assert answer.get(373) == (None if name == "TW42" and reason > 11 else str(reason))
        wire.log_out()


def test_a_session_may_do_without_a_check(port):
    with Wire(port, "NO_CHECK_FIELDS_HAVE_VALUES").log_on() as wire:
        wire.say("D", wire.order() + "58=|")
        assert wire.hear()[58] == ""
        wire.log_out()


def test_numbers_start_over_in_mid_session(port):
    with Wire(port, "TW").log_on() as wire:
        wire.say("1", "112=a|")
        assert wire.hear()[34] == "2"
        wire.seq = 0
        wire.say("A", "98=0|108=30|141=Y|")
        answer = wire.hear()
        assert (answer[35], answer[34], answer[141]) == ("A", "1", "Y")
        wire.say("1", "112=b|")
        assert wire.hear()[34] == "2"
        wire.log_out()


def test_silence_is_broken_by_heartbeats_and_a_test_request_and_then_the_line_is_cut(port):
    """Test cases 4.a, 5 and 6."""
    with Wire(port, "TW44").log_on(heartbeat=1) as wire:
        heard = []
        while (message := wire.hear()) is not None:
            heard.append(message[35])
        assert heard[0] == "0"
        assert heard.count("1") == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "sender_comp_id: missing"),
        ("sender_comp_id = 'A'\n[[session]]\ntarget_comp_id = 'B'\nbegin_string = 'FIX.5.0'", "begin_string"),
        (
            "sender_comp_id = 'A'\n[[session]]\ntarget_comp_id = 'B'\nbegin_string = 'FIX.4.4'\ncheck = 1",
            "check: unknown",
        ),
        ("sender_comp_id =", "not TOML"),
        ("sender_comp_id = 'A'\n" + 2 * "[[session]]\ntarget_comp_id = 'B'\nbegin_string = 'FIX.4.4'\n", "twice"),
    ],
)
def test_what_is_wrong_in_the_file_of_sessions_is_named(tmp_path, text, said):
    (tmp_path / "echo.toml").write_text(text)
    with pytest.raises(ConfigError) as error:
        load_echo_config(tmp_path / "echo.toml")
    assert said in str(error.value)
    assert "echo.toml" in str(error.value)
