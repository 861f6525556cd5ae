/* SPDX-License-Identifier: Apache-2.0
 *
 * Names and who watches them. See dns.h.
 *
 *     waiting (deadline) --> queued --> running (lookup) --> ended --> waiting
 *
 * Watches, servers and answers change only in the calls of dns.h and in the job
 * (on_job), never in a callback of c-ares. So `changed` may do what it likes.
 */
#include "io/dns.h"

#include <assert.h>
#include <stdlib.h>

#include "base/map.h"
#include "base/memory.h"
#include "io/dns_channel.h"
#include "io/dns_lookup.h"

/* More questions at once overflow a name server's socket, and are lost. */
enum { LOOKUPS_AT_ONCE = 64 };

struct dns {
    struct loop        *loop;
    struct dns_options  options;
    struct dns_channel *channel;
    struct map          names;  /* by key */
    struct list         queued; /* names to be looked up, by struct name.link */
    struct list         running;
    struct list         ended; /* their lookups have ended, and nobody has looked */
    struct list         due;   /* watches whose `changed` is to be called */
    size_t              lookup_count;
    struct job          job;
};

struct name {
    struct dns        *dns;
    enum dns_kind      kind;
    char              *text;
    char              *key; /* one byte for the kind, then the name in lower case */
    struct list        watches;
    struct list        link;
    struct deadline    next;
    struct dns_lookup *lookup; /* running or ended */
    struct dns_records records;
    bool               was_looked_up, is_known;
    uint64_t           good_ms;
    uint64_t           retry_ms;                 /* of the last failure; 0: there was none */
    char               trouble[DNS_TROUBLE_MAX]; /* "": none */
};

struct dns_watch {
    struct name *name;
    struct list  link;
    struct list  due_link;
    void (*changed)(void *arg);
    void *arg;
};

static void queue(struct name *n)
{
    struct dns *d = n->dns;
    list_remove(&n->link);
    list_append(&d->queued, &n->link);
    job_queue(d->loop, &d->job);
}

static void on_next(struct deadline *d)
{
    queue(container_of(d, struct name, next));
}

static void on_lookup_end(void *arg)
{
    struct name *n = arg;
    list_remove(&n->link);
    list_append(&n->dns->ended, &n->link);
    job_queue(n->dns->loop, &n->dns->job);
}

static void start_lookup(struct name *n)
{
    struct dns *d = n->dns;
    list_remove(&n->link);
    list_append(&d->running, &n->link);
    d->lookup_count++;
    n->lookup = dns_lookup_new(d->channel, n->kind, n->text, on_lookup_end, n);
    dns_lookup_start(n->lookup, d->options.timeout_ms);
}

static void drop_lookup(struct name *n)
{
    list_remove(&n->link);
    if (!n->lookup) return;
    dns_lookup_release(n->lookup);
    n->lookup = NULL;
    n->dns->lookup_count--;
}

static uint64_t clamp(uint64_t value, uint64_t min, uint64_t max)
{
    if (value < min) value = min;
    return value < max ? value : max;
}

static void schedule(struct name *n, const struct dns_result *result)
{
    const struct dns_options *o = &n->dns->options;
    uint64_t                  ttl_ms = (uint64_t)result->ttl_s * 1000;
    bool                      has_failed = result->trouble[0] != '\0';
    if (!has_failed)
        n->retry_ms = 0;
    else
        n->retry_ms = clamp(n->retry_ms ? n->retry_ms * 2 : o->retry_ms, 1, o->max_ttl_ms);
    deadline_set(n->dns->loop, &n->next,
                 has_failed ? n->retry_ms : clamp(ttl_ms, o->min_ttl_ms, o->max_ttl_ms));
}

/* Takes the records over when they are good; true: something that `changed` tells of. */
static bool accept_result(struct name *n, struct dns_result *result)
{
    bool is_change = !n->was_looked_up || strcmp(n->trouble, result->trouble) != 0;
    bool is_first = !n->is_known;
    n->was_looked_up = true;
    memcpy(n->trouble, result->trouble, sizeof(n->trouble));
    if (result->is_good) {
        n->is_known = true;
        if (is_first || !result->trouble[0]) n->good_ms = n->dns->loop->clock.now_ms;
        if (is_first || !dns_records_eq(&n->records, &result->records)) {
            struct dns_records old = n->records;
            n->records = result->records;
            result->records = old;
            is_change = true;
        }
    }
    dns_records_reset(&result->records);
    return is_change;
}

static void take_result(struct name *n)
{
    struct dns       *d = n->dns;
    struct dns_result result;
    dns_lookup_result(n->lookup, &n->records, &result);
    drop_lookup(n);
    schedule(n, &result);
    if (!accept_result(n, &result)) return;
    LIST_EACH (it, &n->watches) {
        struct dns_watch *w = container_of(it, struct dns_watch, link);
        list_remove(&w->due_link);
        list_append(&d->due, &w->due_link);
    }
}

