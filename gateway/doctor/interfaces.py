"""Which network cards the gateway's traffic goes over. Pure over a Host and its probes."""

from __future__ import annotations

from gateway.doctor.aim import Aim
from gateway.doctor.host import Host, UnreadableError

LOOPBACK = "lo"
DEFAULT_ROUTE = "00000000"


def interfaces_of(host: Host, aim: Aim) -> list[str]:
    """Names of the cards, loopback left out; without a configuration, that of the default route. Raises
    UnreadableError: no way begins here."""
    found = list(aim.interfaces)
    refused = []
    ways = [(path.peer, path.own.host) for path in aim.paths] + [(peer, None) for peer in aim.counterparties]
    for peer, own in ways:
        try:
            found.append(host.probes.interface_towards(peer, own))
        except UnreadableError as error:
            refused.append(str(error))
    if not ways:
        found += _of_default_route(host)
    if not found and refused:
        raise UnreadableError(refused[0])
    return [name for name in dict.fromkeys(found) if name != LOOPBACK]


def _of_default_route(host: Host) -> list[str]:
    rows = [line.split() for line in host.text("proc/net/route").splitlines()[1:]]
    return [row[0] for row in rows if len(row) > 1 and row[1] == DEFAULT_ROUTE]
