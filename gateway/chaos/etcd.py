"""A cluster of real etcd members on the loopback."""

from __future__ import annotations

import shutil
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

from gateway.demo.world import free_ports

START_TIMEOUT_S = 20.0
HAVE_ETCD = shutil.which("etcd") is not None


class EtcdCluster:
    """`with EtcdCluster(directory, members)`: started, and answering."""

    def __init__(self, directory: Path, members: int = 1, *more: str, scheme: str = "http") -> None:
        self._directory = directory
        self._more = more
        ports = free_ports(2 * members)
        self.endpoints = [f"{scheme}://127.0.0.1:{port}" for port in ports[:members]]
        self._peers = [f"http://127.0.0.1:{port}" for port in ports[members:]]
        self._processes: list[subprocess.Popen[bytes] | None] = [None] * members

    def __enter__(self) -> EtcdCluster:
        for number in range(len(self._processes)):
            self.start(number)
        self.until_answering()
        return self

    def __exit__(self, *_: object) -> None:
        for number in range(len(self._processes)):
            self.kill(number)

    def start(self, number: int) -> None:
        """Starts a member."""
        name = f"m{number}"
        cluster = ",".join(f"m{i}={peer}" for i, peer in enumerate(self._peers))
        self._directory.mkdir(exist_ok=True)
        with (self._directory / f"{name}.log").open("ab") as log:
            self._processes[number] = subprocess.Popen(
                [
                    "etcd", "--name", name, "--data-dir", str(self._directory / name),
                    "--listen-client-urls", self.endpoints[number], "--advertise-client-urls", self.endpoints[number],
                    "--listen-peer-urls", self._peers[number], "--initial-advertise-peer-urls", self._peers[number],
                    "--initial-cluster", cluster, "--heartbeat-interval", "20", "--election-timeout", "200",
                    *self._more,
                ],
                stdout=log,
                stderr=log,
            )  # fmt: skip

    def kill(self, number: int) -> None:
        """SIGKILL to a member, if it runs."""
        process = self._processes[number]
        if process is not None:
            process.kill()
            process.wait()
            self._processes[number] = None

    def until_answering(self) -> None:
        """Waits until the first member that runs has a leader."""
        endpoint = next(e for e, p in zip(self.endpoints, self._processes, strict=True) if p is not None)
        if endpoint.startswith("https"):
            return
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(f"{endpoint}/health", timeout=1) as answer:
                    if b'"true"' in answer.read():
                        return
            except (urllib.error.URLError, OSError):
                pass
            time.sleep(0.02)
        raise TimeoutError(f"etcd does not answer; logs are in {self._directory}")
