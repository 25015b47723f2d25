/*
 * load.c - load client for socketmap and for Postfix' policy delegation protocol.
 *
 *   load -a ADDRESS (-k KEYS | -u START) (-t SECONDS | -r REQUESTS)
 *        [-n CONNECTIONS] [-d DEPTH] [-p socketmap|policy] [-m MAP] [-D DOMAIN]
 *        [-e STATUS] [-R SEED] [-c CPU] [-w SECONDS] [-h]
 *
 * Opens CONNECTIONS connections to a Unix socket or a loopback port, asks one
 * question on each and waits for all answers (that is the set-up, its time is
 * printed); then each connection keeps DEPTH questions outstanding until the
 * time is over or the number of requests is reached.  -r 0 ends after the set-up.
 *
 * Keys come from a file ("key" or "key TAB status" a line), at random with -R, else in
 * turn; or they never repeat: -u makes names of random letters, and two runs with
 * different ranges of START share none.
 * Each reply's status (the first word; of a policy action up to the first
 * blank) is compared with the key file's, or with -e.
 *
 * Prints one line of JSON.  With -h somebody else looks at the server in between:
 * it says `ready` after the set-up and waits for a line of standard input, and it
 * holds the connections after the result until standard input ends.
 *
 * Limits: one thread; DEPTH requests must fit into a socket's buffer, a reply into
 * 2 KiB.  A connection that breaks is counted and not opened again.  Whatever has
 * no answer -w seconds after the end is counted as lost.
 */
#define _GNU_SOURCE
#include "bench.h"

enum { MAX_DEPTH = 256, MAX_REPLY = 2048, MAX_REQUEST = 2048, STATUSES = 16, IN_ROOM = 65536 };

typedef struct {
    uint64_t sent_at;
    const Key *key;
} Question;

typedef struct {
    int fd;
    uint32_t first, outstanding; /* ring of questions */
    size_t held;                 /* bytes of an incomplete reply */
    uint64_t answered;
    Question *ring;
    char bytes[MAX_REPLY];
} Connection;

static struct {
    const char *address, *keys, *map, *domain, *expect;
    int connections, depth, policy, unique, cpu, hold;
    double seconds, wait;
    long requests;
    uint64_t start, seed;
} options = {.map = "cyrus", .domain = "", .connections = 1, .depth = 1, .cpu = -1,
             .requests = -1, .wait = 30};

static KeyFile file;
static uint64_t next_unique;
static Histogram latencies;
static struct { char name[24]; uint64_t count; } statuses[STATUSES];
static uint64_t asked, answered, wrong, malformed, broken;
static char first_wrong[160];

static const char policy_head[] =
    "request=smtpd_access_policy\nprotocol_state=RCPT\nprotocol_name=ESMTP\n"
    "client_address=192.0.2.77\nclient_name=mx7.example.net\nclient_port=40122\n"
    "reverse_client_name=mx7.example.net\nserver_address=192.0.2.1\nserver_port=25\n"
    "helo_name=mx7.example.net\nsender=someone@example.net\nrecipient=";
static const char policy_tail[] =
    "\nrecipient_count=0\nqueue_id=\ninstance=1f2a.65c0f2a1.4e21b.0\nsize=12345\netrn_domain=\n"
    "stress=\nsasl_method=\nsasl_username=\nsasl_sender=\nccert_subject=\nccert_issuer=\n"
    "ccert_fingerprint=\nccert_pubkey_fingerprint=\nencryption_protocol=TLSv1.3\n"
    "encryption_cipher=TLS_AES_256_GCM_SHA384\nencryption_keysize=256\npolicy_context=\n\n";

