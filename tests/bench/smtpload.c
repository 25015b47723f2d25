/*
 * smtpload.c - load client for SMTP: RCPT commands, or whole sessions, a second.
 *
 *   smtpload -a ADDRESS (-k KEYS [-o SKIPPED | -R SEED] | -u START) -D DOMAIN
 *            (-t SECONDS | -r REQUESTS) [-n CONNECTIONS] [-m RECIPIENTS] [-s]
 *            [-e CODE] [-w SECONDS] [-h]
 *
 * On CONNECTIONS connections at once: greeting and EHLO, then mails without end, each MAIL,
 * RECIPIENTS times RCPT, and RSET, as a client that gives up before DATA.  No command is sent
 * before the reply to the one before it.  With -s each recipient has a session of its own:
 * connect, EHLO, MAIL, RCPT, QUIT, and the next one.
 *
 * Recipients come from a file (at random with -R, else in turn behind the first SKIPPED), or
 * are names of random letters that never repeat (-u); -D is put behind an @.  -e is the code
 * that each RCPT must get, or its first digits.  -r ends after so many RCPT commands (or sessions).
 *
 * Prints one line of JSON; requests are RCPT commands, latencies theirs alone, with -s
 * requests are sessions and latencies run from before connect to behind the reply to QUIT.
 * With -h it says `ready` when each connection is before its first RCPT (with -s: before the
 * first session) and waits for a line of standard input.
 *
 * Limits: one thread.  A connection on which something else than a reply comes, or another
 * code than 2xx to anything but RCPT, is counted as broken and not opened again.
 */
#define _GNU_SOURCE
#include "bench.h"

enum { MAX_REPLY = 4096, CODES = 1000 };

/* What a connection waits for the reply to. */
enum { GREETING, EHLO, MAIL, RCPT, RSET, QUIT, READY };

typedef struct {
    int fd, waiting, recipients;
    uint64_t sent_at, answered;
    size_t held;
    char bytes[MAX_REPLY];
} Connection;

static struct {
    const char *address, *keys, *domain, *expect;
    int connections, recipients, sessions, unique, hold;
    double seconds, wait;
    long requests;
    uint64_t start, seed, skipped;
} options = {.connections = 1, .recipients = 10, .requests = -1, .wait = 30};

static KeyFile file;
static Histogram latencies;
static uint64_t next_unique, replies[CODES], broken, wrong, asked, budget;
static char first_wrong[160];
static int measuring, epoll;

static void drop(Connection *c)
{
    broken++;
    close(c->fd);
    c->fd = -1;
}

static void say(Connection *c, int step, const char *line, size_t length)
{
    c->waiting = step;
    if (send(c->fd, line, length, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)length)
        drop(c);
}

static void mail(Connection *c)
{
    static const char line[] = "MAIL FROM:<someone@example.net>\r\n";
    c->recipients = 0;
    say(c, MAIL, line, sizeof line - 1);
}

static void recipient(Connection *c)
{
    char line[2048], name[1024];
    size_t length;
    if (options.unique) {
        length = unique_name(name, next_unique++);
    } else {
        const Key *key = pick(&file);
        memcpy(name, key->text, length = key->length);
    }
    int size = snprintf(line, sizeof line, "RCPT TO:<%.*s@%s>\r\n", (int)length, name,
                        options.domain);
    c->recipients++;
    if (!options.sessions)
        c->sent_at = now_ns();
    say(c, RCPT, line, (size_t)size);
}

/* The next request of a connection at which one may begin; nothing if there is none left. */
static void request(Connection *c)
{
    c->waiting = READY;
    if (!measuring || !budget)
        return;
    if (options.sessions) {
        budget--, asked++;
        c->sent_at = now_ns();
        c->fd = connect_to(options.address);
        if (c->fd < 0) {
            broken++;
            return;
        }
        set_nonblocking(c->fd);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
        epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event);
        c->held = 0;
        c->waiting = GREETING;
        return;
    }
    if (c->recipients == options.recipients) {
        say(c, RSET, "RSET\r\n", 6);
        return;
    }
    budget--, asked++;
    recipient(c);
}

static void answered(Connection *c)
{
    record(&latencies, now_ns() - c->sent_at);
    c->answered++;
}

