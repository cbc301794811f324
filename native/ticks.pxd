"""The processor's time stamp counter as a cheap clock: a third of what clock_gettime(2) takes. Inline.

Only for who may read clocks at all: the reactor, and what it hands a clock. Where the kernel does not trust the counter
itself (its clock source is another), or there is none, a tick is a nanosecond of CLOCK_MONOTONIC.
"""

from libc.stdint cimport uint64_t

from .instant cimport instant_t

cdef extern from * nogil:
    """
    #ifndef GATEWAY_TICKS
    #define GATEWAY_TICKS
    #include <stdint.h>
    #include <time.h>
    #if defined(__x86_64__)
    #include <x86intrin.h>
    #endif

    typedef struct {
        int counter;              /* whether the time stamp counter is used */
        uint64_t at;              /* ticks when the kernel was asked last ... */
        uint64_t mono_ns;         /* ... and what it said */
        uint64_t wall_ns;
        uint64_t first_at;        /* the same, once: the longer the time between, the better is ns_per_tick */
        uint64_t first_ns;
        uint64_t refresh;         /* ticks after which it is asked again */
        uint64_t ns_per_tick;     /* 32.32 fixed point */
    } ticks_clock_t;

    static inline uint64_t ticks_kernel_ns(clockid_t which) {
        struct timespec t;
        clock_gettime(which, &t);
        return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
    }
    static uint64_t ticks_kernel(void) { return ticks_kernel_ns(CLOCK_MONOTONIC); }
    #if defined(__x86_64__)
    static uint64_t ticks_counter(void) { return __rdtsc(); }
    #else
    static uint64_t ticks_counter(void) { return ticks_kernel(); }
    #endif
    static inline uint64_t ticks_ns(const ticks_clock_t *c, uint64_t ticks) {
        return (uint64_t)(((unsigned __int128)ticks * c->ns_per_tick) >> 32);
    }
    static inline void ticks_ask(ticks_clock_t *c) {
        c->at = ticks_counter();
        c->mono_ns = ticks_kernel_ns(CLOCK_MONOTONIC);
        c->wall_ns = ticks_kernel_ns(CLOCK_REALTIME);
    }
    static inline void ticks_calibrate(ticks_clock_t *c) {
        c->ns_per_tick = (uint64_t)(((unsigned __int128)(c->mono_ns - c->first_ns) << 32) / (c->at - c->first_at));
    }
    /* Takes 2 ms with a counter. */
    static void ticks_start(ticks_clock_t *c, int counter) {
        struct timespec pause = {0, 2000000};
    #if !defined(__x86_64__)
        counter = 0;
    #endif
        c->counter = counter;
        c->ns_per_tick = (uint64_t)1 << 32;
        ticks_ask(c);
        c->first_at = c->at;
        c->first_ns = c->mono_ns;
        c->refresh = 1000000;
        if (!counter) return;
        nanosleep(&pause, NULL);
        ticks_ask(c);
        ticks_calibrate(c);
        c->refresh = ((uint64_t)1000000 << 32) / c->ns_per_tick;
    }
    /* The kernel is asked once in a millisecond; between, it can be off by no more than its own slewing (500 ppm). */
    static inline uint64_t ticks_read(ticks_clock_t *c, uint64_t *mono_ns, uint64_t *wall_ns) {
        uint64_t now, gone;
        uint64_t before = *mono_ns;
        if (!c->counter) {
            *mono_ns = ticks_kernel_ns(CLOCK_MONOTONIC);
            *wall_ns = ticks_kernel_ns(CLOCK_REALTIME);
            return *mono_ns;
        }
        now = ticks_counter();
        gone = now - c->at;
        if (gone >= c->refresh) {
            int back = (int64_t)gone < 0;
            ticks_ask(c);
            now = c->at;
            gone = 0;
            if (back || c->mono_ns - c->first_ns > 1000000000u) {
                /* A counter that went back (another host, a sleep) tells no rate: it could make hours of a millisecond,
                   and what the clock has shown it never takes back. */
                if (!back) ticks_calibrate(c);
                c->first_at = now;
                c->first_ns = c->mono_ns;
            }
        }
        gone = ticks_ns(c, gone);
        *mono_ns = c->mono_ns + gone > before ? c->mono_ns + gone : before;
        *wall_ns = c->wall_ns + gone;
        return now;
    }
    #endif
    """
    ctypedef struct ticks_clock_t:
        int counter
        uint64_t at
        uint64_t first_at
        uint64_t first_ns
        uint64_t refresh
        uint64_t ns_per_tick
    uint64_t ticks_kernel()
    uint64_t ticks_counter()
    uint64_t ticks_ns(const ticks_clock_t* c, uint64_t ticks)
    void ticks_start(ticks_clock_t* c, int counter)
    # Ticks now; sets both clocks, of which the monotonic one never goes back.
    uint64_t ticks_read(ticks_clock_t* c, uint64_t* mono_ns, uint64_t* wall_ns)
