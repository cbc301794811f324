"""A connection that breaks as soon as this process is killed, however much memory it has. Inline; Linux.

The kernel takes a killed process's memory apart before it closes its files, which takes milliseconds for some hundred
megabytes, and the peer learns of the death only then. So the tripwire's socket is handed to a thread whose file table
is its own (unshare(2), CLONE_FILES): that thread's files are closed when it dies, at once. The reactor keeps one end of
a socket pair instead: it sees the end when the peer is gone, and closing it closes the connection.
"""

cdef extern from * nogil:
    """
    #ifndef GATEWAY_LIFELINE
    #define GATEWAY_LIFELINE
    #ifndef _GNU_SOURCE
    #define _GNU_SOURCE
    #endif
    #include <errno.h>
    #include <poll.h>
    #include <pthread.h>
    #include <sched.h>
    #include <signal.h>
    #include <stdint.h>
    #include <string.h>
    #include <sys/socket.h>
    #include <sys/syscall.h>
    #include <unistd.h>

    static void lifeline_keep_only(int kept) {
    #ifdef SYS_close_range
        int status = kept > 0 ? (int)syscall(SYS_close_range, 0u, (unsigned)kept - 1, 0u) : 0;
        if (status == 0 && syscall(SYS_close_range, (unsigned)kept + 1, ~0u, 0u) == 0) return;
    #endif
        for (long fd = sysconf(_SC_OPEN_MAX) - 1; fd >= 0; fd--) if (fd != kept) close((int)fd);
    }

    static int lifeline_ended(int fd) {
        char waste[256];
        ssize_t size = recv(fd, waste, sizeof waste, MSG_DONTWAIT);
        return size == 0 || (size < 0 && errno != EAGAIN && errno != EINTR);
    }

    /* Two file descriptors in one message; 0: the other side is gone. */
    static int lifeline_receive(int control, int *wire, int *inner) {
        union { struct cmsghdr header; char space[CMSG_SPACE(2 * sizeof(int))]; } passed;
        char byte;
        struct iovec part = {&byte, 1};
        struct msghdr message;
        struct cmsghdr *header;
        int fds[2];
        memset(&message, 0, sizeof message);
        message.msg_iov = &part;
        message.msg_iovlen = 1;
        message.msg_control = passed.space;
        message.msg_controllen = sizeof passed.space;
        if (recvmsg(control, &message, MSG_CMSG_CLOEXEC) <= 0) return 0;
        header = CMSG_FIRSTHDR(&message);
        if (header == NULL || header->cmsg_type != SCM_RIGHTS || header->cmsg_len != CMSG_LEN(sizeof fds)) return 0;
        memcpy(fds, CMSG_DATA(header), sizeof fds);
        if (*wire >= 0) close(*wire);
        if (*inner >= 0) close(*inner);
        *wire = fds[0];
        *inner = fds[1];
        return 1;
    }

    static void *lifeline_thread(void *argument) {
        int control = (int)(intptr_t)argument, wire = -1, inner = -1;
        char answer = unshare(CLONE_FILES) == 0 ? 'y' : 'n';
        if (answer == 'y') lifeline_keep_only(control);
        if (send(control, &answer, 1, MSG_NOSIGNAL) != 1 || answer == 'n') return NULL;
        for (;;) {
            struct pollfd asked[3] = {{control, POLLIN, 0}, {wire, POLLIN, 0}, {inner, POLLIN, 0}};
            if (poll(asked, 3, -1) < 0 && errno != EINTR) return NULL;
            if (asked[0].revents) {
                if (!lifeline_receive(control, &wire, &inner)) return NULL;
            } else if ((asked[1].revents && lifeline_ended(wire)) || (asked[2].revents && lifeline_ended(inner))) {
                close(wire);
                close(inner);
                wire = inner = -1;
            }
        }
    }

    static int lifeline_start(void) {
        pthread_t thread;
        pthread_attr_t attributes;
        sigset_t all, before;
        int pair[2], status;
        char answer = 'n';
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) return -1;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);     /* signals are for the other threads */
        pthread_attr_init(&attributes);
        pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
        pthread_attr_setstacksize(&attributes, 64 * 1024);
        status = pthread_create(&thread, &attributes, lifeline_thread, (void *)(intptr_t)pair[1]);
        pthread_attr_destroy(&attributes);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        if (status != 0 || recv(pair[0], &answer, 1, 0) != 1 || answer != 'y') {
            close(pair[0]);
            if (status != 0) close(pair[1]);
            return -1;
        }
        close(pair[1]);                                  /* ours; the thread has its own */
        return pair[0];
    }

    static int lifeline_hold(int control, int fd) {
        union { struct cmsghdr header; char space[CMSG_SPACE(2 * sizeof(int))]; } passed;
        char byte = 0;
        struct iovec part = {&byte, 1};
        struct msghdr message;
        struct cmsghdr *header;
        int pair[2], fds[2];
        if (control < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0) return fd;
        fds[0] = fd;
        fds[1] = pair[1];
        memset(&message, 0, sizeof message);
        memset(&passed, 0, sizeof passed);
        message.msg_iov = &part;
        message.msg_iovlen = 1;
        message.msg_control = passed.space;
        message.msg_controllen = sizeof passed.space;
        header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof fds);
        memcpy(CMSG_DATA(header), fds, sizeof fds);
        if (sendmsg(control, &message, MSG_DONTWAIT | MSG_NOSIGNAL) != 1) {
            close(pair[0]);
            close(pair[1]);
            return fd;
        }
        close(fd);
        close(pair[1]);
        return pair[0];
    }
    #endif
    """
    # Starts the thread; the file descriptor to give to lifeline_hold, or -1: it cannot be had, and nothing is lost but
    # the milliseconds.
    int lifeline_start()
    # Hands over a connection, on which nothing more is sent or awaited; what to watch instead. `fd` itself if that
    # fails.
    int lifeline_hold(int control, int fd)
