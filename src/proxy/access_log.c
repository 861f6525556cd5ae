/* SPDX-License-Identifier: Apache-2.0
 *
 * Rings and the thread that empties them. See access_log.h.
 *
 * A ring is a run of bytes, written at `head` by its worker and taken at `tail`
 * by the writer; both only grow. The writer looks at all rings every NAP_MS; a
 * worker wakes it by a system call only when a ring is more than half full, or
 * when the writer has had nothing to do for a while and sleeps longer.
 */
#include "proxy/access_log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/counter.h"
#include "base/memory.h"

enum {
    RING_BYTES = 1 << 20,
    NAP_MS = 100,
    IDLE_NAP_MS = 1000,
    IDLE_NAP_COUNT = 10, /* empty naps before a long one */
    IOV_MAX_USED = 64,   /* 32 rings a call; the rest in the next */
};

/* What the writer waits for. A worker that finds LONG, or SHORT with its ring
 * half full, sets AWAKE and wakes it: one system call a wait at most. */
enum { AWAKE, WAITS_SHORT, WAITS_LONG };

typedef size_t (*access_format)(char *to, const struct clock *now, const struct access_record *r);

struct access_ring {
    struct access_log *log;
    char              *data;
    uint64_t           bytes; /* a power of two */
    char              *line;  /* ACCESS_LINE_MAX: where a line is made */
    uint64_t           tail_seen;
    struct counter     lines;
    struct counter     dropped;
    alignas(64) _Atomic uint64_t head;
    alignas(64) _Atomic uint64_t tail;
};

struct access_log {
    _Atomic(access_format) format;
    struct log            *errors;
    char                  *name;
    struct access_ring   **rings;
    unsigned               ring_count;
    pthread_t              thread;

    alignas(64) _Atomic int waits;
    _Atomic uint32_t signal; /* futex: bumped to wake the writer */
    _Atomic uint32_t rounds; /* futex: bumped by the writer after each look */
    _Atomic int      flushers;
    _Atomic int      next_fd; /* -1: none */
    _Atomic(char *)  next_name;
    _Atomic int      keeper; /* enum keeper */
    atomic_bool      must_stop;
    struct counter   lost;

    /* The writer's own. */
    int      fd;
    unsigned first;   /* the ring to write next: it may have been cut within a line */
    bool     is_cut;  /* the last byte written was not a newline */
    bool     is_sick; /* the error log has been told */
    uint64_t missing; /* lines that were missing before it became so */
};

/* Who frees the log: the owner; or the writer, when the owner could not wait for
 * it because a pipe that nobody reads holds it in the kernel. */
enum keeper { KEPT_BY_OWNER, KEPT_BY_WRITER, KEPT_BY_NONE /* the writer is done */ };

enum sink_state { SINK_TAKES, SINK_WAITS, SINK_DEAD };

static access_format format_of(enum log_format format)
{
    return format == LOG_FORMAT_JSON ? access_format_json : access_format_combined;
}

/* ---- waiting ---- */

static void futex_wait(_Atomic uint32_t *word, uint32_t seen, unsigned ms)
{
    struct timespec t = { ms / 1000, (long)(ms % 1000) * 1000000 };
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, seen, &t, NULL, 0);
}

