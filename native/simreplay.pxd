"""What a node derives from its log must not depend on when it does so: compared with a replay of the whole log.

May depend on: replica. Knows nothing of the simulator's network or time.
"""

from .replica cimport replica_t


# NULL, or what is another after the replay. The replica is the replayed one then: only at the end of a run.
cdef const char* replay_differs(replica_t* r) noexcept nogil
