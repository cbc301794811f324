"""A data dictionary as flat tables, and the validation of a message against it.

One pass over the fields of a message; per field one look at what the tag is and one at its place in the message, group,
header or trailer. May depend on: parser, version (reasons). Never allocates while it validates.
"""

import time

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memchr, memcmp, memcpy, memset

from .parser cimport (MAX_MESSAGE_BYTES, PARSE_OK, field_t, field_uint, field_utc_timestamp, find_field, message_t,
                      parse_message)
from .version cimport (REASON_BAD_FORMAT, REASON_GROUP_COUNT, REASON_GROUP_OUT_OF_ORDER, REASON_INVALID_MSG_TYPE,
                       REASON_INVALID_TAG, REASON_REQUIRED_TAG_MISSING, REASON_TAG_NOT_DEFINED_FOR_TYPE,
                       REASON_TAG_OUT_OF_ORDER, REASON_TAG_REPEATED, REASON_TAG_WITHOUT_VALUE, REASON_VALUE_INCORRECT)

cdef enum:
    VALID = -1
    WORDS = MAX_SCOPE_FIELDS // 64
    MAX_GROUP_DEPTH = 8
    FRAME_FIELDS = 3             # 8, 9 and 35 have been seen to by the parser
    MAX_TAG = 9999999

cdef uint32_t MULTIPLIER = 2654435761


# Of one validation.
cdef struct walk_t:
    const dictionary_t* d
    const message_t* m
    uint32_t checks
    uint32_t end                 # index behind the last field to look at: CheckSum (10) is the parser's
    uint32_t tag                 # out


# The members of a scope that have come.
cdef struct seen_t:
    const scope_t* scope
    uint64_t bits[WORDS]


cdef int dictionary_validate(const dictionary_t* d, const message_t* m, uint32_t checks, uint32_t* tag) noexcept nogil:
    cdef walk_t w
    cdef uint16_t scope = scope_of_message(d, m)
    cdef int reason
    tag[0] = 0
    if scope == NO_SCOPE:
        return REASON_INVALID_MSG_TYPE if checks & CHECK_UNKNOWN_MESSAGES else VALID
    w.d = d
    w.m = m
    w.checks = checks
    w.end = m.field_count - 1
    w.tag = 0
    reason = walk_message(&w, &d.scopes[scope])
    if reason != VALID and reason != REASON_TAG_OUT_OF_ORDER:
        reason = weightiest(&w, &d.scopes[scope], reason)
    tag[0] = w.tag
    return reason


cdef bint dictionary_knows(const dictionary_t* d, const message_t* m) noexcept nogil:
    return scope_of_message(d, m) != NO_SCOPE


# --- the walk -------------------------------------------------------------------------------------------------------

cdef int walk_message(walk_t* w, const scope_t* scope) noexcept nogil:
    cdef const dictionary_t* d = w.d
    cdef seen_t header
    cdef seen_t body
    cdef seen_t trailer
    cdef seen_t* here
    cdef const field_info_t* info
    cdef const field_t* field
    cdef uint32_t i = FRAME_FIELDS
    cdef uint32_t section = 0              # of the last field: 0 header, 1 body, 2 trailer
    cdef uint32_t of_field
    cdef int reason
    start_scope(&header, &d.scopes[d.header])
    start_scope(&body, scope)
    start_scope(&trailer, &d.scopes[d.trailer])
    while i < w.end:
        field = &w.m.fields[i]
        w.tag = field.tag
        info = info_of(d, field.tag)
        if info is NULL:
            if undefined_is_wrong(w, field.tag):
                return REASON_INVALID_TAG
            section = max(section, 1)
            i += 1
            continue
        reason = check_value(w, field, info)
        if reason != VALID:
            return reason
        of_field = 0 if info.flags & FIELD_IN_HEADER else 2 if info.flags & FIELD_IN_TRAILER else 1
        if of_field < section and w.checks & CHECK_ORDER:
            if of_field == 1:
                w.tag = w.m.fields[i - 1].tag          # what came too early is the trailer
            return REASON_TAG_OUT_OF_ORDER
        section = max(section, of_field)
        here = &header if of_field == 0 else &trailer if of_field == 2 else &body
        reason = take_member(w, here, field, &i, 0)
        if reason != VALID:
            return reason
    if w.checks & CHECK_REQUIRED:
        # 8, 9, 35 and 10 are there, or this would be no message
        if not (has_required(w, &header) and has_required(w, &body) and has_required(w, &trailer)):
            return REASON_REQUIRED_TAG_MISSING
    w.tag = 0
    return VALID