static void check_code(const char *line, size_t length)
{
    replies[(line[0] - '0') * 100 + (line[1] - '0') * 10 + line[2] - '0']++;
    if (options.expect && strncmp(line, options.expect, strlen(options.expect)) && !wrong++)
        snprintf(first_wrong, sizeof first_wrong, "expected %s, got %.*s", options.expect,
                 (int)(length > 120 ? 120 : length), line);
}

/* A whole reply; its last line. */
static void take(Connection *c, const char *line, size_t length)
{
    if (c->waiting != RCPT && line[0] != '2') {
        fprintf(stderr, "unexpected reply: %.*s\n", (int)length, line);
        drop(c);
        return;
    }
    switch (c->waiting) {
    case GREETING: say(c, EHLO, "EHLO client.example.net\r\n", 25); break;
    case EHLO:
    case RSET: mail(c); break;
    case MAIL:
        if (options.sessions)
            recipient(c);
        else
            request(c);
        break;
    case RCPT:
        check_code(line, length);
        if (options.sessions) {
            say(c, QUIT, "QUIT\r\n", 6);
        } else {
            answered(c);
            request(c);
        }
        break;
    case QUIT:
        answered(c);
        close(c->fd);
        c->fd = -1;
        request(c);
        break;
    default: drop(c);
    }
}

static void receive(Connection *c)
{
    ssize_t got = recv(c->fd, c->bytes + c->held, sizeof c->bytes - c->held, 0);
    if (got <= 0) {
        if (got == 0 || (errno != EAGAIN && errno != EINTR))
            drop(c);
        return;
    }
    c->held += (size_t)got;
    size_t done = 0;
    char *end;
    while (c->fd >= 0 && (end = memchr(c->bytes + done, '\n', c->held - done))) {
        const char *line = c->bytes + done;
        size_t length = (size_t)(end - line);
        done = (size_t)(end + 1 - c->bytes);
        if (length < 4 || !memchr("2345", line[0], 4) || (unsigned)(line[1] - '0') > 9 ||
            (unsigned)(line[2] - '0') > 9) {
            drop(c);
        } else if (line[3] != '-') {
            /* No command is outstanding behind this one: whatever was held ends here. */
            c->held = 0;
            take(c, line, length - (length > 4 && line[length - 1] == '\r'));
            return;
        }
    }
    memmove(c->bytes, c->bytes + done, c->held - done);
    c->held -= done;
    if (c->held == sizeof c->bytes)
        drop(c);
}

static void parse(int argc, char **argv)
{
    int letter;
    while ((letter = getopt(argc, argv, "a:k:o:u:t:r:n:m:D:e:R:w:sh")) != -1)
        switch (letter) {
        case 'a': options.address = optarg; break;
        case 'k': options.keys = optarg; break;
        case 'o': options.skipped = strtoull(optarg, NULL, 10); break;
        case 'u': options.unique = 1; options.start = strtoull(optarg, NULL, 10); break;
        case 't': options.seconds = atof(optarg); break;
        case 'r': options.requests = atol(optarg); break;
        case 'n': options.connections = atoi(optarg); break;
        case 'm': options.recipients = atoi(optarg); break;
        case 'D': options.domain = optarg; break;
        case 'e': options.expect = optarg; break;
        case 'R': options.seed = strtoull(optarg, NULL, 10); break;
        case 'w': options.wait = atof(optarg); break;
        case 's': options.sessions = 1; break;
        case 'h': options.hold = 1; break;
        default: exit(2);
        }
    if (!options.address || !options.domain || (!options.keys == !options.unique) ||
        ((options.seconds <= 0) == (options.requests < 0)) || options.connections < 1 ||
        options.recipients < 1 || strlen(options.domain) > 255 ||
        (options.expect && strlen(options.expect) > 3))
        fail("usage: smtpload -a ADDRESS (-k KEYS | -u START) -D DOMAIN (-t SECONDS | -r N) ...");
}

/* Serves whatever is ready; a tenth of a second at most where nothing is. */
static void turn(void)
{
    struct epoll_event ready[512];
    int count = epoll_wait(epoll, ready, 512, 100);
    for (int j = 0; j < count; j++) {
        Connection *c = ready[j].data.ptr;
        if (c->fd >= 0)
            receive(c);
    }
}