static void futex_wake(_Atomic uint32_t *word)
{
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

static void wake_writer(struct access_log *l)
{
    atomic_store(&l->waits, AWAKE);
    atomic_fetch_add(&l->signal, 1);
    futex_wake(&l->signal);
}

/* ---- the worker's side ---- */

static uint64_t ring_used(struct access_ring *ring, uint64_t head)
{
    ring->tail_seen = atomic_load_explicit(&ring->tail, memory_order_acquire);
    return head - ring->tail_seen;
}

/* Without a fence a writer that is just falling asleep may be missed: the line
 * waits for IDLE_NAP_MS then. */
static void wake_if_due(struct access_ring *ring, uint64_t head)
{
    struct access_log *l = ring->log;
    int                waits = atomic_load_explicit(&l->waits, memory_order_relaxed);
    if (waits == AWAKE) return;
    if (waits == WAITS_SHORT &&
        (head - ring->tail_seen <= ring->bytes / 2 || ring_used(ring, head) <= ring->bytes / 2))
        return;
    if (atomic_exchange(&l->waits, AWAKE) != AWAKE) wake_writer(l);
}

bool access_log_write(struct access_ring *ring, const struct clock *now,
                      const struct access_record *r)
{
    if (!ring) return true;
    access_format format = atomic_load_explicit(&ring->log->format, memory_order_relaxed);
    size_t        len = format(ring->line, now, r);
    uint64_t      head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    if (len > ring->bytes - (head - ring->tail_seen) && len > ring->bytes - ring_used(ring, head)) {
        counter_add(&ring->dropped, 1);
        wake_if_due(ring, head);
        return false;
    }
    size_t at = head & (ring->bytes - 1), before_end = ring->bytes - at;
    size_t part = len < before_end ? len : before_end;
    memcpy(ring->data + at, ring->line, part);
    if (part < len) memcpy(ring->data, ring->line + part, len - part);
    atomic_store_explicit(&ring->head, head + len, memory_order_release);
    counter_add(&ring->lines, 1);
    wake_if_due(ring, head + len);
    return true;
}

/* ---- the writer's side ---- */

static struct access_ring *ring_at(const struct access_log *l, unsigned offset)
{
    return l->rings[(l->first + offset) % l->ring_count];
}

/* What a ring holds, in at most two pieces. */
static int ring_pieces(const struct access_ring *ring, struct iovec *iov)
{
    uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    uint64_t used = atomic_load_explicit(&ring->head, memory_order_acquire) - tail;
    if (!used) return 0;
    size_t at = tail & (ring->bytes - 1), before_end = ring->bytes - at;
    iov[0] = (struct iovec){ ring->data + at, used < before_end ? used : before_end };
    if (used <= before_end) return 1;
    iov[1] = (struct iovec){ ring->data, used - before_end };
    return 2;
}

static void ring_take(struct access_ring *ring, size_t len)
{
    uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    atomic_store_explicit(&ring->tail, tail + len, memory_order_release);
}

/* From l->first on. Stops before half a ring: its lines would be torn by another's. */
static int gather(const struct access_log *l, struct iovec iov[IOV_MAX_USED])
{
    int count = 0;
    for (unsigned i = 0; i < l->ring_count && count + 2 <= IOV_MAX_USED; i++)
        count += ring_pieces(ring_at(l, i), iov + count);
    return count;
}

/* `len` bytes of what gather() saw were written. */
static void take(struct access_log *l, const struct iovec *iov, int count, size_t len)
{
    unsigned offset = 0;
    l->is_cut = false;
    for (int i = 0; i < count && len; i++) {
        struct access_ring *ring = ring_at(l, offset);
        char               *from = iov[i].iov_base;
        while (from < ring->data || from >= ring->data + ring->bytes) ring = ring_at(l, ++offset);
        size_t part = len < iov[i].iov_len ? len : iov[i].iov_len;
        l->is_cut = from[part - 1] != '\n';
        ring_take(ring, part);
        len -= part;
    }
    /* Stay with a ring that was cut, else give the others their turn. */
    if (l->is_cut) l->first = (l->first + offset) % l->ring_count;
}

static void lose(struct access_log *l, struct access_ring *ring, const char *from, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (from[i] == '\n') counter_add(&l->lost, 1);
    ring_take(ring, len);
}

/* Throws away what the rings hold. */
static void lose_all(struct access_log *l)
{
    for (unsigned i = 0; i < l->ring_count; i++) {
        struct iovec iov[2];
        int          count = ring_pieces(l->rings[i], iov);
        for (int n = 0; n < count; n++) lose(l, l->rings[i], iov[n].iov_base, iov[n].iov_len);
    }
    l->is_cut = false;
}

/* The rest of a line whose beginning is in another file. */
static void lose_rest_of_line(struct access_log *l)
{
    struct iovec iov[2];
    int          count = ring_pieces(ring_at(l, 0), iov);
    for (int i = 0; i < count && l->is_cut; i++) {
        char  *from = iov[i].iov_base;
        char  *end = memchr(from, '\n', iov[i].iov_len);
        size_t len = end ? (size_t)(end - from) + 1 : iov[i].iov_len;
        lose(l, ring_at(l, 0), from, len);
        if (end) l->is_cut = false;
    }
}

/* Those that did not fit into a ring are as gone as those that the file refused. */
static uint64_t count_missing(const struct access_log *l)
{
    uint64_t count = counter_get(&l->lost);
    for (unsigned i = 0; i < l->ring_count; i++) count += counter_get(&l->rings[i]->dropped);
    return count;
}

static enum sink_state judge(struct access_log *l, int error)
{
    if (error == EAGAIN || error == EINTR) return SINK_WAITS;
    bool may_recover = error == ENOSPC || error == EDQUOT || error == EFBIG || error == EIO;
    /* Left behind, it has no error log any more. */
    if (!l->is_sick && atomic_load(&l->keeper) == KEPT_BY_OWNER)
        log_error(l->errors, "access log %s: %s; lines are %s", l->name, strerror(error),
                  may_recover ? "kept as long as there is room" : "lost until it is reopened");
    if (!l->is_sick) l->missing = count_missing(l);
    l->is_sick = true;
    return may_recover ? SINK_WAITS : SINK_DEAD;
}

/* True when anything left the rings. */
static bool drain(struct access_log *l)
{
    struct iovec iov[IOV_MAX_USED];
    bool         has_moved = false;
    for (int count; (count = gather(l, iov)) > 0; has_moved = true) {
        ssize_t n = writev(l->fd, iov, count);
        if (n < 0) {
            if (judge(l, errno) == SINK_DEAD) lose_all(l);
            break;
        }
        take(l, iov, count, (size_t)n);
        if (l->is_sick && atomic_load(&l->keeper) == KEPT_BY_OWNER)
            log_info(l->errors, "access log %s: written again, %llu lines were lost", l->name,
                     (unsigned long long)(count_missing(l) - l->missing));
        l->is_sick = false;
    }
    if (!l->is_cut) l->first = (l->first + 1) % l->ring_count;
    return has_moved;
}

static void change_file(struct access_log *l)
{
    int fd = atomic_exchange(&l->next_fd, -1);
    if (fd < 0) return;
    if (l->is_cut) lose_rest_of_line(l);
    close(l->fd);
    l->fd = fd;
    char *name = atomic_exchange(&l->next_name, NULL);
    if (name) {
        free(l->name);
        l->name = name;
    }
    l->is_sick = false;
}

static void nap(struct access_log *l, uint32_t signal, bool is_idle)
{
    struct iovec iov[IOV_MAX_USED];
    atomic_store(&l->waits, is_idle ? WAITS_LONG : WAITS_SHORT);
    /* A line may have come before its worker could see that the sleep is a long one. */
    bool is_long = is_idle && gather(l, iov) == 0;
    futex_wait(&l->signal, signal, is_long ? IDLE_NAP_MS : NAP_MS);
    atomic_store(&l->waits, AWAKE);
}

static void free_all(struct access_log *l)
{
    for (unsigned i = 0; i < l->ring_count; i++) {
        free(l->rings[i]->data);
        free(l->rings[i]->line);
        free(l->rings[i]);
    }
    int next = atomic_load(&l->next_fd);
    if (next >= 0) close(next);
    close(l->fd);
    free(atomic_load(&l->next_name));
    free(l->rings);
    free(l->name);
    free(l);
}

static void *writer_main(void *arg)
{
    struct access_log *l = arg;
    unsigned           empty_count = 0;
    for (;;) {
        uint32_t signal = atomic_load(&l->signal);
        bool     must_stop = atomic_load(&l->must_stop);
        change_file(l);
        empty_count = drain(l) ? 0 : empty_count + 1;
        atomic_fetch_add(&l->rounds, 1);
        if (atomic_load(&l->flushers)) futex_wake(&l->rounds);
        if (must_stop) break;
        nap(l, signal, empty_count > IDLE_NAP_COUNT);
    }
    lose_all(l);
    if (atomic_exchange(&l->keeper, KEPT_BY_NONE) == KEPT_BY_WRITER) free_all(l);
    return NULL;
}

/* ---- making and ending ---- */

int access_log_open(const char *name, struct error *e)
{
    int fd;
    if (strcmp(name, "stdout") == 0)
        fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    else if (strcmp(name, "stderr") == 0)
        fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    else
        fd = open(name, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0640);
    if (fd < 0) error_set(e, "access log %s: %s", name, strerror(errno));
    return fd;
}

static struct access_ring *ring_new(struct access_log *l, size_t bytes)
{
    size_t power = 4096;
    while (power < bytes) power *= 2;
    struct access_ring *ring = mem_zalloc_aligned(alignof(struct access_ring), sizeof(*ring));
    ring->log = l;
    ring->bytes = power;
    ring->data = mem_alloc(power);
    ring->line = mem_alloc(ACCESS_LINE_MAX);
    return ring;
}

/* Signals are for other threads. SIGPIPE too: EPIPE says it. */
static int start_writer(struct access_log *l)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&l->thread, NULL, writer_main, l);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!error) pthread_setname_np(l->thread, "access-log");
    return error;
}