static void tell(struct dns *d)
{
    while (!list_is_empty(&d->due)) {
        struct dns_watch *w = container_of(d->due.next, struct dns_watch, due_link);
        list_remove(&w->due_link);
        w->changed(w->arg); /* w may be gone */
    }
}

static void on_job(struct job *j)
{
    struct dns *d = container_of(j, struct dns, job);
    while (!list_is_empty(&d->ended)) take_result(container_of(d->ended.next, struct name, link));
    tell(d);
    /* What nobody waits for any more need not be asked again. */
    if (!d->lookup_count) dns_channel_cancel(d->channel);
    while (!list_is_empty(&d->queued) && d->lookup_count < LOOKUPS_AT_ONCE)
        start_lookup(container_of(d->queued.next, struct name, link));
}

static void copy_options(struct dns *d, const struct dns_options *o)
{
    d->options = *o;
    d->options.servers = NULL; /* the channel has them */
}

struct dns *dns_new(struct loop *l, const struct dns_options *o, struct error *e)
{
    struct dns_channel *channel = dns_channel_new(l, o->servers, o->timeout_ms, e);
    if (!channel) return NULL;
    struct dns *d = mem_zalloc(sizeof(*d));
    d->loop = l;
    d->channel = channel;
    copy_options(d, o);
    map_init(&d->names);
    list_init(&d->queued);
    list_init(&d->running);
    list_init(&d->ended);
    list_init(&d->due);
    job_init(&d->job, on_job);
    return d;
}

bool dns_configure(struct dns *d, const struct dns_options *o, struct error *e)
{
    struct dns_channel *channel = dns_channel_new(d->loop, o->servers, o->timeout_ms, e);
    size_t              cursor = 0;
    struct slice        key;
    void               *value;
    if (!channel) return false;
    copy_options(d, o);
    while (map_next(&d->names, &cursor, &key, &value)) {
        struct name *n = value;
        drop_lookup(n);
        deadline_clear(&n->next);
        n->retry_ms = 0;
        queue(n);
    }
    dns_channel_free(d->channel);
    d->channel = channel;
    return true;
}

void dns_free(struct dns *d)
{
    if (!d) return;
    assert(!d->names.count);
    dns_channel_free(d->channel);
    job_cancel(&d->job);
    map_reset(&d->names);
    free(d);
}

static char *key_of(enum dns_kind kind, const char *text)
{
    size_t len = strlen(text);
    char  *key = mem_alloc(len + 2);
    key[0] = (char)('0' + kind);
    for (size_t i = 0; i <= len; i++)
        key[i + 1] = text[i] >= 'A' && text[i] <= 'Z' ? (char)(text[i] | 0x20) : text[i];
    return key;
}

static struct name *find_name(struct dns *d, enum dns_kind kind, const char *text)
{
    char        *key = key_of(kind, text);
    struct name *n = map_get(&d->names, slice_of(key));
    if (n) {
        free(key);
        return n;
    }
    n = mem_zalloc(sizeof(*n));
    n->dns = d;
    n->kind = kind;
    n->text = mem_strdup(text);
    n->key = key;
    list_init(&n->watches);
    list_init(&n->link);
    deadline_init(&n->next, on_next);
    map_put(&d->names, slice_of(key), n);
    queue(n);
    return n;
}

static void free_name(struct name *n)
{
    struct dns *d = n->dns;
    drop_lookup(n);
    deadline_remove(&n->next);
    map_remove(&d->names, slice_of(n->key));
    dns_records_reset(&n->records);
    free(n->text);
    free(n->key);
    free(n);
    /* Another may have its turn now, or nothing be left to wait for. */
    job_queue(d->loop, &d->job);
}

struct dns_watch *dns_watch(struct dns *d, enum dns_kind kind, const char *name,
                            void (*changed)(void *arg), void *arg)
{
    struct dns_watch *w = mem_zalloc(sizeof(*w));
    w->name = find_name(d, kind, name);
    w->changed = changed;
    w->arg = arg;
    list_append(&w->name->watches, &w->link);
    list_init(&w->due_link);
    return w;
}

void dns_unwatch(struct dns_watch *w)
{
    if (!w) return;
    struct name *n = w->name;
    list_remove(&w->link);
    list_remove(&w->due_link);
    free(w);
    if (list_is_empty(&n->watches)) free_name(n);
}

struct dns_answer dns_answer(const struct dns_watch *w)
{
    const struct name *n = w->name;
    return (struct dns_answer){ .records = n->records.items,
                                .count = n->records.count,
                                .is_known = n->is_known,
                                .good_ms = n->good_ms,
                                .trouble = n->trouble[0] ? n->trouble : NULL };
}