static size_t make_request(char *out, const Key **key)
{
    char name[MAX_REQUEST / 2];
    size_t length, domain = strlen(options.domain);
    if (options.unique) {
        *key = NULL;
        length = unique_name(name, next_unique++);
    } else {
        *key = pick(&file);
        length = (*key)->length;
        memcpy(name, (*key)->text, length);
    }
    if (domain) {
        name[length++] = '@';
        memcpy(name + length, options.domain, domain);
        length += domain;
    }
    if (options.policy) {
        char *at = mempcpy(out, policy_head, sizeof policy_head - 1);
        at = mempcpy(mempcpy(at, name, length), policy_tail, sizeof policy_tail - 1);
        return (size_t)(at - out);
    }
    size_t map = strlen(options.map);
    char *at = out + sprintf(out, "%zu:%s ", map + 1 + length, options.map);
    at = mempcpy(at, name, length);
    *at++ = ',';
    return (size_t)(at - out);
}

static void drop(Connection *c)
{
    broken++;
    close(c->fd);
    c->fd = -1;
}

/* Puts `count` more questions on a connection with one write. */
static void ask(Connection *c, int count)
{
    static char out[MAX_DEPTH * MAX_REQUEST];
    size_t size = 0;
    uint64_t t = now_ns();
    for (int i = 0; i < count; i++) {
        Question *q = &c->ring[(c->first + c->outstanding++) % MAX_DEPTH];
        size += make_request(out + size, &q->key);
        q->sent_at = t;
    }
    asked += (uint64_t)count;
    if (send(c->fd, out, size, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)size)
        drop(c);
}

static void check_status(const char *text, size_t length, const Key *key)
{
    size_t word = 0;
    while (word < length && word < sizeof statuses[0].name - 1 && text[word] != ' ')
        word++;
    int i = 0;
    while (i < STATUSES - 1 && statuses[i].count &&
           (strlen(statuses[i].name) != word || memcmp(statuses[i].name, text, word)))
        i++;
    if (!statuses[i].count++)
        for (size_t n = 0; n < word; n++)
            statuses[i].name[n] = text[n] > ' ' && text[n] < 127 && text[n] != '"' &&
                                  text[n] != '\\' ? text[n] : '?';
    const char *expect = key && key->expect ? key->expect : options.expect;
    size_t expected = key && key->expect ? key->expect_length : expect ? strlen(expect) : 0;
    if (expect && (expected != word || memcmp(expect, text, word)) && !wrong++) {
        int shown = length > 60 ? 60 : (int)length;
        snprintf(first_wrong, sizeof first_wrong, "expected %.*s for %.*s, got %.*s",
                 (int)expected, expect, key ? (int)key->length : 6, key ? key->text : "unique",
                 shown, text);
    }
}

/* The size of the first complete reply in `in`, 0 if there is none yet, -1 if it is malformed. */
static long reply(const char *in, size_t size, const char **text, size_t *length)
{
    if (options.policy) {
        const char *end = memmem(in, size, "\n\n", 2);
        if (!end)
            return size < MAX_REPLY ? 0 : -1;
        if (end - in < 7 || memcmp(in, "action=", 7))
            return -1;
        *text = in + 7, *length = (size_t)(end - in) - 7;
        return end + 2 - in;
    }
    size_t at = 0, number = 0;
    while (at < size && at < 5 && in[at] >= '0' && in[at] <= '9')
        number = number * 10 + (size_t)(in[at++] - '0');
    if (at < size && (in[at] != ':' || at == 0 || number > MAX_REPLY - 16))
        return -1;
    if (at + 1 + number >= size)
        return 0;
    *text = in + at + 1, *length = number;
    return in[at + 1 + number] == ',' ? (long)(at + number + 2) : -1;
}

