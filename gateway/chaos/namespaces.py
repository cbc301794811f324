"""The hosts of nodes a and b as network namespaces, joined by pairs of veth devices. Needs `ip` and to be root.

There is one wire between the nodes for datagrams, one for the tripwire, and one from each node to the namespace of the
caller, where broker, register and clients are. A wire is cut by taking it down.
"""

from __future__ import annotations

import os
import shutil
import subprocess

from gateway.errors import GatewayError

# RFC 2544 keeps 198.18.0.0/15 for tests of networks. Each wire has a /30 of it, each process four wires.
SUBNET = "198.18"
WIRES = 4
PROCESSES = 63
NODES = ("a", "b")


class Wire:
    """A pair of devices: one end in each of two namespaces; None: the caller's."""

    def __init__(self, name: str, subnet: int, ends: tuple[str | None, str | None]) -> None:
        self._names = [f"{name}-{end}" for end in (1, 2)]
        self._ends = ends
        self.addresses = [f"{SUBNET}.{subnet}.{end}" for end in (1, 2)]
        self._cut = False

    def make(self) -> None:
        """Makes both devices and sets them up."""
        first, second = self._names
        _ip("link", "add", first, "type", "veth", "peer", "name", second)
        for name, end, address in zip(self._names, self._ends, self.addresses, strict=True):
            if end is not None:
                _ip("link", "set", name, "netns", end)
            _ip("address", "add", f"{address}/30", "dev", name, namespace=end)
            _ip("link", "set", name, "up", namespace=end)

    @property
    def cut(self) -> bool:
        """Whether nothing passes."""
        return self._cut

    @cut.setter
    def cut(self, value: bool) -> None:
        if value != self._cut:
            self._cut = value
            _ip("link", "set", self._names[1], "down" if value else "up", namespace=self._ends[1])

    def remove(self) -> None:
        """Takes away both devices, if they are there."""
        _ip("link", "delete", self._names[0], namespace=self._ends[0], check=False)


class Namespaces:
    """`with Namespaces() as hosts:` two namespaces and their wires, gone at the end."""

    def __init__(self) -> None:
        tag = f"gw{os.getpid() % 10**6}"
        base = os.getpid() % PROCESSES * WIRES
        self.names = {node: f"{tag}{node}" for node in NODES}
        a, b = self.names["a"], self.names["b"]
        self.path = Wire(f"{tag}p", base, (a, b))
        self.tripwire = Wire(f"{tag}t", base + 1, (a, b))
        self.hosts = {
            node: Wire(f"{tag}{node}", base + 2 + i, (None, self.names[node])) for i, node in enumerate(NODES)
        }

    @staticmethod
    def obstacle() -> str:
        """Why there can be no namespaces here; empty: there can."""
        if shutil.which("ip") is None:
            return "there is no `ip` here; apt install iproute2"
        if os.geteuid() != 0:
            return "only root can make network namespaces"
        return ""

    def __enter__(self) -> Namespaces:
        try:
            for name in self.names.values():
                _ip("netns", "add", name)
                _ip("link", "set", "lo", "up", namespace=name)
            for wire in self._wires():
                wire.make()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._remove()

    def launcher(self, node: str) -> list[str]:
        """What stands before the command line of a process on a node's host."""
        return ["ip", "netns", "exec", self.names[node]]

    def _wires(self) -> list[Wire]:
        return [self.path, self.tripwire, *self.hosts.values()]

    def _remove(self) -> None:
        for wire in self._wires():
            wire.remove()
        for name in self.names.values():
            _ip("netns", "delete", name, check=False)


def _ip(*arguments: str, namespace: str | None = None, check: bool = True) -> None:
    command = ["ip", *(("-n", namespace) if namespace is not None else ()), *arguments]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if check and run.returncode != 0:
        raise GatewayError(f"{' '.join(command)}: {run.stderr.strip()}; --network loopback works without it")
