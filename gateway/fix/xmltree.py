"""XML as a small tree that remembers lines, for errors that name the place. Knows nothing of FIX."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from xml.parsers import expat

from gateway.errors import ConfigError


@dataclass(slots=True)
class Node:
    """One element."""

    path: Path
    line: int
    name: str
    attributes: dict[str, str]
    children: list[Node] = field(default_factory=list)

    def child(self, name: str) -> Node | None:
        """The first child of that name."""
        return next(self.all(name), None)

    def all(self, name: str) -> Iterator[Node]:
        """Children of that name."""
        return (node for node in self.children if node.name == name)

    def get(self, attribute: str) -> str:
        """An attribute that must be there. Raises ConfigError."""
        value = self.attributes.get(attribute, "")
        if not value:
            raise self.error(f"<{self.name}> without {attribute!r}")
        return value

    def error(self, text: str) -> ConfigError:
        """An error at this element's place."""
        return ConfigError(f"{self.path}:{self.line}: {text}")


def read_tree(path: Path) -> Node:
    """The root element of a file. Raises ConfigError: cannot be read, or no XML."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    parser = expat.ParserCreate()
    root = Node(path, 0, "", {})
    open_nodes = [root]

    def start(name: str, attributes: dict[str, str]) -> None:
        node = Node(path, parser.CurrentLineNumber, name, attributes)
        open_nodes[-1].children.append(node)
        open_nodes.append(node)

    def end(_name: str) -> None:
        open_nodes.pop()

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.EntityDeclHandler = _refuse_entity
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise ConfigError(f"{path}:{error.lineno}: no XML: {expat.ErrorString(error.code)}") from None
    return root.children[0]


def _refuse_entity(name: str, *_: object) -> None:
    raise ConfigError(f"a dictionary defines no entities, found {name!r}")