cdef int weightiest(walk_t* w, const scope_t* scope, int found) noexcept nogil:
    """Of several faults of one message the one to be told: order of the sections, then what is missing, then the size
    of a group, then the first field that is wrong. Only for messages that are wrong already."""
    cdef walk_t alone = w[0]
    cdef seen_t seen
    cdef const member_t* member
    cdef const field_t* count
    cdef uint32_t section
    cdef uint32_t i
    cdef int structure
    alone.checks = w.checks & CHECK_ORDER
    structure = walk_message(&alone, scope)
    if structure == REASON_TAG_OUT_OF_ORDER:
        w.tag = alone.tag
        return structure
    count = find_field(w.m, alone.tag, FRAME_FIELDS) if structure == REASON_GROUP_COUNT else NULL
    for section in range(3 if w.checks & CHECK_REQUIRED else 0):
        start_scope(&seen, scope if section == 1 else &w.d.scopes[w.d.header if section == 0 else w.d.trailer])
        for i in range(FRAME_FIELDS, w.end):
            member = find_member(w.d, seen.scope, w.m.fields[i].tag)
            if member is not NULL:
                mark(&seen, member.position)
        if not has_required(&alone, &seen):
            w.tag = alone.tag
            return REASON_REQUIRED_TAG_MISSING
    # A group of the wrong size weighs more than what is wrong inside it.
    if count is not NULL and count < find_field(w.m, w.tag, FRAME_FIELDS):
        w.tag = count.tag
        return REASON_GROUP_COUNT
    return found


cdef int take_member(walk_t* w, seen_t* seen, const field_t* field, uint32_t* i, int depth) noexcept nogil:
    """Marks a field that is not the start of a group instance, and walks the group that it counts."""
    cdef const member_t* member = find_member(w.d, seen.scope, field.tag)
    i[0] += 1
    if member is NULL:
        return REASON_TAG_NOT_DEFINED_FOR_TYPE if w.checks & CHECK_UNKNOWN_FIELDS else VALID
    if mark(seen, member.position):
        return REASON_TAG_REPEATED
    if member.group == NO_SCOPE:
        return VALID
    return walk_group(w, &w.d.scopes[member.group], field, i, depth + 1)


cdef int walk_group(walk_t* w, const scope_t* scope, const field_t* count, uint32_t* i, int depth) noexcept nogil:
    """All instances of a repeating group; `i` is the field behind its count, and then the one behind the group."""
    cdef seen_t seen
    cdef int64_t told = field_uint(w.m, count)
    cdef int64_t found = 0
    cdef uint32_t last = 0
    cdef const field_t* field
    cdef const field_info_t* info
    cdef const member_t* member
    cdef int reason
    if depth > MAX_GROUP_DEPTH:
        return REASON_GROUP_COUNT
    while i[0] < w.end:
        field = &w.m.fields[i[0]]
        info = info_of(w.d, field.tag)
        if info is NULL and not undefined_is_wrong(w, field.tag):
            i[0] += 1                        # a field of the counterparty's own
            continue
        member = find_member(w.d, scope, field.tag)
        if member is NULL:
            break
        w.tag = field.tag
        if field.tag == scope.delimiter:
            if found and w.checks & CHECK_REQUIRED and not has_required(w, &seen):
                return REASON_REQUIRED_TAG_MISSING
            start_scope(&seen, scope)
            found += 1
            last = 0
        elif found == 0:
            return REASON_GROUP_OUT_OF_ORDER
        elif member.position < last and w.checks & CHECK_GROUP_ORDER:
            return REASON_GROUP_OUT_OF_ORDER
        last = member.position
        reason = check_value(w, field, info)
        if reason == VALID:
            reason = take_member(w, &seen, field, i, depth)
        if reason != VALID:
            return reason
    if found and w.checks & CHECK_REQUIRED and not has_required(w, &seen):
        return REASON_REQUIRED_TAG_MISSING
    w.tag = count.tag
    return VALID if found == told else REASON_GROUP_COUNT


cdef inline bint undefined_is_wrong(const walk_t* w, uint32_t tag) noexcept nogil:
    return w.checks & (CHECK_USER_FIELDS if tag >= FIRST_USER_TAG else CHECK_UNKNOWN_FIELDS) != 0