struct access_log *access_log_new(const struct access_log_options *o, struct error *e)
{
    struct access_log *l = mem_zalloc_aligned(alignof(struct access_log), sizeof(*l));
    atomic_init(&l->format, format_of(o->format));
    l->errors = o->log;
    l->name = mem_strdup(o->name);
    l->fd = o->fd;
    atomic_init(&l->next_fd, -1);
    l->ring_count = o->ring_count;
    l->rings = mem_zalloc(o->ring_count * sizeof(*l->rings));
    for (unsigned i = 0; i < o->ring_count; i++)
        l->rings[i] = ring_new(l, o->ring_bytes ? o->ring_bytes : RING_BYTES);
    int error = start_writer(l);
    if (!error) return l;
    error_set(e, "access log %s: no thread: %s", o->name, strerror(error));
    free_all(l);
    return NULL;
}

void access_log_free(struct access_log *l)
{
    if (!l) return;
    atomic_store(&l->must_stop, true);
    wake_writer(l);
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 1;
    pthread_t thread = l->thread;
    if (pthread_timedjoin_np(thread, NULL, &until) != 0) {
        if (atomic_exchange(&l->keeper, KEPT_BY_WRITER) != KEPT_BY_NONE) {
            pthread_detach(thread);
            return;
        }
        pthread_join(thread, NULL);
    }
    free_all(l);
}

