"""Data dictionaries in QuickFIX's XML form, compiled into the tables of gateway.native.dictionary.

A dictionary of FIX 4.x is one file; one of FIX 5.0 is two: FIXT11.xml for header, trailer and session messages, and the
application's. What is wrong is a ConfigError that names file and line. Reads files at start-up only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from gateway.errors import ConfigError
from gateway.fix.xmltree import Node, read_tree
from gateway.native.dictionary import Dictionary

MAX_NESTING = 16

STRINGS = (
    "STRING CURRENCY COUNTRY EXCHANGE LANGUAGE XID XIDREF XMLDATA TZTIMEONLY TZTIMESTAMP LOCALMKTTIME "
    "MULTIPLEVALUESTRING MULTIPLESTRINGVALUE MULTIPLECHARVALUE PATTERN TENOR RESERVED100PLUS RESERVED1000PLUS "
    "RESERVED4000PLUS"
)
TYPES: dict[str, str] = {
    **dict.fromkeys(STRINGS.split(), "STRING"),
    **dict.fromkeys(("FLOAT", "PRICE", "PRICEOFFSET", "QTY", "QUANTITY", "AMT", "PERCENTAGE"), "DECIMAL"),
    **dict.fromkeys(("LENGTH", "SEQNUM", "NUMINGROUP", "TAGNUM"), "UINT"),
    **dict.fromkeys(("UTCDATE", "UTCDATEONLY", "LOCALMKTDATE", "DATE"), "DATE"),
    **dict.fromkeys(("UTCTIMESTAMP", "TIME"), "UTC_TIMESTAMP"),
    "CHAR": "CHAR",
    "INT": "INT",
    "BOOLEAN": "BOOLEAN",
    "UTCTIMEONLY": "UTC_TIME",
    "MONTHYEAR": "MONTH_YEAR",
    "DAYOFMONTH": "DAY_OF_MONTH",
    "DATA": "DATA",
}
MULTIPLE = {"MULTIPLEVALUESTRING", "MULTIPLESTRINGVALUE", "MULTIPLECHARVALUE"}
VERSIONS = {
    "FIX.4.0": "FIX40.xml",
    "FIX.4.1": "FIX41.xml",
    "FIX.4.2": "FIX42.xml",
    "FIX.4.3": "FIX43.xml",
    "FIX.4.4": "FIX44.xml",
}
APPLICATION_VERSIONS = {"7": "FIX50.xml", "8": "FIX50SP1.xml", "9": "FIX50SP2.xml"}  # by ApplVerID (1128)
TRANSPORT = "FIXT11.xml"


@dataclass(slots=True)
class FieldType:
    """A field's definition: type name of the native tables, and the values that are listed, if any."""

    tag: int
    type_name: str
    multiple: bool
    values: list[bytes] | None


Member = tuple[int, bool, int | None]


@dataclass(slots=True)
class Tables:
    """What the native dictionary is made of."""

    fields: dict[int, FieldType] = field(default_factory=dict)
    scopes: list[list[Member]] = field(default_factory=list)
    messages: list[tuple[bytes, int]] = field(default_factory=list)

    def compile(self, header: int, trailer: int) -> Dictionary:
        """The native tables."""
        fields = [(f.tag, f.type_name, f.multiple, f.values) for f in self.fields.values()]
        return Dictionary(fields, self.scopes, self.messages, header, trailer)


def load_dictionary(path: Path, transport: Path | None = None) -> Dictionary:
    """The dictionary of one file, or of an application's and the transport's. Raises ConfigError with the line."""
    tables = Tables()
    base = _File(read_tree(transport or path), tables)
    header, trailer = base.scope_of("header"), base.scope_of("trailer")
    base.add_messages()
    if transport is not None:
        _File(read_tree(path), tables).add_messages()
    return tables.compile(header, trailer)


def dictionary_in(directory: Path, begin_string: str, appl_ver_id: str = "9") -> Dictionary:
    """The dictionary of a version among files named as the quickfix package names them (FIX44.xml). Raises
    ConfigError."""
    if begin_string in VERSIONS:
        return load_dictionary(directory / VERSIONS[begin_string])
    if begin_string != "FIXT.1.1" or appl_ver_id not in APPLICATION_VERSIONS:
        known = ", ".join([*VERSIONS, *(f"FIXT.1.1 with {a}" for a in APPLICATION_VERSIONS)])
        raise ConfigError(f"no dictionary for {begin_string} with ApplVerID {appl_ver_id!r}: there are {known}")
    return load_dictionary(directory / APPLICATION_VERSIONS[appl_ver_id], directory / TRANSPORT)


def session_dictionary_in(directory: Path, begin_string: str) -> Dictionary | None:
    """The dictionary that session messages have of their own: FIXT's. None: that of the version has them. Raises
    ConfigError."""
    return load_dictionary(directory / TRANSPORT) if begin_string == "FIXT.1.1" else None