cdef inline void start_scope(seen_t* seen, const scope_t* scope) noexcept nogil:
    seen.scope = scope
    memset(seen.bits, 0, (<uint32_t>scope.member_count + 63) // 64 * 8)


cdef inline bint mark(seen_t* seen, uint32_t position) noexcept nogil:
    """Whether it was marked before."""
    cdef uint64_t bit = <uint64_t>1 << (position & 63)
    cdef bint before = (seen.bits[position >> 6] & bit) != 0
    seen.bits[position >> 6] |= bit
    return before


cdef bint has_required(walk_t* w, const seen_t* seen) noexcept nogil:
    """Sets tag to the first that is missing."""
    cdef const uint64_t* required = w.d.required + seen.scope.first_word
    cdef uint64_t missing
    cdef uint32_t word
    cdef uint32_t bit = 0
    for word in range((<uint32_t>seen.scope.member_count + 63) // 64):
        missing = required[word] & ~seen.bits[word]
        if missing:
            while not missing >> bit & 1:
                bit += 1
            w.tag = w.d.tags[seen.scope.first_tag + word * 64 + bit]
            return 0
    return 1


# --- values ---------------------------------------------------------------------------------------------------------

cdef inline int check_value(const walk_t* w, const field_t* field, const field_info_t* info) noexcept nogil:
    if field.length == 0:
        return REASON_TAG_WITHOUT_VALUE if w.checks & CHECK_VALUES and info.type != VALUE_DATA else VALID
    if not w.checks & CHECK_FORMATS:
        return VALID
    if info.type != VALUE_STRING and not has_format(w.m, field, info.type):
        return REASON_BAD_FORMAT
    if info.flags & FIELD_LISTED and not is_listed(w.d, w.m, field, info):
        return REASON_VALUE_INCORRECT
    return VALID


cdef bint has_format(const message_t* m, const field_t* field, uint8_t kind) noexcept nogil:
    """FIX 4.4 volume 1, 'Data types'."""
    cdef const uint8_t* p = m.data + field.offset
    cdef uint32_t n = field.length
    if kind == VALUE_CHAR:
        return n == 1
    if kind == VALUE_UINT:
        return are_digits(p, n)
    if kind == VALUE_INT:
        return n > 1 and are_digits(p + 1, n - 1) if p[0] == c'-' else are_digits(p, n)
    if kind == VALUE_DECIMAL:
        return is_decimal(p, n)
    if kind == VALUE_BOOLEAN:
        return n == 1 and (p[0] == c'Y' or p[0] == c'N')
    if kind == VALUE_UTC_TIMESTAMP:
        return field_utc_timestamp(m, field) != 0
    if kind == VALUE_UTC_TIME:
        return is_time(p, n)
    if kind == VALUE_DATE:
        return n == 8 and are_digits(p, 8) and is_month(p + 4) and is_day(p + 6)
    if kind == VALUE_MONTH_YEAR:
        return is_month_year(p, n)
    if kind == VALUE_DAY_OF_MONTH:
        return n <= 2 and are_digits(p, n) and is_day_number(p, n)
    return 1


cdef inline bint are_digits(const uint8_t* p, uint32_t n) noexcept nogil:
    cdef uint32_t i
    for i in range(n):
        if p[i] < c'0' or p[i] > c'9':
            return 0
    return 1


cdef inline bint is_decimal(const uint8_t* p, uint32_t n) noexcept nogil:
    """Digits with at most one point, a minus sign in front; no plus sign, no exponent."""
    cdef uint32_t i = p[0] == c'-'
    cdef uint32_t digits = 0
    cdef uint32_t points = 0
    while i < n:
        if c'0' <= p[i] <= c'9':
            digits += 1
        elif p[i] == c'.':
            points += 1
        else:
            return 0
        i += 1
    return digits > 0 and points <= 1


cdef inline uint32_t two(const uint8_t* p) noexcept nogil:
    return (p[0] - 48) * 10 + (p[1] - 48)


cdef inline bint is_month(const uint8_t* p) noexcept nogil:
    return 1 <= two(p) <= 12


cdef inline bint is_day(const uint8_t* p) noexcept nogil:
    return 1 <= two(p) <= 31


cdef bint is_day_number(const uint8_t* p, uint32_t n) noexcept nogil:
    return is_day(p) if n == 2 else p[0] != c'0'


cdef bint is_month_year(const uint8_t* p, uint32_t n) noexcept nogil:
    """YYYYMM, YYYYMMDD or YYYYMMwN (week 1 to 5)."""
    if n < 6 or not are_digits(p, 6) or not is_month(p + 4):
        return 0
    if n == 6:
        return 1
    return n == 8 and (p[6] == c'w' and c'1' <= p[7] <= c'5' or are_digits(p + 6, 2) and is_day(p + 6))


cdef bint is_time(const uint8_t* p, uint32_t n) noexcept nogil:
    """HH:MM:SS[.sss[sss[sss]]]"""
    if n < 8 or p[2] != c':' or p[5] != c':':
        return 0
    if not (are_digits(p, 2) and are_digits(p + 3, 2) and are_digits(p + 6, 2)):
        return 0
    if two(p) > 23 or two(p + 3) > 59 or two(p + 6) > 60:
        return 0
    return n == 8 or p[8] == c'.' and 9 < n <= 18 and are_digits(p + 9, n - 9)


cdef bint is_listed(const dictionary_t* d, const message_t* m, const field_t* field,
                    const field_info_t* info) noexcept nogil:
    cdef const uint8_t* p = m.data + field.offset
    cdef const uint8_t* end = p + field.length
    cdef const uint8_t* space
    if not info.flags & FIELD_MULTIPLE:
        return is_listed_value(d, info, field.tag, p, field.length)
    while True:
        space = <const uint8_t*>memchr(p, c' ', <size_t>(end - p))
        if space is NULL:
            return is_listed_value(d, info, field.tag, p, <uint32_t>(end - p))
        if not is_listed_value(d, info, field.tag, p, <uint32_t>(space - p)):
            return 0
        p = space + 1


cdef inline bint is_listed_value(const dictionary_t* d, const field_info_t* info, uint32_t tag, const uint8_t* p,
                                 uint32_t n) noexcept nogil:
    cdef uint32_t slot
    if n == 1:
        return (info.letters[p[0] >> 6] >> (p[0] & 63) & 1) != 0
    if n == 0:
        return 0
    slot = hash_value(tag, p, n) & d.listed_mask
    while d.listed[slot].length:
        if (d.listed[slot].tag == tag and d.listed[slot].length == n
                and memcmp(d.texts + d.listed[slot].offset, p, n) == 0):
            return 1
        slot = (slot + 1) & d.listed_mask
    return 0


# --- tables ---------------------------------------------------------------------------------------------------------

cdef inline const field_info_t* info_of(const dictionary_t* d, uint32_t tag) noexcept nogil:
    cdef uint16_t index = d.info_of_tag[tag] if tag <= d.max_tag else 0
    return &d.infos[index] if index else NULL


cdef inline const member_t* find_member(const dictionary_t* d, const scope_t* scope, uint32_t tag) noexcept nogil:
    cdef const member_t* slots = d.slots + scope.first_slot
    cdef uint32_t slot = hash_tag(tag) & scope.slot_mask
    while slots[slot].tag:
        if slots[slot].tag == tag:
            return &slots[slot]
        slot = (slot + 1) & scope.slot_mask
    return NULL


cdef inline uint16_t scope_of_message(const dictionary_t* d, const message_t* m) noexcept nogil:
    cdef uint32_t slot = hash_tag(m.msg_type) & d.message_mask
    if m.fields[2].length > 4:
        return NO_SCOPE
    while d.messages[slot].msg_type:
        if d.messages[slot].msg_type == m.msg_type:
            return d.messages[slot].scope
        slot = (slot + 1) & d.message_mask
    return NO_SCOPE


cdef inline uint32_t hash_tag(uint32_t tag) noexcept nogil:
    tag *= MULTIPLIER
    return tag ^ tag >> 15


cdef uint32_t hash_value(uint32_t tag, const uint8_t* p, uint32_t n) noexcept nogil:
    cdef uint32_t value = tag * MULTIPLIER
    cdef uint32_t i
    for i in range(n):
        value = (value ^ p[i]) * 16777619
    return value ^ value >> 15


# --- Python face ----------------------------------------------------------------------------------------------------

TYPE_NAMES = ("STRING", "CHAR", "INT", "UINT", "DECIMAL", "BOOLEAN", "UTC_TIMESTAMP", "UTC_TIME", "DATE", "MONTH_YEAR",
              "DAY_OF_MONTH", "DATA")
CHECKS = {"formats": CHECK_FORMATS, "values": CHECK_VALUES, "order": CHECK_ORDER, "user_fields": CHECK_USER_FIELDS,
          "unknown_fields": CHECK_UNKNOWN_FIELDS, "unknown_messages": CHECK_UNKNOWN_MESSAGES,
          "required": CHECK_REQUIRED, "group_order": CHECK_GROUP_ORDER}


cdef void* room(size_t count, size_t size) except NULL:
    cdef void* place = calloc(count if count else 1, size)
    if place is NULL:
        raise MemoryError("dictionary")
    return place


cdef uint32_t power_above(size_t count):
    cdef uint32_t size = 4
    while size < 2 * count:
        size *= 2
    return size


cdef class Dictionary:
    """Tables of one dictionary. Made by gateway.fix.dictionary, which checks what it gives.

    `fields`: (tag, type name, multiple, values or None). `scopes`: (tag, required, scope of its group or None) each, in
    order; the first field of a group is its delimiter. `messages`: (MsgType, scope). `header`, `trailer`: their scopes.
    Raises ValueError for a table that is too large, MemoryError.
    """

    def __cinit__(self, list fields not None, list scopes not None, list messages not None, uint16_t header,
                  uint16_t trailer):
        if len(fields) >= 0xFFFF or len(scopes) >= NO_SCOPE:
            raise ValueError(f"{len(fields)} fields and {len(scopes)} groups and messages: at most 65534 of each")
        self.tables.header = header
        self.tables.trailer = trailer
        self._set_fields(fields)
        self._set_scopes(scopes)
        self._set_messages(messages)
        for scope, flag in ((scopes[header], FIELD_IN_HEADER), (scopes[trailer], FIELD_IN_TRAILER)):
            for tag, _required, _group in scope:
                self.tables.infos[self.tables.info_of_tag[<uint32_t>tag]].flags |= <uint8_t>flag

    def __dealloc__(self):
        free(self.tables.info_of_tag)
        free(self.tables.infos)
        free(self.tables.scopes)
        free(self.tables.slots)
        free(self.tables.required)
        free(self.tables.tags)
        free(self.tables.messages)
        free(self.tables.listed)
        free(self.tables.texts)

    cdef _set_fields(self, list fields):
        cdef dictionary_t* d = &self.tables
        cdef field_info_t* info
        cdef uint32_t index = 0
        d.max_tag = max([tag for tag, *_ in fields], default=0)
        if d.max_tag > MAX_TAG:
            raise ValueError(f"tag {d.max_tag}: at most {MAX_TAG}")
        d.info_of_tag = <uint16_t*>room(d.max_tag + 1, sizeof(uint16_t))
        d.infos = <field_info_t*>room(len(fields) + 1, sizeof(field_info_t))
        for tag, type_name, multiple, values in fields:
            index += 1
            d.info_of_tag[<uint32_t>tag] = <uint16_t>index
            info = &d.infos[index]
            info.type = <uint8_t>TYPE_NAMES.index(type_name)
            if values is None:
                continue
            info.flags = FIELD_LISTED | (FIELD_MULTIPLE if multiple else 0)
            for value in values:
                if len(value) == 1:
                    info.letters[<uint8_t>value[0] >> 6] |= <uint64_t>1 << (<uint8_t>value[0] & 63)
        self._set_listed([(tag, value) for tag, _, _, values in fields for value in values or () if len(value) > 1])

    cdef _set_listed(self, list pairs):
        cdef dictionary_t* d = &self.tables
        cdef uint32_t size = power_above(len(pairs))
        cdef uint32_t used = 0
        cdef uint32_t slot
        cdef bytes value
        d.listed = <listed_t*>room(size, sizeof(listed_t))
        d.listed_mask = size - 1
        d.texts = <uint8_t*>room(sum(len(value) for _, value in pairs), 1)
        for tag, value in pairs:
            slot = hash_value(tag, value, <uint32_t>len(value)) & d.listed_mask
            while d.listed[slot].length:
                slot = (slot + 1) & d.listed_mask
            d.listed[slot] = listed_t(tag, used, <uint32_t>len(value))
            memcpy(d.texts + used, <const char*>value, len(value))
            used += <uint32_t>len(value)

    cdef _set_scopes(self, list scopes):
        cdef dictionary_t* d = &self.tables
        cdef scope_t* scope
        cdef uint32_t slots = 0
        cdef uint32_t words = 0
        cdef uint32_t tags = 0
        cdef uint32_t index = 0
        d.scopes = <scope_t*>room(len(scopes), sizeof(scope_t))
        d.slots = <member_t*>room(sum(power_above(len(members)) for members in scopes), sizeof(member_t))
        d.required = <uint64_t*>room(sum((len(members) + 63) // 64 for members in scopes), sizeof(uint64_t))
        d.tags = <uint32_t*>room(sum(len(members) for members in scopes), sizeof(uint32_t))
        for members in scopes:
            if len(members) > MAX_SCOPE_FIELDS:
                raise ValueError(f"{len(members)} fields in one message: at most {MAX_SCOPE_FIELDS}")
            scope = &d.scopes[index]
            scope.first_slot = slots
            scope.slot_mask = power_above(len(members)) - 1
            scope.member_count = <uint16_t>len(members)
            scope.first_word = words
            scope.first_tag = tags
            self._set_members(scope, members)
            slots += scope.slot_mask + 1
            words += (<uint32_t>len(members) + 63) // 64
            tags += <uint32_t>len(members)
            index += 1

    cdef _set_members(self, scope_t* scope, list members):
        cdef dictionary_t* d = &self.tables
        cdef uint32_t position = 0
        cdef uint32_t slot
        scope.delimiter = members[0][0] if members else 0
        for tag, required, group in members:
            slot = hash_tag(tag) & scope.slot_mask
            while d.slots[scope.first_slot + slot].tag:
                slot = (slot + 1) & scope.slot_mask
            d.slots[scope.first_slot + slot] = member_t(tag, <uint16_t>position,
                                                        <uint16_t>(NO_SCOPE if group is None else group))
            d.tags[scope.first_tag + position] = tag
            # the frame, 8, 9, 35 and 10, is the parser's
            if required and tag not in (8, 9, 35, 10):
                d.required[scope.first_word + position // 64] |= <uint64_t>1 << position % 64
            position += 1

    cdef _set_messages(self, list messages):
        cdef dictionary_t* d = &self.tables
        cdef uint32_t size = power_above(len(messages))
        cdef uint32_t packed
        cdef uint32_t slot
        cdef bytes msg_type
        d.messages = <message_slot_t*>room(size, sizeof(message_slot_t))
        d.message_mask = size - 1
        for msg_type, scope in messages:
            if not 0 < len(msg_type) <= 4:
                raise ValueError(f"MsgType {msg_type!r}: 1 to 4 characters")
            packed = 0
            memcpy(&packed, <const char*>msg_type, len(msg_type))
            slot = hash_tag(packed) & d.message_mask
            while d.messages[slot].msg_type:
                slot = (slot + 1) & d.message_mask
            d.messages[slot].msg_type = packed
            d.messages[slot].scope = <uint16_t>scope

    def validate(self, bytes message not None, uint32_t checks=CHECK_ALL):
        """(SessionRejectReason, tag or 0) of a whole message, None when it is valid. ValueError: no message."""
        cdef field_t index[2048]
        cdef message_t m
        cdef uint32_t tag = 0
        memset(&m, 0, sizeof(m))
        m.fields = index
        m.field_capacity = 2048
        if parse_message(message, len(message), MAX_MESSAGE_BYTES, &m) != PARSE_OK:
            raise ValueError("not a whole message")
        cdef int reason = dictionary_validate(&self.tables, &m, checks, &tag)
        return None if reason == VALID else (reason, tag)

    def measure_validate(self, bytes message not None, uint32_t rounds, uint32_t checks=CHECK_ALL) -> float:
        """Nanoseconds for one validation of a parsed message, over `rounds` in native code. ValueError: not valid."""
        cdef field_t index[2048]
        cdef message_t m
        cdef uint32_t tag = 0
        cdef uint32_t _i
        cdef int wrong = 0
        memset(&m, 0, sizeof(m))
        m.fields = index
        m.field_capacity = 2048
        parse_message(message, len(message), MAX_MESSAGE_BYTES, &m)
        started = time.perf_counter_ns()
        with nogil:
            for _i in range(rounds):
                wrong += dictionary_validate(&self.tables, &m, checks, &tag) != VALID
        elapsed = time.perf_counter_ns() - started
        if wrong:
            raise ValueError(f"the message is not valid: tag {tag}")
        return elapsed / rounds