struct access_ring *access_log_ring(struct access_log *l, unsigned index)
{
    return l->rings[index];
}

void access_log_reopen(struct access_log *l, int fd)
{
    int unused = atomic_exchange(&l->next_fd, fd);
    if (unused >= 0) close(unused);
    wake_writer(l);
}

void access_log_move(struct access_log *l, int fd, const char *name, enum log_format format)
{
    atomic_store(&l->format, format_of(format));
    free(atomic_exchange(&l->next_name, mem_strdup(name)));
    access_log_reopen(l, fd);
}

static bool is_past(const struct access_log *l, const uint64_t *heads)
{
    for (unsigned i = 0; i < l->ring_count; i++)
        if (atomic_load_explicit(&l->rings[i]->tail, memory_order_acquire) < heads[i]) return false;
    return true;
}

bool access_log_flush(struct access_log *l, unsigned wait_ms)
{
    uint64_t *heads = mem_alloc((l->ring_count + 1) * sizeof(*heads));
    for (unsigned i = 0; i < l->ring_count; i++)
        heads[i] = atomic_load_explicit(&l->rings[i]->head, memory_order_acquire);
    uint64_t now = clock_mono_ns() / 1000000, until = now + wait_ms;
    bool     is_done;
    atomic_fetch_add(&l->flushers, 1);
    for (;; now = clock_mono_ns() / 1000000) {
        uint32_t round = atomic_load(&l->rounds);
        is_done = is_past(l, heads);
        if (is_done || now >= until) break;
        wake_writer(l);
        futex_wait(&l->rounds, round, (unsigned)(until - now));
    }
    atomic_fetch_sub(&l->flushers, 1);
    free(heads);
    return is_done;
}

struct access_log_counts access_log_count(const struct access_log *l)
{
    struct access_log_counts c = { .lost = counter_get(&l->lost) };
    for (unsigned i = 0; i < l->ring_count; i++) {
        c.written += counter_get(&l->rings[i]->lines);
        c.dropped += counter_get(&l->rings[i]->dropped);
    }
    c.written -= c.lost < c.written ? c.lost : c.written;
    return c;
}
