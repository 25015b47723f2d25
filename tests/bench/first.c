/*
 * first.c - from exec to the first answer of a socketmap server on standard input.
 *
 *   first TIMES KEY PROGRAM [ARGUMENT...]
 *   first TIMES "" PROGRAM [ARGUMENT...]      until it ends, nothing being asked
 *
 * Starts PROGRAM again and again, one after the other, with one end of a socket
 * pair as standard input and output, asks KEY at once, and measures the time
 * from before the fork to the complete reply.  A small parent makes the fork
 * cheap, so that the time is the program's own.
 *
 * Prints one line of JSON: the milliseconds of each start in their order, and
 * the reply (which must be the same each time).  Fails if the program does not
 * answer within 30 s or ends with another code than 0 at end of file.
 */
#define _GNU_SOURCE
#include "bench.h"
#include <sys/wait.h>

enum { MAX_TIMES = 1000, ANSWER_SECONDS = 30 };

static void run_program(int fd, char **argv)
{
    int null = open("/dev/null", O_WRONLY);
    if (dup2(fd, 0) < 0 || dup2(fd, 1) < 0 || dup2(null, 2) < 0)
        _exit(127);
    execv(argv[0], argv);
    _exit(127);
}

int main(int argc, char **argv)
{
    int times = argc >= 4 ? atoi(argv[1]) : 0;
    double ms[MAX_TIMES];
    char request[1200], reply[2048], first_reply[2048] = "";
    if (times < 1 || times > MAX_TIMES || strlen(argv[2]) > 1000)
        fail("usage: first TIMES KEY PROGRAM [ARGUMENT...]; TIMES up to %d", MAX_TIMES);
    int size = sprintf(request, "%zu:cyrus %s,", strlen(argv[2]) + 6, argv[2]);
    int asks = argv[2][0] != 0;
    for (int i = 0; i < times; i++) {
        int pair[2], status;
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
            fail("socketpair: %s", strerror(errno));
        struct timeval limit = {.tv_sec = ANSWER_SECONDS};
        setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
        uint64_t start = now_ns();
        pid_t pid = fork();
        if (pid < 0)
            fail("fork: %s", strerror(errno));
        if (pid == 0)
            run_program(pair[1], argv + 3);
        close(pair[1]);
        size_t got = 0;
        if (asks && send(pair[0], request, (size_t)size, MSG_NOSIGNAL) != size)
            fail("%s: closed standard input", argv[3]);
        while (!got || reply[got - 1] != ',') {
            ssize_t more = recv(pair[0], reply + got, sizeof reply - 1 - got, 0);
            if (!more && !asks)
                break;
            if (more <= 0)
                fail("%s: no answer (%s)", argv[3], more ? strerror(errno) : "it ended");
            got += (size_t)more;
        }
        ms[i] = (double)(now_ns() - start) / 1e6;
        reply[got] = 0;
        close(pair[0]);
        if (waitpid(pid, &status, 0) < 0 || status)
            fail("%s: ended with status %d", argv[3], status);
        if (i == 0)
            strcpy(first_reply, reply);
        else if (strcmp(first_reply, reply))
            fail("%s: answered %s, then %s", argv[3], first_reply, reply);
    }
    printf("{\"ms\":[");
    for (int i = 0; i < times; i++)
        printf("%s%.4f", i ? "," : "", ms[i]);
    printf("],\"reply\":\"");
    for (const char *at = first_reply; *at; at++)
        putchar(*at < ' ' || *at > '~' || *at == '"' || *at == '\\' ? '?' : *at);
    printf("\"}\n");
    return 0;
}
