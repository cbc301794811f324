/* The least that processes can do with an order: bytes in, bytes out, no FIX, no log. The floor of `gateway bench`.
 *
 * Every party is one of these functions in a process of its own: the forwarder stands where the gateway does, the echo
 * where the standby does, and the measuring end is client and broker at once. What the gateway needs beyond their times
 * is its own; the rest is the operating system's. Nothing here allocates, logs or gives up the first time that a socket
 * has no room. May depend on: the system's headers alone. Not part of a node.
 */
#ifndef GATEWAY_HOPS_H
#define GATEWAY_HOPS_H

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>

enum { HOPS_BUFFER_BYTES = 1 << 16, HOPS_COLUMNS = 5 };
enum hops_wait { HOPS_SPIN = 0, HOPS_YIELD = 1, HOPS_BLOCK = 2 };
enum hops_failure { HOPS_OK = 0, HOPS_TIMEOUT = -1, HOPS_CLOSED = -2 };
/* Columns of a row of times, ns: when the order was due, handed in, out, answered, and when the answer was in. */
enum hops_column { HOPS_DUE = 0, HOPS_SENT = 1, HOPS_OUT = 2, HOPS_ANSWERED = 3, HOPS_IN = 4 };
#define HOPS_TIMEOUT_NS 30000000000ull
#define HOPS_NEVER_NS 1000000000ull /* of a wait that nothing but input ends */
#define HOPS_EARLY_NS 10000ull      /* before an order is due, the load is awake */

/* Bytes one way in memory that two processes share; a ring of a power of two. */
enum { HOPS_RING_BYTES = 1 << 16 };
typedef struct {
    uint64_t written, written_padding[7];
    uint64_t read, read_padding[7];
    uint8_t data[HOPS_RING_BYTES];
} hops_ring_t;

/* Sockets of the forwarder; standby_fd is a connected UDP socket, or -1. */
typedef struct {
    int client_fd, broker_fd, standby_fd;
    int wait;      /* hops_wait */
    int late_acks; /* TCP_QUICKACK off after each read: the acknowledgement rides on the answer */
    hops_ring_t *from_client, *to_client; /* instead of client_fd, which then only ends; NULL: none */
} hops_way_t;

/* The measuring end. Every order is the same bytes, and so is every execution. */
typedef struct {
    int client_fd, broker_fd;
    const uint8_t *order, *execution;
    size_t order_length, execution_length;
    uint64_t interval_ns; /* between the times at which orders are due; 0: the next when the one before is answered */
    uint64_t pause_ns;    /* with interval_ns 0: before the next */
    int wait, late_acks;
    hops_ring_t *from_gateway, *to_gateway; /* instead of client_fd; NULL: none */
} hops_end_t;

static inline uint64_t hops_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* A sleep of this thread ends when it should, not up to 50 us later. */
static inline void hops_punctual(void) {
    prctl(PR_SET_TIMERSLACK, 1ul, 0ul, 0ul, 0ul);
}

/* Between two looks at sockets that had nothing: until one of them has, or for at most limit_ns. */
static inline void hops_idle(int wait, int one_fd, int other_fd, uint64_t limit_ns) {
    if (wait == HOPS_YIELD) {
        sched_yield();
    } else if (wait == HOPS_BLOCK && limit_ns <= HOPS_EARLY_NS) {
        sched_yield(); /* too short to sleep */
    } else if (wait == HOPS_BLOCK) {
        struct pollfd asked[2] = {{one_fd, POLLIN, 0}, {other_fd, POLLIN, 0}};
        uint64_t sleep_ns = limit_ns - HOPS_EARLY_NS;
        struct timespec limit = {(time_t)(sleep_ns / 1000000000u), (long)(sleep_ns % 1000000000u)};
        ppoll(asked, other_fd >= 0 ? 2 : 1, &limit, NULL);
    }
}

/* Bytes read; 0: none are there; -1: closed. A receive call takes the socket's lock even when there is nothing, so a
   loop of them holds up the sender: who does not sleep asks poll() first, which takes none. */
