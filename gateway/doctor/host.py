"""The host as its files tell it: /proc, /sys and /dev below a root that tests choose. Reads only, and raises
nothing but UnreadableError, whose text says which file and why.
"""

from __future__ import annotations

from pathlib import Path

from gateway.doctor.probes import Probes, UnreadableError

__all__ = ["Host", "UnreadableError", "core_list", "shown"]

MAX_FILE_BYTES = 1 << 20
MAX_CORES = 1 << 16
ONLINE = "sys/devices/system/cpu/online"


class Host:
    """A reader of one host. `process`: whose limits and cores count, "self" or a process id."""

    def __init__(self, root: Path = Path("/"), process: str = "self", probes: Probes | None = None) -> None:
        self._root = root
        self.process = process
        self.probes = probes if probes is not None else Probes()

    def raw(self, path: str) -> bytes:
        """A file's content; at most 1 MiB of it."""
        try:
            with (self._root / path).open("rb") as file:
                return file.read(MAX_FILE_BYTES)
        except FileNotFoundError:
            raise UnreadableError(f"there is no /{path} here") from None
        except OSError as error:
            raise UnreadableError(f"/{path}: {error.strerror}") from None

    def text(self, path: str) -> str:
        """A file's content without white space around it."""
        return self.raw(path).decode(errors="replace").strip()

    def number(self, path: str) -> int:
        """The whole number that is all of a file."""
        text = self.text(path)
        try:
            return int(text)
        except ValueError:
            raise UnreadableError(f"/{path}: not a number: {shown(text)}") from None

    def cores(self, path: str) -> frozenset[int]:
        """The list of cores in a file, such as 0-3,8."""
        try:
            return core_list(self.text(path))
        except ValueError as error:
            raise UnreadableError(f"/{path}: {error}") from None

    def names(self, path: str) -> list[str]:
        """Entries of a directory, sorted."""
        try:
            return sorted(entry.name for entry in (self._root / path).iterdir())
        except FileNotFoundError:
            raise UnreadableError(f"there is no /{path} here") from None
        except OSError as error:
            raise UnreadableError(f"/{path}: {error.strerror}") from None

    def exists(self, path: str) -> bool:
        """Whether there is such a file or directory."""
        try:
            return (self._root / path).exists()
        except OSError:
            return False

    def is_directory(self, path: str) -> bool:
        """Whether there is such a directory."""
        return (self._root / path).is_dir()

    def kernel_options(self) -> dict[str, str]:
        """The kernel's command line; of an option that is given twice, the last."""
        words = self.text("proc/cmdline").split()
        return {key: value for key, _, value in (word.partition("=") for word in words)}

    def running(self) -> frozenset[str]:
        """Names of the processes that run, as far as they are visible from here."""
        found = set()
        for entry in self.names("proc"):
            if entry.isdecimal():
                try:
                    found.add(self.text(f"proc/{entry}/comm"))
                except UnreadableError:
                    continue  # it has ended in between
        return frozenset(found)

    def labelled(self, path: str, label: str) -> str:
        """What stands behind `label:` in a file of such lines."""
        for line in self.text(path).splitlines():
            key, colon, value = line.partition(":")
            if colon and key.strip() == label:
                return value.strip()
        raise UnreadableError(f"/{path} has no {label}")

    def limit(self, name: str) -> int | None:
        """A soft limit of the process, such as "Max open files"; None: unlimited."""
        path = f"proc/{self.process}/limits"
        for line in self.text(path).splitlines():
            if line.startswith(name):
                soft = (line[len(name) :].split() or [""])[0]
                if soft == "unlimited":
                    return None
                if soft.isdecimal():
                    return int(soft)
        raise UnreadableError(f"/{path} has no {name}")

    @property
    def whose(self) -> str:
        """Whose limits and cores are read, for people."""
        return "of this shell" if self.process == "self" else f"of process {self.process}"

    @property
    def is_virtual(self) -> bool:
        """Whether it is a virtual machine, as the processor tells it."""
        try:
            return "hypervisor" in self.labelled("proc/cpuinfo", "flags").split()
        except UnreadableError:
            return False


def core_list(text: str) -> frozenset[int]:
    """`0-3,8` as numbers; of nothing, or of the kernel's "(null)", none. Raises ValueError."""
    cores: set[int] = set()
    if text in ("", "(null)"):
        return frozenset()
    for part in text.split(","):
        first, dash, last = part.partition("-")
        ends = (first, last if dash else first)
        if not all(end.isascii() and end.isdecimal() and int(end) < MAX_CORES for end in ends):
            raise ValueError(f"not a list of cores: {shown(text)}")
        cores.update(range(int(ends[0]), int(ends[1]) + 1))
    return frozenset(cores)


def shown(text: str, limit: int = 40) -> str:
    """The beginning of a text that was not expected."""
    return repr(text[:limit])
