"""Large tables: zeroed memory on huge pages where the system grants them, so that a random access misses the TLB once
in two megabytes, and a killed process's memory is torn down in microseconds. Inline.
"""

from libc.stddef cimport size_t

cdef extern from * nogil:
    """
    #ifndef GATEWAY_MEMORY
    #define GATEWAY_MEMORY
    #include <stdlib.h>
    #include <string.h>
    #include <sys/mman.h>
    static inline void *table_alloc(size_t size) {
        const size_t huge = (size_t)2 << 20;
        void *table;
        if (size < huge) return calloc(1, size);
        table = aligned_alloc(huge, (size + huge - 1) & ~(huge - 1));
        if (table == NULL) return NULL;
    #ifdef MADV_HUGEPAGE
        (void)madvise(table, (size + huge - 1) & ~(huge - 1), MADV_HUGEPAGE);  /* a wish */
    #endif
        memset(table, 0, size);
        return table;
    }
    #endif
    """
    # Zeroed, and every page of it present; NULL: out of memory. To be given back with free().
    void* table_alloc(size_t size)