static inline ssize_t hops_read(int fd, uint8_t *buffer, int wait, int late_acks) {
    struct pollfd asked = {fd, POLLIN, 0};
    ssize_t size;
    if (wait != HOPS_BLOCK && poll(&asked, 1, 0) <= 0) return 0;
    size = recv(fd, buffer, HOPS_BUFFER_BYTES, MSG_DONTWAIT);
    if (size > 0) {
        if (late_acks) {
            int off = 0;
            setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &off, sizeof off);
        }
        return size;
    }
    return size < 0 && (errno == EAGAIN || errno == EINTR || errno == ECONNREFUSED) ? 0 : -1;
}

static inline ssize_t hops_ring_read(hops_ring_t *ring, uint8_t *buffer) {
    uint64_t size = __atomic_load_n(&ring->written, __ATOMIC_ACQUIRE) - ring->read;
    uint64_t at = ring->read % HOPS_RING_BYTES, straight = HOPS_RING_BYTES - at;
    if (size == 0) return 0;
    if (straight > size) straight = size;
    memcpy(buffer, ring->data + at, straight);
    memcpy(buffer + straight, ring->data, size - straight);
    __atomic_store_n(&ring->read, ring->read + size, __ATOMIC_RELEASE);
    return (ssize_t)size;
}

/* As much as there is room for. */
static inline size_t hops_ring_write(hops_ring_t *ring, const uint8_t *data, size_t size) {
    uint64_t room = HOPS_RING_BYTES - (ring->written - __atomic_load_n(&ring->read, __ATOMIC_ACQUIRE));
    uint64_t at = ring->written % HOPS_RING_BYTES, straight = HOPS_RING_BYTES - at;
    if (size > room) size = room;
    if (straight > size) straight = size;
    memcpy(ring->data + at, data, straight);
    memcpy(ring->data, data + straight, size - straight);
    __atomic_store_n(&ring->written, ring->written + size, __ATOMIC_RELEASE);
    return size;
}

/* Writes all of it, however long that takes; 0 when the connection is gone. */
static inline int hops_write(int fd, const uint8_t *data, size_t size) {
    while (size > 0) {
        ssize_t sent = send(fd, data, size, MSG_NOSIGNAL);
        if (sent > 0) {
            data += sent;
            size -= (size_t)sent;
        } else if (errno == EAGAIN) {
            struct pollfd asked = {fd, POLLOUT, 0};
            poll(&asked, 1, 1);
        } else if (errno != EINTR) {
            return 0;
        }
    }
    return 1;
}

/* Sends to the standby and waits for its echo, as a gateway waits for an acknowledgement. */
static int hops_ask_standby(const hops_way_t *way, const uint8_t *data, size_t size) {
    uint8_t echoed[HOPS_BUFFER_BYTES];
    ssize_t got = 0;
    if (send(way->standby_fd, data, size > 1400 ? 1400 : size, 0) < 0) return 0;
    while ((got = hops_read(way->standby_fd, echoed, way->wait, 0)) == 0)
        hops_idle(way->wait, way->standby_fd, -1, HOPS_NEVER_NS);
    return got > 0;
}

/* Carries bytes both ways until a connection is closed; what comes from the client goes to the standby first. */
static void hops_forward(const hops_way_t *way) {
    uint8_t buffer[HOPS_BUFFER_BYTES];
    ssize_t in, out;
    for (;;) {
        in = way->from_client ? hops_ring_read(way->from_client, buffer)
                              : hops_read(way->client_fd, buffer, way->wait, way->late_acks);
        if (in < 0) return;
        if (in > 0 && way->standby_fd >= 0 && !hops_ask_standby(way, buffer, (size_t)in)) return;
        if (in > 0 && !hops_write(way->broker_fd, buffer, (size_t)in)) return;
        out = hops_read(way->broker_fd, buffer, way->wait, way->late_acks);
        if (out < 0) return;
        if (way->to_client)
            for (ssize_t done = 0; done < out;) done += (ssize_t)hops_ring_write(way->to_client, buffer + done, out - done);
        else if (out > 0 && !hops_write(way->client_fd, buffer, (size_t)out))
            return;
        if (in == 0 && out == 0) hops_idle(way->wait, way->client_fd, way->broker_fd, HOPS_NEVER_NS);
    }
}

