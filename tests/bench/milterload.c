/*
 * milterload.c - load client for the milter protocol: RCPT commands a second.
 *
 *   milterload -a ADDRESS -k KEYS -t SECONDS [-n CONNECTIONS] [-r RECIPIENTS]
 *              [-D DOMAIN] [-e LETTERS] [-R SEED] [-w SECONDS] [-h]
 *
 * Plays the MTA on CONNECTIONS connections at once: option negotiation, connect,
 * HELO, then mails without end, each MAIL, RECIPIENTS times RCPT (with the macros
 * that Postfix sends) and an abort, as if the client had given up.  A command
 * waits for its reply unless the milter negotiated that there is none.  Keys
 * come from a file, at random with -R, else in turn; -e names the reply codes that are right
 * (`c` continue, `y` a reply text, `r`, `t`, ...); the key file's second column is
 * not looked at.
 *
 * Prints one line of JSON; requests are RCPT commands, latencies theirs alone.  -h
 * is there for likeness with load.c: it says `ready` before the first connection and
 * waits for a line of standard input.
 *
 * Limits: version 6 of the protocol, one thread.  A connection on which
 * something else than a reply comes is counted as broken and not opened again.
 */
#define _GNU_SOURCE
#include "bench.h"

enum {
    VERSION = 6,
    ACTIONS = 0x1ff,     /* everything that an MTA can offer (SMFIF_*) */
    PROTOCOL = 0x1fffff, /* likewise (SMFIP_*) */
    MAX_PACKET = 4096,
    FLAG_RECIPIENT_REJECTED = 0x800,
};

/* The commands of a session in their order; a mail begins again at FIRST_OF_MAIL. */
enum { NEGOTIATE, CONNECT, HELO, MAIL, RCPT, ABORT, STEPS_OF_SESSION, FIRST_OF_MAIL = MAIL };

/* SMFIP_NO...: not wanted; SMFIP_NR_...: wanted, but there is no reply. */
static const struct { char command; uint32_t unwanted, silent; } steps[STEPS_OF_SESSION] = {
    [NEGOTIATE] = {'O', 0, 0},         [CONNECT] = {'C', 0x01, 0x1000},
    [HELO] = {'H', 0x02, 0x2000},      [MAIL] = {'M', 0x04, 0x4000},
    [RCPT] = {'R', 0x08, 0x8000},      [ABORT] = {'A', 0, UINT32_MAX},
};

typedef struct {
    int fd, step, recipients;
    uint32_t protocol;
    uint64_t sent_at, answered;
    size_t held;
    char bytes[MAX_PACKET];
} Connection;

static struct {
    const char *address, *keys, *domain, *expect;
    int connections, recipients, hold;
    double seconds, wait;
    uint64_t seed;
} options = {.domain = "", .expect = "c", .connections = 1, .recipients = 10, .wait = 30};

static KeyFile file;
static Histogram latencies;
static uint64_t replies[256], broken, wrong;
static int measuring;

static char *put_number(char *at, uint32_t number)
{
    uint32_t big = htonl(number);
    return mempcpy(at, &big, 4);
}

/* Closes the packet that begins at `packet` and ends at `end`: fills in its length. */
static char *finish(char *packet, char *end)
{
    put_number(packet, (uint32_t)(end - packet - 4));
    return end;
}

static char *put_text(char *at, const char *text)
{
    return mempcpy(at, text, strlen(text) + 1);
}

/* The macros of `command`: pairs of words, the last one NULL. */
static char *put_macros(char *packet, char command, const char *const *words)
{
    char *at = packet + 4;
    *at++ = 'D', *at++ = command;
    while (*words)
        at = put_text(at, *words++);
    return finish(packet, at);
}

