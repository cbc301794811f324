"""The client protocol's frames: where one ends, and a Python face that builds and reads every kind.

May depend on: nothing (the states of orders and sessions that frames carry are repeated here as Python enums, so that a
client needs no other native module; a test compares them with orders.pxd and session.pxd). Never does I/O, never keeps
state between calls. The Python client, the tools and the tests use this face; nothing else knows the layout.

Here: what the node uses. The face is by topic in clientwire_*.pxi, in one compilation unit.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_DecodeASCII
from libc.stdint cimport UINT8_MAX, UINT16_MAX, UINT64_MAX, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy

from enum import IntEnum


cdef enum:
    SOH = 1
    MAX_TAG_DIGITS = 9
    MESSAGE_POSS_DUP = 1         # flag of MESSAGE
    CHECKPOINT_NO_SUCH_KEY = 1   # flag of CHECKPOINT_VALUE


cdef int64_t frame_available(const uint8_t* data, size_t size) noexcept nogil:
    cdef uint32_t length
    if size < sizeof(uint32_t):
        return 0
    memcpy(&length, data, sizeof(uint32_t))
    if length < FRAME_HEADER_BYTES or length > MAX_FRAME_BYTES:
        return -1
    return length if size >= length else 0


# --- by topic --------------------------------------------------------------------------------------------------------

include "clientwire_constants.pxi"
include "clientwire_frames.pxi"
include "clientwire_write.pxi"
include "clientwire_read.pxi"
