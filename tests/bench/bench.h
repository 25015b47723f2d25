/*
 * bench.h - what the load clients share: clock, latency histogram, addresses, key files.
 *
 * Everything is one thread and one process.  Faults of the machine or of the
 * command line end the program with exit code 2 and a message; faults of the
 * server are counted and printed, since they are a result.
 *
 * Limits: latencies are kept in a log-linear histogram of 128 steps an octave,
 * so a percentile is at most 0.8 % off.
 */
#ifndef BENCH_H
#define BENCH_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { STEP_BITS = 7, STEPS = 1 << STEP_BITS, OCTAVES = 64 };

typedef struct {
    uint64_t count[OCTAVES * STEPS];
    uint64_t total, highest;
} Histogram;

typedef struct {
    const char *text;   /* the key, not terminated */
    const char *expect; /* the status it must get, or NULL */
    uint16_t length, expect_length;
} Key;

typedef struct {
    Key *keys;
    size_t count, next;
    uint64_t chance; /* state of the random numbers; 0: in turn */
} KeyFile;

__attribute__((noreturn, format(printf, 1, 2))) static inline void fail(const char *format, ...)
{
    va_list words;
    va_start(words, format);
    vfprintf(stderr, format, words);
    va_end(words);
    fputc('\n', stderr);
    exit(2);
}

static inline uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* CPU seconds of this process so far. */
static inline double own_cpu(void)
{
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    return (double)use.ru_utime.tv_sec + (double)use.ru_stime.tv_sec +
           ((double)use.ru_utime.tv_usec + (double)use.ru_stime.tv_usec) / 1e6;
}

static inline void pin_to(unsigned cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    if (sched_setaffinity(0, sizeof set, &set) < 0)
        fail("cannot run on CPU %u: %s", cpu, strerror(errno));
}

static inline void record(Histogram *h, uint64_t ns)
{
    unsigned slot = (unsigned)ns;
    if (ns >= STEPS) {
        unsigned octave = 63u - (unsigned)__builtin_clzll(ns);
        slot = (octave - STEP_BITS + 1) * STEPS +
               (unsigned)((ns >> (octave - STEP_BITS)) & (STEPS - 1));
    }
    h->count[slot]++;
    h->total++;
    if (ns > h->highest)
        h->highest = ns;
}

/* The latency, in microseconds, that `share` of all requests do not exceed. */
static inline double percentile(const Histogram *h, double share)
{
    uint64_t wanted = (uint64_t)((double)h->total * share), seen = 0;
    for (unsigned slot = 0; slot < OCTAVES * STEPS; slot++) {
        seen += h->count[slot];
        if (seen > wanted) {
            if (slot < STEPS)
                return slot / 1000.0;
            unsigned octave = slot / STEPS + STEP_BITS - 1;
            uint64_t low = (1ull << octave) | ((uint64_t)(slot % STEPS) << (octave - STEP_BITS));
            return (double)low / 1000.0;
        }
    }
    return (double)h->highest / 1000.0;
}

static inline int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* Reads "key" or "key TAB expected status" lines; the file stays in memory. */
static inline KeyFile read_keys(const char *path)
{
    KeyFile file = {0};
    FILE *in = fopen(path, "r");
    struct stat status;
    if (!in || fstat(fileno(in), &status) < 0)
        fail("%s: %s", path, strerror(errno));
    size_t size = (size_t)status.st_size, room = 0;
    char *text = malloc(size + 1);
    if (!text || fread(text, 1, size, in) != size)
        fail("%s: cannot be read", path);
    fclose(in);
    text[size] = '\n';
    for (char *line = text, *end; line < text + size; line = end + 1) {
        end = memchr(line, '\n', (size_t)(text + size + 1 - line));
        if (file.count == room) {
            room = room ? room * 2 : 1024;
            file.keys = realloc(file.keys, room * sizeof *file.keys);
            if (!file.keys)
                fail("no memory for the keys");
        }
        char *tab = memchr(line, '\t', (size_t)(end - line));
        char *stop = tab ? tab : end;
        if (stop - line > 1000)
            fail("%s: line %zu is longer than 1000 bytes", path, file.count + 1);
        Key *key = &file.keys[file.count++];
        *key = (Key){.text = line, .length = (uint16_t)(stop - line)};
        if (tab)
            key->expect = tab + 1, key->expect_length = (uint16_t)(end - tab - 1);
    }
    if (!file.count)
        fail("%s: no keys in it", path);
    return file;
}

/* Another key: at random (xorshift64*), or the next one where the file has no seed. */
static inline const Key *pick(KeyFile *file)
{
    if (!file->chance) {
        size_t at = file->next;
        file->next = at + 1 < file->count ? at + 1 : 0;
        return &file->keys[at];
    }
    file->chance ^= file->chance >> 12;
    file->chance ^= file->chance << 25;
    file->chance ^= file->chance >> 27;
    uint64_t number = (file->chance * 0x2545f4914f6cdd1dull) >> 32;
    return &file->keys[(number * file->count) >> 32];
}

/* A bijection of 40 bits, written with 32 letters: neighbours look unrelated, none repeats. */
static inline size_t unique_name(char *out, uint64_t number)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz-_3456";
    uint64_t x = number & 0xffffffffffull;
    for (int turn = 0; turn < 3; turn++) {
        x = (x * 0x9e3779b97f4a7c15ull) & 0xffffffffffull;
        x ^= x >> 19;
    }
    for (int i = 0; i < 8; i++, x >>= 5)
        out[i] = letters[x & 31];
    if (out[0] < 'a') /* a name begins with a letter; an extra one keeps it unique */
        return memmove(out + 1, out, 8), out[0] = 'q', 9;
    return 8;
}

/* A connected socket, or -1 with errno.  `address` is a path or 127.0.0.1:PORT.  Blocks. */
static inline int connect_to(const char *address)
{
    int fd, one = 1;
    if (strchr(address, '/')) {
        struct sockaddr_un unix_address = {.sun_family = AF_UNIX};
        if (strlen(address) >= sizeof unix_address.sun_path)
            fail("%s: too long for a Unix socket", address);
        strcpy(unix_address.sun_path, address);
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0 || connect(fd, (struct sockaddr *)&unix_address, sizeof unix_address) < 0)
            return fd < 0 ? -1 : (close(fd), -1);
        return fd;
    }
    char host[64];
    const char *colon = strrchr(address, ':');
    struct sockaddr_in address4 = {.sin_family = AF_INET};
    if (!colon || (size_t)(colon - address) >= sizeof host)
        fail("%s: neither a path nor ADDRESS:PORT", address);
    memcpy(host, address, (size_t)(colon - address));
    host[colon - address] = 0;
    address4.sin_port = htons((uint16_t)atoi(colon + 1));
    if (!inet_aton(host, &address4.sin_addr) || ntohl(address4.sin_addr.s_addr) >> 24 != 127)
        fail("%s: only loopback addresses are loaded", address);
    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address4, sizeof address4) < 0)
        return fd < 0 ? -1 : (close(fd), -1);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

static inline void set_nonblocking(int fd)
{
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

#endif