static char *put_step(char *packet, int step)
{
    char *at, address[1400];
    static uint32_t mail_number;
    switch (step) {
    case CONNECT:
        packet = put_macros(packet, 'C', (const char *const[]){
            "j", "mx.example.org", "{daemon_name}", "mx.example.org", "v", "Postfix 3.7.11", NULL});
        break;
    case MAIL:
        snprintf(address, sizeof address, "sender%u@example.net", mail_number++);
        packet = put_macros(packet, 'M', (const char *const[]){
            "{mail_addr}", address, "{mail_host}", "", "{mail_mailer}", "smtp", NULL});
        break;
    case RCPT: {
        const Key *key = pick(&file);
        snprintf(address, sizeof address, "%.*s%s%s", (int)key->length, key->text,
                 *options.domain ? "@" : "", options.domain);
        packet = put_macros(packet, 'R', (const char *const[]){
            "{rcpt_addr}", address, "{rcpt_host}", "localhost", "{rcpt_mailer}", "lmtp", NULL});
        break;
    }
    default:
        break;
    }
    at = packet + 4;
    *at++ = steps[step].command;
    switch (step) {
    case NEGOTIATE:
        at = put_number(put_number(put_number(at, VERSION), ACTIONS), PROTOCOL);
        break;
    case CONNECT:
        at = put_text(at, "mx7.example.net");
        *at++ = '4', *at++ = (char)(40122 >> 8), *at++ = (char)(40122 & 255);
        at = put_text(at, "192.0.2.77");
        break;
    case HELO:
        at = put_text(at, "mx7.example.net");
        break;
    case MAIL:
    case RCPT:
        at += sprintf(at, "<%s>", address) + 1;
        if (step == MAIL)
            at = put_text(at, "SIZE=12345");
        break;
    default:
        break;
    }
    return finish(packet, at);
}

static void drop(Connection *c)
{
    broken++;
    close(c->fd);
    c->fd = -1;
}

static void next_step(Connection *c)
{
    if (c->step == RCPT && ++c->recipients < options.recipients)
        return;
    c->step = c->step == ABORT ? FIRST_OF_MAIL : c->step + 1;
    if (c->step == RCPT)
        c->recipients = 0;
}

/* Sends commands up to the first one that has a reply. */
static void talk(Connection *c)
{
    static char out[16 * MAX_PACKET];
    char *at = out;
    for (;;) {
        int step = c->step;
        if (step == NEGOTIATE || !(c->protocol & steps[step].unwanted))
            at = put_step(at, step);
        if (step == NEGOTIATE || !(c->protocol & (steps[step].unwanted | steps[step].silent)))
            break;
        if (step == RCPT)
            fail("the milter wants no RCPT commands or does not reply to them");
        next_step(c);
    }
    c->sent_at = now_ns();
    if (send(c->fd, out, (size_t)(at - out), MSG_NOSIGNAL | MSG_DONTWAIT) != at - out)
        drop(c);
}

static uint32_t number_at(const char *at)
{
    uint32_t big;
    memcpy(&big, at, 4);
    return ntohl(big);
}

/* Takes one reply packet; false if it is none. */
static int take(Connection *c, const char *packet, uint32_t length)
{
    if (c->step == NEGOTIATE) {
        if (packet[0] != 'O' || length < 13)
            return 0;
        c->protocol = number_at(packet + 9);
        return 1;
    }
    if (!strchr("cyrtads", packet[0]))
        return 0;
    if (c->step == RCPT) {
        if (measuring) {
            record(&latencies, now_ns() - c->sent_at);
            c->answered++;
        }
        replies[(unsigned char)packet[0]]++;
        wrong += !strchr(options.expect, packet[0]);
        return 1;
    }
    return packet[0] == 'c';
}

/* Reads a reply; true if one was complete and the next command may be sent. */
static int receive(Connection *c)
{
    ssize_t got = recv(c->fd, c->bytes + c->held, sizeof c->bytes - c->held, 0);
    if (got <= 0) {
        if (got == 0 || (errno != EAGAIN && errno != EINTR))
            drop(c);
        return 0;
    }
    c->held += (size_t)got;
    if (c->held < 5)
        return 0;
    uint32_t length = number_at(c->bytes);
    if (length < 1 || length > MAX_PACKET - 4 || c->held > length + 4) {
        drop(c);
        return 0;
    }
    if (c->held < length + 4)
        return 0;
    c->held = 0;
    if (!take(c, c->bytes + 4, length)) {
        drop(c);
        return 0;
    }
    next_step(c);
    return 1;
}

static void parse(int argc, char **argv)
{
    int letter;
    while ((letter = getopt(argc, argv, "a:k:t:n:r:D:e:R:w:h")) != -1)
        switch (letter) {
        case 'a': options.address = optarg; break;
        case 'k': options.keys = optarg; break;
        case 't': options.seconds = atof(optarg); break;
        case 'n': options.connections = atoi(optarg); break;
        case 'r': options.recipients = atoi(optarg); break;
        case 'D': options.domain = optarg; break;
        case 'e': options.expect = optarg; break;
        case 'R': options.seed = strtoull(optarg, NULL, 10); break;
        case 'w': options.wait = atof(optarg); break;
        case 'h': options.hold = 1; break;
        default: exit(2);
        }
    if (!options.address || !options.keys || options.seconds <= 0 || options.connections < 1 ||
        options.recipients < 1 || strlen(options.domain) > 255)
        fail("usage: milterload -a ADDRESS -k KEYS -t SECONDS [-n CONNECTIONS] ...");
}