/* Reads what is there; returns how many questions were answered. */
static int receive(Connection *c, int measured)
{
    static char in[MAX_REPLY + IN_ROOM];
    memcpy(in, c->bytes, c->held);
    ssize_t got = recv(c->fd, in + c->held, IN_ROOM, 0);
    if (got <= 0) {
        if (got < 0 && (errno == EAGAIN || errno == EINTR))
            return 0;
        drop(c);
        return 0;
    }
    size_t size = c->held + (size_t)got, done = 0;
    uint64_t t = now_ns();
    int count = 0;
    for (;;) {
        const char *text;
        size_t length;
        long bytes = done < size ? reply(in + done, size - done, &text, &length) : 0;
        if (bytes < 0 || (bytes > 0 && !c->outstanding)) {
            malformed++;
            drop(c);
            return count;
        }
        if (bytes == 0)
            break;
        Question *q = &c->ring[c->first];
        check_status(text, length, q->key);
        if (measured)
            record(&latencies, t - q->sent_at), c->answered++, answered++;
        c->first = (c->first + 1) % MAX_DEPTH;
        c->outstanding--;
        count++;
        done += (size_t)bytes;
    }
    c->held = size - done;
    if (c->held > sizeof c->bytes) {
        malformed++;
        drop(c);
        return count;
    }
    memcpy(c->bytes, in + done, c->held);
    return count;
}

static void parse(int argc, char **argv)
{
    int letter;
    while ((letter = getopt(argc, argv, "a:k:u:t:r:n:d:p:m:D:e:R:c:w:h")) != -1)
        switch (letter) {
        case 'a': options.address = optarg; break;
        case 'k': options.keys = optarg; break;
        case 'u': options.unique = 1; options.start = strtoull(optarg, NULL, 10); break;
        case 't': options.seconds = atof(optarg); break;
        case 'r': options.requests = atol(optarg); break;
        case 'n': options.connections = atoi(optarg); break;
        case 'd': options.depth = atoi(optarg); break;
        case 'p': options.policy = !strcmp(optarg, "policy"); break;
        case 'm': options.map = optarg; break;
        case 'D': options.domain = optarg; break;
        case 'e': options.expect = optarg; break;
        case 'R': options.seed = strtoull(optarg, NULL, 10); break;
        case 'c': options.cpu = atoi(optarg); break;
        case 'w': options.wait = atof(optarg); break;
        case 'h': options.hold = 1; break;
        default: exit(2);
        }
    if (!options.address || (!options.keys == !options.unique) ||
        ((options.seconds <= 0) == (options.requests < 0)))
        fail("usage: load -a ADDRESS (-k KEYS | -u START) (-t SECONDS | -r REQUESTS) ...");
    if (options.connections < 1 || options.depth < 1 || options.depth > MAX_DEPTH)
        fail("-n from 1, -d from 1 to %d", MAX_DEPTH);
    if (strlen(options.domain) > 255 || strlen(options.map) > 100)
        fail("-D or -m is too long");
}