/* Sends back what comes, until the connection is closed or a datagram is empty. */
static void hops_echo(int fd, int wait, int late_acks) {
    uint8_t buffer[HOPS_BUFFER_BYTES];
    for (;;) {
        ssize_t size = hops_read(fd, buffer, wait, late_acks);
        if (size < 0 || (size > 0 && !hops_write(fd, buffer, (size_t)size))) return;
        if (size == 0) hops_idle(wait, fd, -1, HOPS_NEVER_NS);
    }
}

/* Sends copies of one message until `position` bytes are target copies or there is no more room; 0: closed. */
static inline int hops_push(int fd, hops_ring_t *ring, const uint8_t *message, size_t length, uint64_t *position, uint64_t target) {
    while (*position < target * length) {
        size_t offset = *position % length;
        ssize_t sent = ring ? (ssize_t)hops_ring_write(ring, message + offset, length - offset)
                            : send(fd, message + offset, length - offset, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (ring && sent == 0) return 1;
        if (sent < 0) return errno == EAGAIN || errno == EINTR;
        *position += (uint64_t)sent;
    }
    return 1;
}

typedef struct {
    uint64_t sent, out, in;                                /* orders, orders, executions: how many so far */
    uint64_t order_position, out_bytes, position, in_bytes; /* of the two streams */
    uint64_t due_ns;
} hops_run_t;

/* Hands in the next order when its time has come. */
static int hops_hand_in(const hops_end_t *end, hops_run_t *run, uint64_t *times, uint64_t rows, uint64_t now) {
    if (run->sent < rows && now >= run->due_ns && (end->interval_ns || run->sent == run->in)) {
        uint64_t *row = times + run->sent * HOPS_COLUMNS;
        row[HOPS_DUE] = end->interval_ns ? run->due_ns : now;
        row[HOPS_SENT] = now;
        run->sent += 1;
        run->due_ns += end->interval_ns;
    }
    return hops_push(end->client_fd, end->to_gateway, end->order, end->order_length, &run->order_position, run->sent);
}

/* The broker: reads what is there and answers each order. Bytes read; -1: closed. */
static ssize_t hops_answer(const hops_end_t *end, hops_run_t *run, uint64_t *times) {
    uint8_t buffer[HOPS_BUFFER_BYTES];
    ssize_t size = hops_read(end->broker_fd, buffer, end->wait, end->late_acks);
    uint64_t now = hops_now();
    if (size < 0) return -1;
    run->out_bytes += (uint64_t)size;
    while (run->out < run->out_bytes / end->order_length) {
        times[run->out * HOPS_COLUMNS + HOPS_OUT] = now;
        times[run->out * HOPS_COLUMNS + HOPS_ANSWERED] = hops_now();
        run->out += 1;
    }
    if (!hops_push(end->broker_fd, NULL, end->execution, end->execution_length, &run->position, run->out)) return -1;
    return size;
}

/* The client: reads what is there. Bytes read; -1: closed. */
static ssize_t hops_take(const hops_end_t *end, hops_run_t *run, uint64_t *times) {
    uint8_t buffer[HOPS_BUFFER_BYTES];
    ssize_t size = end->from_gateway ? hops_ring_read(end->from_gateway, buffer)
                                     : hops_read(end->client_fd, buffer, end->wait, end->late_acks);
    uint64_t now = hops_now();
    if (size < 0) return -1;
    run->in_bytes += (uint64_t)size;
    while (run->in < run->in_bytes / end->execution_length) {
        times[run->in * HOPS_COLUMNS + HOPS_IN] = now;
        run->in += 1;
    }
    return size;
}

/* One order per row of times. hops_failure. */
static int hops_measure(const hops_end_t *end, uint64_t *times, uint64_t rows) {
    hops_run_t run = {0};
    uint64_t now = hops_now(), progress_ns = now;
    hops_punctual();
    run.due_ns = now;
    while (run.in < rows) {
        ssize_t got = 0, size;
        uint64_t answered = run.in;
        now = hops_now();
        if (!hops_hand_in(end, &run, times, rows, now)) return HOPS_CLOSED;
        if (run.out < run.sent || run.position < run.out * end->execution_length) {
            if ((size = hops_answer(end, &run, times)) < 0) return HOPS_CLOSED;
            got += size;
        }
        if (run.in < run.out) {
            if ((size = hops_take(end, &run, times)) < 0) return HOPS_CLOSED;
            got += size;
        }
        if (run.in > answered && !end->interval_ns) run.due_ns = hops_now() + end->pause_ns;
        if (got > 0 || run.in == run.sent) {
            progress_ns = now;
        } else if (now - progress_ns > HOPS_TIMEOUT_NS) {
            return HOPS_TIMEOUT;
        }
        if (got == 0) {
            uint64_t limit = run.due_ns > now ? run.due_ns - now : 0;
            int is_open = run.sent < rows && (end->interval_ns || run.in == run.sent);
            hops_idle(end->wait, end->broker_fd, end->client_fd, is_open ? limit : HOPS_TIMEOUT_NS);
        }
    }
    return HOPS_OK;
}

/* Round trips over one socket, one after the other: times[i] in ns. hops_failure. */
static int hops_round_trips(int fd, int wait, int late_acks, const uint8_t *message, size_t length, uint64_t *times,
                            uint64_t count) {
    uint8_t buffer[HOPS_BUFFER_BYTES];
    for (uint64_t i = 0; i < count; i++) {
        uint64_t start = hops_now(), now = start;
        size_t back = 0;
        if (!hops_write(fd, message, length)) return HOPS_CLOSED;
        while (back < length) {
            ssize_t size = hops_read(fd, buffer, wait, late_acks);
            now = hops_now();
            if (size < 0) return HOPS_CLOSED;
            if (now - start > HOPS_TIMEOUT_NS) return HOPS_TIMEOUT;
            back += (size_t)size;
            if (size == 0) hops_idle(wait, fd, -1, HOPS_TIMEOUT_NS);
        }
        times[i] = now - start;
    }
    return HOPS_OK;
}

/* Memory of two processes: a line with a number in it for each direction, and the message behind it. */
enum { HOPS_LINE_BYTES = 64, HOPS_SLOT_BYTES = 4096, HOPS_SHARED_BYTES = 2 * HOPS_SLOT_BYTES };

static inline void hops_spin_once(int wait) {
    if (wait == HOPS_YIELD) sched_yield();
#if defined(__x86_64__) || defined(__i386__)
    else __builtin_ia32_pause();
#endif
}

/* Answers each message with a copy of it, until the number is 0 again. */
static void hops_echo_shared(uint8_t *memory, size_t length, int wait) {
    uint64_t *asked = (uint64_t *)memory, *answered = (uint64_t *)(memory + HOPS_SLOT_BYTES);
    uint8_t taken[HOPS_SLOT_BYTES];
    uint64_t seen = 1, number;
    for (;;) {
        while ((number = __atomic_load_n(asked, __ATOMIC_ACQUIRE)) == seen) hops_spin_once(wait);
        if (number == 0) return;
        memcpy(taken, memory + HOPS_LINE_BYTES, length);
        memcpy(memory + HOPS_SLOT_BYTES + HOPS_LINE_BYTES, taken, length);
        __atomic_store_n(answered, number, __ATOMIC_RELEASE);
        seen = number;
    }
}

/* Round trips through shared memory, whose first number is 1: times[i] in ns. hops_failure. */
static int hops_round_trips_shared(uint8_t *memory, int wait, const uint8_t *message, size_t length, uint64_t *times,
                                   uint64_t count) {
    uint64_t *asked = (uint64_t *)memory, *answered = (uint64_t *)(memory + HOPS_SLOT_BYTES);
    uint8_t taken[HOPS_SLOT_BYTES];
    uint64_t number = __atomic_load_n(asked, __ATOMIC_RELAXED);
    for (uint64_t i = 0; i < count; i++) {
        uint64_t start = hops_now();
        uint32_t turns = 0;
        memcpy(memory + HOPS_LINE_BYTES, message, length);
        __atomic_store_n(asked, ++number, __ATOMIC_RELEASE);
        while (__atomic_load_n(answered, __ATOMIC_ACQUIRE) != number) {
            hops_spin_once(wait);
            if ((++turns & 0xFFFF) == 0 && hops_now() - start > HOPS_TIMEOUT_NS) return HOPS_TIMEOUT;
        }
        memcpy(taken, memory + HOPS_SLOT_BYTES + HOPS_LINE_BYTES, length);
        times[i] = hops_now() - start;
    }
    return HOPS_OK;
}

#endif