int main(int argc, char **argv)
{
    parse(argc, argv);
    signal(SIGPIPE, SIG_IGN);
    file = read_keys(options.keys);
    file.chance = options.seed;
    int n = options.connections, epoll = epoll_create1(EPOLL_CLOEXEC), refused = 0, live = 0;
    Connection *connections = calloc((size_t)n, sizeof *connections);
    uint64_t *spread = calloc((size_t)n, sizeof *spread);
    if (!connections || !spread)
        fail("no memory for %d connections", n);
    char byte;
    if (options.hold) {
        puts("ready");
        fflush(stdout);
        if (read(0, &byte, 1) != 1)
            fail("standard input ended before the start");
    }
    uint64_t begin = now_ns();
    for (int i = 0; i < n; i++) {
        Connection *c = &connections[i];
        c->fd = connect_to(options.address);
        if (c->fd < 0) {
            if (!refused++)
                fprintf(stderr, "%s: %s\n", options.address, strerror(errno));
            continue;
        }
        set_nonblocking(c->fd);
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = (uint32_t)i};
        epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event);
        talk(c);
        live++;
    }

    /* The measured time begins once every connection is at its first RCPT. */
    struct epoll_event ready[512];
    uint64_t start = 0, end = 0, t = begin, limit = begin + (uint64_t)(options.wait * 1e9);
    double cpu = own_cpu(), setup = 0;
    while (broken < (uint64_t)live && (measuring ? t < end : t < limit)) {
        int count = epoll_wait(epoll, ready, 512, 100);
        for (int j = 0; j < count; j++) {
            Connection *c = &connections[ready[j].data.u32];
            if (c->fd >= 0 && receive(c))
                talk(c);
        }
        t = now_ns();
        if (!measuring) {
            int there = 0;
            for (int i = 0; i < n; i++)
                there += connections[i].fd < 0 || connections[i].step >= RCPT;
            if (there == n) {
                measuring = 1, start = t, cpu = own_cpu();
                end = t + (uint64_t)(options.seconds * 1e9);
                setup = (double)(t - begin) / 1e9;
            }
        }
    }
    double elapsed = measuring ? (double)(t - start) / 1e9 : 0;
    cpu = own_cpu() - cpu;
    int stalled = 0;
    for (int i = 0; i < n; i++) {
        spread[i] = connections[i].answered;
        stalled += connections[i].fd >= 0 && connections[i].step < RCPT && !measuring;
    }
    qsort(spread, (size_t)n, sizeof *spread, by_value);
    printf("{\"connections\":%d,\"setup_s\":%.6f,\"seconds\":%.6f,\"answered\":%llu,"
           "\"requests_per_s\":%.1f,\"p50_us\":%.2f,\"p99_us\":%.2f,\"p999_us\":%.2f,\"max_us\":%.1f,"
           "\"least\":%llu,\"median\":%llu,\"most\":%llu,\"client_cpu_s\":%.4f,"
           "\"refused\":%d,\"stalled\":%d,\"broken\":%llu,\"malformed\":0,\"lost\":0,"
           "\"wrong\":%llu,\"first_wrong\":\"\",\"statuses\":{",
           n, setup, elapsed, (unsigned long long)latencies.total,
           elapsed > 0 ? (double)latencies.total / elapsed : 0.0, percentile(&latencies, .5),
           percentile(&latencies, .99), percentile(&latencies, .999),
           (double)latencies.highest / 1000.0, (unsigned long long)spread[0],
           (unsigned long long)spread[n / 2], (unsigned long long)spread[n - 1], cpu, refused,
           stalled, (unsigned long long)broken, (unsigned long long)wrong);
    const char *comma = "";
    for (int letter = 0; letter < 256; letter++)
        if (replies[letter]) {
            printf("%s\"%c\":%llu", comma, letter, (unsigned long long)replies[letter]);
            comma = ",";
        }
    printf("}}\n");
    return 0;
}
