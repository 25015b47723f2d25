/*
 * echo.c - the limit that a socketmap server on one core can reach.
 *
 *   echo SOCKET
 *
 * Listens on a Unix socket and answers every netstring "MAP KEY" with "OK KEY"
 * from one epoll loop, edge by edge: one read, one write a wake-up, nothing
 * looked up.  Requests may be pipelined and may arrive in pieces.
 *
 * Limits: it trusts its client (a request of at most 4 KiB, replies that fit
 * into the socket's buffer), and it runs until it gets a signal.
 */
#define _GNU_SOURCE
#include "bench.h"

enum { ROOM = 65536, MAX_CONNECTIONS = 4096, MAX_REQUEST = 4096 };

typedef struct {
    size_t held; /* bytes of an incomplete request */
    char bytes[MAX_REQUEST + 16];
} Connection;

static Connection *connections[MAX_CONNECTIONS];

static void drop(int fd)
{
    free(connections[fd]);
    connections[fd] = NULL;
    close(fd);
}

/* Answers the complete requests in `in`; returns how many bytes they were, or -1. */
static long answer(const char *in, size_t size, char *out, size_t *out_size)
{
    size_t done = 0;
    while (done < size) {
        size_t at = done, length = 0;
        while (at < size && in[at] >= '0' && in[at] <= '9')
            length = length * 10 + (size_t)(in[at++] - '0');
        if (length > MAX_REQUEST)
            return -1;
        if (at + 1 + length >= size)
            break;
        const char *text = in + at + 1, *blank = memchr(text, ' ', length);
        if (in[at] != ':' || text[length] != ',' || !blank)
            return -1;
        size_t key = length - (size_t)(blank + 1 - text);
        *out_size += (size_t)sprintf(out + *out_size, "%zu:OK ", key + 3);
        memcpy(out + *out_size, blank + 1, key);
        *out_size += key;
        out[(*out_size)++] = ',';
        done = at + 1 + length + 1;
    }
    return (long)done;
}

static void serve(int fd)
{
    static char in[ROOM + MAX_REQUEST + 16], out[2 * ROOM];
    Connection *c = connections[fd];
    memcpy(in, c->bytes, c->held);
    ssize_t got = recv(fd, in + c->held, ROOM, 0);
    if (got <= 0) {
        if (got == 0 || (errno != EAGAIN && errno != EINTR))
            drop(fd);
        return;
    }
    size_t size = c->held + (size_t)got, out_size = 0;
    long done = answer(in, size, out, &out_size);
    if (done < 0 || size - (size_t)done > sizeof c->bytes) {
        drop(fd);
        return;
    }
    c->held = size - (size_t)done;
    memcpy(c->bytes, in + done, c->held);
    if (out_size && send(fd, out, out_size, MSG_NOSIGNAL) != (ssize_t)out_size)
        drop(fd);
}

int main(int argc, char **argv)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (argc != 2 || strlen(argv[1]) >= sizeof address.sun_path)
        fail("usage: echo SOCKET");
    strcpy(address.sun_path, argv[1]);
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof address) < 0 ||
        chmod(argv[1], 0666) < 0 || listen(listener, 1024) < 0)
        fail("%s: %s", argv[1], strerror(errno));
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, ready[256];
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        int count = epoll_wait(epoll, ready, 256, -1);
        for (int i = 0; i < count; i++) {
            int fd = ready[i].data.fd;
            if (fd != listener) {
                serve(fd);
                continue;
            }
            int peer = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
            if (peer < 0)
                continue;
            if (peer >= MAX_CONNECTIONS || !(connections[peer] = calloc(1, sizeof(Connection)))) {
                close(peer);
                continue;
            }
            event.data.fd = peer;
            epoll_ctl(epoll, EPOLL_CTL_ADD, peer, &event);
        }
    }
}
