"""The gateway's own dictionary: session messages and order flow of every version, for sessions that are given no file.

It knows what these messages have in common over the versions, and so takes what it does not know: only the formats of
known fields, listed values, required fields, groups and the order of header, body and trailer are checked (CHECKS).
"""

from __future__ import annotations

from gateway.fix.dictionary import FieldType, Member, Tables
from gateway.native.dictionary import CHECKS as NATIVE
from gateway.native.dictionary import Dictionary

CHECKS = sum(NATIVE[name] for name in ("formats", "values", "order", "required", "group_order"))

# Type: tags; a value list behind a tag where the list is the same in every version.
FIELDS = """
STRING 1 8 10 11 15 17 19 30 35 37 41 48 49 50 55 56 57 58 65 66 76 79 100 107 109 112 115 116 128 129 142 143 144 145
STRING 148 167 198 207 278 336 337 340 347 371 372 375 379 448 467 523 526 527 528 529 548 553 554 583 584 628 711 925
STRING 1128 1129 1137 1156 22 18 277 461
CHAR 20=0,1,2,3 39 40 54 59 63 77 150 434=1,2 447 481 530 531
INT 98=0,1,2,3,4,5,6 102 103 108 373 380 452 532 585 803 828 853 911 1409
UINT 7 9 16 34 36 45 78 90 93 95 136 212 345 348 350 352 354 369 382 383 384 386 453 518 539 627 630 789 802
DECIMAL 6 12 14 31 32 38 44 80 99 110 111 118 119 137 151 152 153 154 155 194 211 231 381 516 669
BOOLEAN 43 97 113 114 121 123 141 208 325 377 464 912
UTC_TIMESTAMP 42 52 60 122 126 168 370 629
DATE 64 75 193
MONTH_YEAR 200
DAY_OF_MONTH 205
DATA 89 91 96 213 349 351 353 355
"""

# name: members; ! required, a group's name behind the tag that counts it.
GROUPS = """
hops: 628 629 630
msg_types: 372 385
parties: 448 447 452 802/party_subs
party_subs: 523 803
allocs: 79 467 366 80
contra: 375 337 437 438 655
fees: 137 138 139 891
sessions: 336 625
"""

HEADER = (
    "8! 9! 35! 49! 56! 115 128 90 91 34! 50 142 57 143 116 144 129 145 43 97 52! 122 212 213 347 369 370 627/hops "
    "1128 1129 1156"
)
TRAILER = "93 89 10!"
INSTRUMENT = "55 65 48 22 167 200 205 201 202 206 207 106 107 348 349 350 351 461 541 460"
ORDER = "1 660 581 63 64 21 18 110 111 100 386/sessions 81 114 38 152 516 44 99 423 15 376 23 117 59 168 432 126 12 13"

MESSAGES = f"""
0: 112
1: 112!
2: 7! 16!
3: 45! 371 372 373 58 354 355
4: 123 36!
5: 58 354 355
A: 98! 108! 95 96 141 789 383 384/msg_types 464 553 554 925 1137 1409 58 354 355
D: 11! 526 583 453/parties 78/allocs 54! {INSTRUMENT} 60 {ORDER} 40! 47 121 120 58 354 355 77 203 210 211 388 389
F: 41! 11! 37 526 583 1 660 453/parties 54! {INSTRUMENT} 60 38 152 516 125 58 354 355 76 109
G: 41! 11! 37 526 583 453/parties 78/allocs 54! {INSTRUMENT} 60 {ORDER} 40! 47 121 120 58 354 355 77 210 211 388 389
H: 37 11! 526 583 453/parties 109 1 54 {INSTRUMENT} 790
8: 37! 198 526 527 11 583 41 453/parties 109 76 382/contra 66 17 19 20 150 39 103 378 1 660 63 64 {INSTRUMENT} 54! 38 \
152 516 40 44 99 15 376 59 168 432 126 18 47 32 31 30 29 194 195 14 151 6 424 425 426 75 60 381 118 119 12 13 110 111 \
58 354 355 136/fees 797 584 911 912 77 210 21 113 571 880 1057 851
9: 37! 198 526 11! 41! 39! 583 1 660 60 434 102 58 354 355
j: 45 372! 379 380! 58 354 355
q: 11! 526 530! 336 {INSTRUMENT} 54 60 58 354 355
r: 11 526 37! 530! 531! 532 533 534 336 {INSTRUMENT} 54 60 58 354 355
AF: 584! 585! 453/parties 1 660 336 {INSTRUMENT} 54
"""


def builtin_dictionary() -> Dictionary:
    """The tables. Use them with CHECKS."""
    tables = Tables(fields=_fields())
    groups: dict[str, int] = {}
    for name, members in _lines(GROUPS, reverse=True):  # a group stands in front of those inside it
        groups[name] = len(tables.scopes)
        tables.scopes.append(_members(members, groups))
    for name, members in _lines(MESSAGES):
        tables.messages.append((name.encode(), len(tables.scopes)))
        tables.scopes.append(_members(members, groups))
    tables.scopes += [_members(HEADER, groups), _members(TRAILER, groups)]
    return tables.compile(len(tables.scopes) - 2, len(tables.scopes) - 1)


def _fields() -> dict[int, FieldType]:
    fields: dict[int, FieldType] = {}
    for line in FIELDS.strip().splitlines():
        type_name, *entries = line.split()
        for entry in entries:
            number, _, listed = entry.partition("=")
            values = [value.encode() for value in listed.split(",")] if listed else None
            fields[int(number)] = FieldType(int(number), type_name, False, values)
    members = f"{HEADER} {TRAILER} {GROUPS} {MESSAGES}"
    for word in members.split():
        number = word.partition("/")[0].rstrip("!")
        if number.isdigit():
            fields.setdefault(int(number), FieldType(int(number), "STRING", False, None))
    return fields


def _lines(text: str, *, reverse: bool = False) -> list[tuple[str, str]]:
    lines = [line.partition(": ") for line in text.strip().splitlines()]
    return [(name, members) for name, _, members in (reversed(lines) if reverse else lines)]


def _members(words: str, groups: dict[str, int]) -> list[Member]:
    members: list[Member] = []
    for word in words.split():
        number, _, group = word.partition("/")
        members.append((int(number.rstrip("!")), number.endswith("!"), groups[group] if group else None))
    return members
