"""Reading a socket without sleeping, for bench/. Inline.

A receive call on an empty TCP socket takes the socket's lock, so a loop of them holds up the sender: whoever polls asks
poll(2) first, which takes no lock.
"""

from libc.stddef cimport size_t
from libc.stdint cimport uint64_t

cdef extern from * nogil:
    """
    #ifndef GATEWAY_SPIN
    #define GATEWAY_SPIN
    #include <errno.h>
    #include <poll.h>
    #include <stdint.h>
    #include <sys/socket.h>
    #include <time.h>
    static inline uint64_t spin_clock_ns(clockid_t which) {
        struct timespec t;
        clock_gettime(which, &t);
        return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
    }
    static inline ssize_t spin_read(int fd, void *buffer, size_t size) {
        struct pollfd asked = {fd, POLLIN, 0};
        ssize_t got;
        if (poll(&asked, 1, 0) <= 0) return 0;
        got = recv(fd, buffer, size, MSG_DONTWAIT);
        if (got > 0) return got;
        return got < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
    }
    #endif
    """
    uint64_t spin_clock_ns(int which)
    # Bytes read; 0: none are there; -1: closed.
    ssize_t spin_read(int fd, void* buffer, size_t size)
