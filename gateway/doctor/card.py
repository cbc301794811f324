"""Checks of the network cards (ethtool). Pure over a Host and its probes."""

from __future__ import annotations

from collections.abc import Callable

from gateway.doctor.aim import Aim
from gateway.doctor.finding import Check, Status, Verdict, unknown
from gateway.doctor.host import Host, UnreadableError
from gateway.doctor.interfaces import interfaces_of

AREA = "network card"
MAX_RX_USECS = 8
MIN_RX_RING = 512
WORSE = (Status.OK, Status.UNKNOWN, Status.WARN, Status.BAD)


def _each(judge: Callable[[Host, str], tuple[Status, str, str]]) -> Callable[[Host, Aim], Verdict]:
    """A check of one card as a check of all that are used: the worst of them, with what was found on each."""

    def all_of_them(host: Host, aim: Aim) -> Verdict:
        cards = interfaces_of(host, aim)
        if not cards:
            return unknown("nothing goes over a network card" if aim.configured else "there is no default route")
        seen = []
        for card in cards:
            try:
                seen.append(judge(host, card))
            except UnreadableError as error:
                seen.append((Status.UNKNOWN, str(error), ""))
        worst = max((status for status, _, _ in seen), key=WORSE.index)
        return Verdict(worst, "; ".join(text for _, text, _ in seen), "; ".join(fix for _, _, fix in seen if fix))

    return all_of_them


def _stamps(host: Host, card: str) -> tuple[Status, str, str]:
    if host.probes.hardware_stamps(card):
        return Status.OK, f"{card}: yes", ""
    return Status.WARN, f"{card}: no", "use a card with IEEE 1588 time stamps (ethtool -T shows them)"


def _coalescing(host: Host, card: str) -> tuple[Status, str, str]:
    found = host.probes.coalescing(card)
    text = f"{card}: rx {found.rx_usecs} us, tx {found.tx_usecs} us" + (", adaptive" if found.adaptive else "")
    if found.adaptive or found.rx_usecs > MAX_RX_USECS:
        return Status.WARN, text, f"ethtool -C {card} adaptive-rx off adaptive-tx off rx-usecs 0 rx-frames 1"
    return Status.OK, text, ""


def _rings(host: Host, card: str) -> tuple[Status, str, str]:
    found = host.probes.rings(card)
    text = f"{card}: rx {found.rx} of {found.rx_max}, tx {found.tx} of {found.tx_max}"
    enough = min(MIN_RX_RING, found.rx_max)
    if found.rx < enough:
        return Status.WARN, text, f"ethtool -G {card} rx {enough}"
    return Status.OK, text, ""


def _link(host: Host, card: str) -> tuple[Status, str, str]:
    state = host.text(f"sys/class/net/{card}/operstate")
    if state == "up":
        return Status.OK, f"{card}: up", ""
    if state == "unknown":  # virtual devices
        return Status.UNKNOWN, f"{card}: does not tell", ""
    return Status.BAD, f"{card}: {state}", f"ip link set {card} up"


CHECKS = (
    Check(
        AREA,
        "link",
        "up",
        "nothing goes out otherwise",
        _each(_link),
    ),
    Check(
        AREA,
        "hardware time stamps",
        "of sending and receiving",
        "PTP keeps the clock to less than a microsecond with them, and latency is measured on the wire",
        _each(_stamps),
    ),
    Check(
        AREA,
        "interrupt coalescing",
        f"not adaptive, rx at most {MAX_RX_USECS} us",
        "the card waits for so long for more before it tells of a message",
        _each(_coalescing),
    ),
    Check(
        AREA,
        "rings",
        f"rx at least {MIN_RX_RING}, or all there are",
        "a burst that does not fit is lost before the kernel sees it",
        _each(_rings),
    ),
)