int main(int argc, char **argv)
{
    parse(argc, argv);
    signal(SIGPIPE, SIG_IGN);
    if (options.keys) {
        file = read_keys(options.keys);
        file.chance = options.seed;
        file.next = options.skipped % file.count;
    }
    next_unique = options.start;
    int n = options.connections, refused = 0;
    epoll = epoll_create1(EPOLL_CLOEXEC);
    Connection *connections = calloc((size_t)n, sizeof *connections);
    uint64_t *spread = calloc((size_t)n, sizeof *spread);
    if (!connections || !spread)
        fail("no memory for %d connections", n);
    uint64_t begin = now_ns(), limit = begin + (uint64_t)(options.wait * 1e9);
    for (int i = 0; i < n; i++) {
        Connection *c = &connections[i];
        c->waiting = READY;
        c->fd = options.sessions ? -1 : connect_to(options.address);
        if (options.sessions)
            continue;
        if (c->fd < 0) {
            if (!refused++)
                fprintf(stderr, "%s: %s\n", options.address, strerror(errno));
            continue;
        }
        set_nonblocking(c->fd);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
        epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event);
        c->waiting = GREETING;
    }
    int stalled = n;
    while (stalled && now_ns() < limit) {
        stalled = 0;
        for (int i = 0; i < n; i++)
            stalled += connections[i].fd >= 0 && connections[i].waiting != READY;
        if (stalled)
            turn();
    }
    double setup = (double)(now_ns() - begin) / 1e9;
    char byte;
    if (options.hold) {
        puts("ready");
        fflush(stdout);
        if (read(0, &byte, 1) != 1)
            fail("standard input ended before the start");
    }

    double cpu = own_cpu();
    uint64_t start = now_ns(), end = start + (uint64_t)(options.seconds * 1e9), last = start;
    budget = options.requests >= 0 ? (uint64_t)options.requests : UINT64_MAX;
    measuring = 1;
    for (int i = 0; i < n; i++)
        if (options.sessions || connections[i].fd >= 0)
            request(&connections[i]);
    while (broken < (uint64_t)(n - refused) &&
           (options.requests >= 0 ? budget || latencies.total < asked : last < end)) {
        uint64_t before = latencies.total;
        turn();
        uint64_t t = now_ns();
        if (options.requests >= 0 && latencies.total == before &&
            t - last > (uint64_t)(options.wait * 1e9))
            break; /* the rest is lost */
        if (latencies.total != before || options.requests < 0)
            last = t;
    }
    double elapsed = (double)(last - start) / 1e9;
    cpu = own_cpu() - cpu;
    uint64_t lost = options.requests >= 0 ? asked + budget - latencies.total : 0;
    for (int i = 0; i < n; i++)
        spread[i] = connections[i].answered;
    qsort(spread, (size_t)n, sizeof *spread, by_value);
    printf("{\"connections\":%d,\"setup_s\":%.6f,\"seconds\":%.6f,\"answered\":%llu,"
           "\"requests_per_s\":%.1f,\"p50_us\":%.2f,\"p99_us\":%.2f,\"p999_us\":%.2f,\"max_us\":%.1f,"
           "\"least\":%llu,\"median\":%llu,\"most\":%llu,\"client_cpu_s\":%.4f,"
           "\"refused\":%d,\"stalled\":%d,\"broken\":%llu,\"malformed\":0,\"lost\":%llu,"
           "\"wrong\":%llu,\"first_wrong\":\"",
           n, setup, elapsed, (unsigned long long)latencies.total,
           elapsed > 0 ? (double)latencies.total / elapsed : 0.0, percentile(&latencies, .5),
           percentile(&latencies, .99), percentile(&latencies, .999),
           (double)latencies.highest / 1000.0, (unsigned long long)spread[0],
           (unsigned long long)spread[n / 2], (unsigned long long)spread[n - 1], cpu, refused,
           stalled, (unsigned long long)broken, (unsigned long long)lost,
           (unsigned long long)wrong);
    for (const char *at = first_wrong; *at; at++)
        putchar(*at < ' ' || *at > '~' || *at == '"' || *at == '\\' ? '?' : *at);
    printf("\",\"statuses\":{");
    const char *comma = "";
    for (int code = 0; code < CODES; code++)
        if (replies[code]) {
            printf("%s\"%d\":%llu", comma, code, (unsigned long long)replies[code]);
            comma = ",";
        }
    printf("}}\n");
    fflush(stdout);
    while (options.hold && read(0, &byte, 1) > 0)
        ;
    return 0;
}