int main(int argc, char **argv)
{
    parse(argc, argv);
    signal(SIGPIPE, SIG_IGN);
    if (options.cpu >= 0)
        pin_to((unsigned)options.cpu);
    if (options.keys) {
        file = read_keys(options.keys);
        file.chance = options.seed;
    }
    next_unique = options.start;
    int n = options.connections, epoll = epoll_create1(EPOLL_CLOEXEC), refused = 0, live = 0;
    Connection *connections = calloc((size_t)n, sizeof *connections);
    Question *rings = calloc((size_t)n * MAX_DEPTH, sizeof *rings);
    uint64_t *spread = calloc((size_t)n, sizeof *spread);
    if (!connections || !rings || !spread)
        fail("no memory for %d connections", n);

    /* Set-up: connect, ask once on each, and wait for all answers. */
    uint64_t begin = now_ns();
    for (int i = 0; i < n; i++) {
        Connection *c = &connections[i];
        c->ring = rings + (size_t)i * MAX_DEPTH;
        c->fd = connect_to(options.address);
        if (c->fd < 0) {
            if (!refused++)
                fprintf(stderr, "%s: %s\n", options.address, strerror(errno));
            continue;
        }
        set_nonblocking(c->fd);
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = (uint32_t)i};
        epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event);
        ask(c, 1);
        live++;
    }
    struct epoll_event ready[512];
    uint64_t limit = begin + (uint64_t)(options.wait * 1e9);
    for (uint64_t waiting = asked; waiting && now_ns() < limit;) {
        int count = epoll_wait(epoll, ready, 512, 100);
        for (int j = 0; j < count; j++) {
            Connection *c = &connections[ready[j].data.u32];
            int got = receive(c, 0);
            waiting -= (uint64_t)(got ? got : c->fd < 0);
        }
    }
    double setup = (double)(now_ns() - begin) / 1e9;
    int stalled = 0;
    for (int i = 0; i < n; i++)
        stalled += connections[i].fd >= 0 && connections[i].outstanding;

    char byte;
    if (options.hold) {
        puts("ready");
        fflush(stdout);
        if (read(0, &byte, 1) != 1)
            fail("standard input ended before the start");
    }

    /* The measured part. */
    double cpu = own_cpu();
    uint64_t start = now_ns(), end = start + (uint64_t)(options.seconds * 1e9), last = start;
    uint64_t budget = options.requests >= 0 ? (uint64_t)options.requests : UINT64_MAX;
    asked = 0;
    for (int i = 0; i < n && budget; i++)
        if (connections[i].fd >= 0 && !connections[i].outstanding) {
            int depth = options.depth;
            if ((uint64_t)depth > budget)
                depth = (int)budget;
            budget -= (uint64_t)depth;
            ask(&connections[i], depth);
        }
    while (broken < (uint64_t)live && (options.requests >= 0 ? answered < asked : last < end)) {
        int count = epoll_wait(epoll, ready, 512, 100);
        uint64_t before = answered;
        for (int j = 0; j < count; j++) {
            Connection *c = &connections[ready[j].data.u32];
            if (c->fd < 0)
                continue;
            int got = receive(c, 1);
            if ((uint64_t)got > budget)
                got = (int)budget;
            if (got && c->fd >= 0)
                budget -= (uint64_t)got, ask(c, got);
        }
        uint64_t t = now_ns();
        if (options.requests >= 0 && answered == before && t - last > (uint64_t)(options.wait * 1e9))
            break; /* the rest is lost */
        if (answered != before || options.requests < 0)
            last = t;
    }
    double elapsed = (double)(last - start) / 1e9;
    cpu = own_cpu() - cpu;
    uint64_t lost = options.requests >= 0 ? asked - answered : 0;
    for (int i = 0; i < n; i++)
        spread[i] = connections[i].answered;
    qsort(spread, (size_t)n, sizeof *spread, by_value);

    printf("{\"connections\":%d,\"setup_s\":%.6f,\"seconds\":%.6f,\"answered\":%llu,"
           "\"requests_per_s\":%.1f,\"p50_us\":%.2f,\"p99_us\":%.2f,\"p999_us\":%.2f,\"max_us\":%.1f,"
           "\"least\":%llu,\"median\":%llu,\"most\":%llu,\"client_cpu_s\":%.4f,"
           "\"refused\":%d,\"stalled\":%d,\"broken\":%llu,\"malformed\":%llu,\"lost\":%llu,"
           "\"wrong\":%llu,\"first_wrong\":\"",
           n, setup, elapsed, (unsigned long long)answered,
           elapsed > 0 ? (double)answered / elapsed : 0.0, percentile(&latencies, .5),
           percentile(&latencies, .99), percentile(&latencies, .999),
           (double)latencies.highest / 1000.0, (unsigned long long)spread[0],
           (unsigned long long)spread[n / 2], (unsigned long long)spread[n - 1], cpu, refused,
           stalled, (unsigned long long)broken, (unsigned long long)malformed,
           (unsigned long long)lost, (unsigned long long)wrong);
    for (const char *at = first_wrong; *at; at++)
        putchar(*at < ' ' || *at > '~' || *at == '"' || *at == '\\' ? '?' : *at);
    printf("\",\"statuses\":{");
    for (int i = 0; i < STATUSES && statuses[i].count; i++)
        printf("%s\"%s\":%llu", i ? "," : "", statuses[i].name,
               (unsigned long long)statuses[i].count);
    printf("}}\n");
    fflush(stdout);
    while (options.hold && read(0, &byte, 1) > 0)
        ;
    return 0;
}