def appl_dictionaries_in(directory: Path) -> dict[str, Dictionary]:
    """By ApplVerID (1128), the dictionaries of messages that name a version of their own: those that are there. Raises
    ConfigError: one of them is wrong."""
    # 2 is FIX.4.0 and so on to 6, FIX.4.4.
    early = {str(i): begin_string for i, begin_string in enumerate(VERSIONS, start=2)}
    late = dict.fromkeys(APPLICATION_VERSIONS, "FIXT.1.1")
    return {
        appl_ver_id: dictionary_in(directory, begin_string, appl_ver_id)
        for appl_ver_id, begin_string in (early | late).items()
        if (directory / (APPLICATION_VERSIONS.get(appl_ver_id) or VERSIONS[begin_string])).exists()
    }


class _File:
    """One XML file, while its definitions go into the tables."""

    def __init__(self, root: Node, tables: Tables) -> None:
        if root.name != "fix":
            raise root.error(f"no data dictionary: <fix> expected, found <{root.name}>")
        self._root = root
        self._tables = tables
        # Before FIX.4.2 a 'CHAR' may be of any length.
        self._char = "STRING" if (root.attributes.get("major"), root.attributes.get("minor")) in _EARLY else "CHAR"
        self._tags = dict(self._read_field(node) for node in _section(root, "fields").all("field"))
        self._components = {node.get("name"): node for node in _optional(root, "components").all("component")}
        self._groups: dict[int, int] = {}

    def add_messages(self) -> None:
        """Every message of the file."""
        known = {msg_type for msg_type, _ in self._tables.messages}
        for node in _section(self._root, "messages").all("message"):
            msg_type = node.get("msgtype").encode("ascii", "replace")
            if not 1 <= len(msg_type) <= 4:
                raise node.error(f"msgtype {msg_type.decode()!r}: 1 to 4 characters")
            if msg_type in known:
                raise node.error(f"message {msg_type.decode()!r} is defined twice")
            known.add(msg_type)
            self._tables.messages.append((msg_type, self._add_scope(node)))

    def scope_of(self, name: str) -> int:
        """Scope of <header> or <trailer>."""
        return self._add_scope(_section(self._root, name))

    def _read_field(self, node: Node) -> tuple[str, int]:
        name, number, kind = node.get("name"), node.get("number"), node.get("type").upper()
        if not (number.isascii() and number.isdigit() and 0 < int(number) <= 9_999_999):
            raise node.error(f"field {name}: number {number!r} is no tag (1 to 9999999)")
        if kind not in TYPES:
            raise node.error(f"field {name}: unknown type {kind!r}; known are {', '.join(sorted(TYPES))}")
        tag = int(number)
        values = [value.get("enum").encode("latin-1") for value in node.all("value")]
        listed = values if values and not _is_yes(node, "allowOtherValues") and tag != _MSG_TYPE else None
        type_name = self._char if kind == "CHAR" else TYPES[kind]
        definition = FieldType(tag, type_name, kind in MULTIPLE, listed)
        earlier = self._tables.fields.setdefault(tag, definition)
        if earlier is not definition and earlier.values is not None and listed is not None:
            earlier.values = sorted({*earlier.values, *listed})  # the transport's and the application's
        return name, tag

    def _add_scope(self, node: Node) -> int:
        members: dict[int, Member] = {}
        for member in self._members(node, True, 0):
            members.setdefault(member[0], member)  # the public FIX43.xml names some fields twice
        self._tables.scopes.append(list(members.values()))
        return len(self._tables.scopes) - 1

    def _members(self, parent: Node, required: bool, depth: int) -> Iterator[Member]:
        """Fields in order, those of components in their place. What an optional component requires is optional."""
        if depth > MAX_NESTING:
            raise parent.error(f"components are nested more than {MAX_NESTING} deep, or contain themselves")
        for node in parent.children:
            here = required and _is_yes(node, "required")
            if node.name == "field":
                yield self._tag_of(node), here, None
            elif node.name == "group":
                yield self._tag_of(node), here, self._group(node)
            elif node.name == "component":
                yield from self._members(self._component(node), here, depth + 1)
            else:
                raise node.error(f"<{node.name}> has no place in <{parent.name}>: field, group or component")

    def _group(self, node: Node) -> int:
        """Scope of a group; one for all places where its component is used."""
        if id(node) not in self._groups:
            self._groups[id(node)] = -1
            scope = self._add_scope(node)
            if not self._tables.scopes[scope]:
                raise node.error(f"group {node.get('name')} is empty")
            self._groups[id(node)] = scope
        if self._groups[id(node)] < 0:
            raise node.error(f"group {node.get('name')} contains itself")
        return self._groups[id(node)]

    def _tag_of(self, node: Node) -> int:
        name = node.get("name")
        if name not in self._tags:
            raise node.error(f"field {name!r} is not defined in <fields>")
        return self._tags[name]

    def _component(self, node: Node) -> Node:
        name = node.get("name")
        if name not in self._components:
            raise node.error(f"component {name!r} is not defined in <components>")
        return self._components[name]


_EARLY = {("4", "0"), ("4", "1")}
_MSG_TYPE = 35  # what is no MsgType is said by the messages


def _section(root: Node, name: str) -> Node:
    node = root.child(name)
    if node is None:
        raise root.error(f"no <{name}>")
    return node


def _optional(root: Node, name: str) -> Node:
    return root.child(name) or Node(root.path, root.line, name, {})


def _is_yes(node: Node, attribute: str) -> bool:
    return node.attributes.get(attribute, "N").lower() in ("y", "true")
