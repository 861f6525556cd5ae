/* SPDX-License-Identifier: Apache-2.0
 *
 * Rules whose counts are in Redis. See limit_remote.h.
 */
#include "filter/limit_remote.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "filter/limit_debt.h"
#include "filter/limit_parts.h"
#include "filter/limit_script.h"
#include "io/digest.h"

enum {
    LEASE_WORTH = 2,
    HOPS_MAX = 3,
    SWEEP_MS = 250,
    UNUSED_MS = 1000,
    US_NS = 1000,
    MS_US = 1000
};

/* One worker's hold on a rule. */
struct limit_local {
    struct list          link; /* worker->remotes */
    struct limit_remote *remote;
    unsigned             use_count; /* plans */
};

struct limit_remote {
    struct limit_store      *store;
    struct lease_table      *table;
    struct limit_debts      *debts;
    struct lease_terms       terms; /* but for the number of gateways */
    char                    *head;  /* of a key's name in Redis: "wharfgate:{api:" */
    size_t                   head_len;
    struct limit_script_args args;
    struct limit_local       locals[];
};

struct limit_remote *limit_remote_new(struct limit_store               *store,
                                      const struct rate_limit_settings *s)
{
    struct lease_table *table = lease_table_new(s->memory);
    size_t              bytes = store->worker_count * sizeof(struct limit_local);
    if (!table) return NULL;
    struct limit_remote *r = mem_zalloc(sizeof(*r) + bytes);
    struct gcra_rule     rule = gcra_rule_make(s->rate_count, s->rate_period, s->burst);
    struct buffer        head = BUFFER_INIT;
    buffer_printf(&head, "%.*s:{%.*s:", SLICE_ARG(store->settings->prefix), SLICE_ARG(s->name));
    r->store = store;
    r->table = table;
    r->debts = limit_debts_new(store->worker_count);
    r->terms.interval_ns = rule.interval_ns;
    r->terms.burst = s->burst;
    r->terms.is_exact = s->mode == LIMIT_EXACT || s->delay;
    r->head_len = head.len;
    r->head = buffer_detach(&head);
    limit_script_args(&r->args, rule.interval_ns, s->burst);
    for (unsigned i = 0; i < store->worker_count; i++) {
        r->locals[i].remote = r;
        list_init(&r->locals[i].link);
    }
    return r;
}

void limit_remote_free(struct limit_remote *r)
{
    if (!r) return;
    lease_table_free(r->table);
    limit_debts_free(r->debts);
    free(r->head);
    free(r);
}

struct lease_counts limit_remote_count(const struct limit_remote *r)
{
    return lease_counts(r->table);
}

unsigned limit_remote_gateways(const struct limit_remote *r)
{
    unsigned n = atomic_load_explicit(&r->store->shared->gateways, memory_order_relaxed);
    return n ? n : 1;
}

enum setting_on_failure limit_remote_on_failure(const struct limit_remote *r)
{
    return r->store->settings->on_failure;
}

static struct lease_terms terms_of(const struct limit_remote *r)
{
    struct lease_terms t = r->terms;
    t.gateways = limit_remote_gateways(r);
    return t;
}

const char *limit_remote_mode(const struct limit_remote *r)
{
    struct lease_terms t = terms_of(r);
    return t.is_exact || lease_size_max(&t) < LEASE_WORTH ? "exact" : "lease";
}

/* ---- what workers keep ---- */

static void adopt(void *part, unsigned index, struct loop *l)
{
    struct limit_remote *r = part;
    struct limit_local  *local = &r->locals[index];
    (void)l;
    if (local->use_count++ == 0) list_append(&r->store->workers[index].remotes, &local->link);
}

/* Answers that are still to come are nobody's. */
static void release(void *part, unsigned index, struct loop *l)
{
    struct limit_remote *r = part;
    struct limit_local  *local = &r->locals[index];
    (void)l;
    if (--local->use_count) return;
    list_remove(&local->link);
    limit_debts_forget(r->debts, index);
    LIST_EACH (it, &r->store->workers[index].calls) {
        struct limit_call *call = container_of(it, struct limit_call, link);
        if (call->remote == r) call->remote = NULL;
    }
}

const struct plan_part_ops limit_remote_part = { .adopt = adopt, .release = release };

/* ---- calls ---- */

static struct slice key_of(const struct limit_call *call)
{
    return slice_make(call->key, call->key_len);
}

/* Tokens that are in hand are given back if nobody uses them, debts are paid. */
static void watch(struct limit_worker *w)
{
    if (!w->sweep.at_ms) deadline_set(w->loop, &w->sweep, SWEEP_MS);
}

static struct limit_call *new_call(struct limit_worker *w, struct limit_remote *r, struct slice key,
                                   int64_t want, uint32_t ticket)
{
    struct limit_call *call = block_take(&w->blocks);
    memset(call, 0, sizeof(*call));
    call->remote = r;
    call->want = want;
    call->ticket = ticket;
    call->asked_ns = w->loop->clock.now_ns;
    call->key_len = (uint8_t)key.len;
    memcpy(call->key, key.data, key.len);
    list_init(&call->wait_link);
    list_init(&call->queue_link);
    list_append(&w->calls, &call->link);
    return call;
}

static void free_call(struct limit_worker *w, struct limit_call *call)
{
    list_remove(&call->link);
    block_give(&w->blocks, call);
}

void limit_remote_args(const struct limit_call *call, struct slice args[LIMIT_ARGS],
                       char text[LIMIT_TEXT_BYTES])
{
    const struct limit_remote *r = call->remote;
    char                      *end = mempcpy(text, r->head, r->head_len);
    end = mempcpy(end, call->key, call->key_len);
    *end++ = '}';
    args[0] = call->sends_script ? S("EVAL") : S("EVALSHA");
    args[1] = call->sends_script ? slice_of(limit_script_text) : slice_of(limit_script_sha1);
    args[2] = S("1");
    args[3] = slice_make(text, (size_t)(end - text));
    args[4] = slice_of(r->args.interval);
    args[5] = slice_of(r->args.span);
    int len = snprintf(end, 24, "%lld", (long long)call->want);
    args[6] = slice_make(end, (size_t)len);
}

static bool send_call(struct limit_worker *w, struct limit_call *call)
{
    struct slice args[LIMIT_ARGS];
    char         text[LIMIT_TEXT_BYTES];
    limit_remote_args(call, args, text);
    return limit_send_to(w, call, redis_map_node(redis_store_map(w->store->shared), args[3]));
}

/* Best effort: what is lost makes the fleet stricter. */
static void give_back(struct limit_worker *w, struct limit_remote *r, struct slice key,
                      uint32_t tokens)
{
    struct limit_call *call = new_call(w, r, key, -(int64_t)tokens, 0);
    if (!send_call(w, call)) free_call(w, call);
}

/* ---- answers ---- */

/* What the request is to do, if it still waits. */
static void tell(struct limit_call *call, enum limit_outcome outcome,
                 const struct gcra_decision *decision)
{
    struct limit_ask *ask = call->ask;
    if (!ask) return;
    call->ask = NULL;
    ask->call = NULL;
    ask->outcome = outcome;
    if (decision) ask->decision = *decision;
    bool passes = ask->on_answer(ask);
    call->is_spent = passes && outcome == LIMIT_LATE;
}

static void fail(struct limit_call *call, enum limit_outcome how)
{
    if (call->remote && call->ticket && !call->is_failed)
        lease_failed(call->remote->table, key_of(call), call->ticket);
    call->is_failed = true;
    tell(call, how, NULL);
}

void limit_remote_give_up(struct limit_call *call)
{
    fail(call, LIMIT_LATE);
}

static uint64_t ms_up(int64_t us)
{
    return us > 0 ? ((uint64_t)us + MS_US - 1) / MS_US : 0;
}

static bool is_answer(const struct redis_reply *r)
{
    return r->kind == REDIS_KIND_ARRAY && r->count == 4;
}

static void take_answer(struct limit_worker *w, struct limit_call *call,
                        const struct redis_reply *reply)
{
    struct limit_remote *r = call->remote;
    struct lease_terms   terms = terms_of(r);
    int64_t              granted = redis_integer_at(reply, 0), left = redis_integer_at(reply, 1);
    int64_t              wait_us = redis_integer_at(reply, 2);
    struct lease_answer  a = {
         .ticket = call->ticket,
         .granted = granted > 0 ? (uint32_t)granted : 0,
         .left = left > 0 ? (uint32_t)left : 0,
         .retry_after_us = wait_us > 0 ? (uint64_t)wait_us : 0,
         .is_awaited = call->ask || call->is_spent,
    };
    uint64_t reset_ms = ms_up(redis_integer_at(reply, 3));
    uint64_t interval_ms = r->terms.interval_ns / (US_NS * MS_US);
    uint32_t surplus = lease_answered(r->table, key_of(call), &terms, &a, call->asked_ns);
    struct gcra_decision d = {
        .admitted = granted > 0,
        .remaining = a.left + (granted > 1 ? (uint32_t)granted - 1 : 0),
        .retry_after_ms = granted > 0 ? 0 : ms_up(wait_us),
        .reset_ms = reset_ms,
        .early_ms = granted > 0 && reset_ms > interval_ms ? reset_ms - interval_ms : 0,
    };
    if (surplus && !call->is_debt) give_back(w, r, key_of(call), surplus);
    if (granted > 1) watch(w);
    tell(call, LIMIT_DECIDED, &d);
}

/* Goes elsewhere, or again with the script: true, it is under way. */
static bool try_again(struct limit_worker *w, struct limit_call *call, struct slice error)
{
    struct redis_redirect   to;
    const struct redis_map *map = redis_store_map(w->store->shared);
    if (!call->remote || call->is_failed || call->hops++ >= HOPS_MAX) return false;
    const struct redis_node *from = limit_node_place(call->node);
    if (slice_starts_with(error, S("NOSCRIPT"))) {
        call->sends_script = true; /* and ASKING again where that went before */
        return from && limit_send_to(w, call, from);
    }
    call->is_asking = false;
    if (!redis_parse_redirect(error, &to)) return false;
    if (!to.is_ask) redis_store_tell_moved(w->store->shared);
    call->is_asking = to.is_ask;
    return limit_send_to(w, call, from ? redis_map_redirect(map, from, &to) : NULL);
}

/* What was to be counted there is not: Redis is full, or a replica, or has gone. */
static void owe_still(struct limit_worker *w, const struct limit_call *call)
{
    if (!call->remote || !(call->is_debt || call->is_spent)) return;
    struct lease_terms terms = terms_of(call->remote);
    uint32_t           tokens = call->is_debt ? (uint32_t)call->want : 1;
    uint64_t           short_ns = terms.interval_ns * terms.gateways * tokens;
    limit_debts_add(call->remote->debts, w->index, key_of(call), tokens,
                    w->loop->clock.now_ns + short_ns);
    watch(w);
}

/* Its last word is none. */
static void end_unanswered(struct limit_worker *w, struct limit_call *call)
{
    fail(call, LIMIT_FAILED);
    owe_still(w, call);
    free_call(w, call);
}

/* Of one key, which another program has written: the server is well. Redis before 7 puts it
 * amid a longer text. */
static bool is_of_key(struct slice error)
{
    return memmem(error.data, error.len, "WRONGTYPE", sizeof("WRONGTYPE") - 1) != NULL;
}

static void take_error(struct limit_worker *w, struct limit_call *call, struct slice error)
{
    if (try_again(w, call, error)) return;
    struct limit_node *n = call->node; /* the one it was sent on to, if that cannot be asked */
    counter_add(&w->counters.errors, 1);
    limit_set_trouble(w->store, error.data);
    bool is_sound = is_of_key(error);
    end_unanswered(w, call);
    if (!is_sound) limit_node_failed(n);
}

void limit_remote_answered(struct limit_worker *w, struct limit_call *call,
                           const struct redis_reply *r)
{
    if (!r) {
        counter_add(&w->counters.lost, 1);
        end_unanswered(w, call);
        return;
    }
    if (r->kind == REDIS_KIND_ERROR) {
        take_error(w, call, r->text);
        return;
    }
    counter_add(&w->counters.replies, 1);
    counter_add(&w->counters.reply_us, (w->loop->clock.now_ns - call->asked_ns) / US_NS);
    if (!call->is_failed) limit_node_succeeded(call->node);
    if (call->remote && call->want > 0 && is_answer(r))
        take_answer(w, call, r);
    else
        fail(call, LIMIT_FAILED); /* nobody waits for what was given back */
    free_call(w, call);
}

/* ---- requests ---- */

/* As it stands there while it is short; else what nobody can aim at another's. */
static struct slice short_key(struct slice key, char digest[LEASE_KEY_MAX])
{
    if (key.len <= LEASE_KEY_MAX) return key;
    static const char hex[] = "0123456789abcdef";
    uint8_t           sum[DIGEST_SHA256_BYTES];
    digest_hmac_sha256(sum, S("wharfgate limit"), key);
    digest[0] = '#';
    for (size_t i = 1; i < LEASE_KEY_MAX; i++) digest[i] = hex[sum[i / 2] >> (i % 2 * 4) & 15];
    return slice_make(digest, LEASE_KEY_MAX);
}

static enum limit_outcome ask_for(struct limit_worker *w, struct limit_remote *r, struct slice key,
                                  const struct lease_take *t, struct limit_ask *ask)
{
    struct limit_call *call = new_call(w, r, key, t->want, t->ticket);
    call->ask = ask;
    if (!send_call(w, call)) {
        counter_add(&w->counters.refused, 1);
        if (t->ticket) lease_failed(r->table, key, t->ticket);
        free_call(w, call);
        return LIMIT_FAILED;
    }
    if (ask) ask->call = call;
    return LIMIT_WAITS;
}

enum limit_outcome limit_remote_take(struct limit_remote *r, unsigned worker, struct slice key,
                                     struct limit_ask *ask)
{
    struct limit_worker *w = &r->store->workers[worker];
    struct lease_terms   terms = terms_of(r);
    char                 digest[LEASE_KEY_MAX];
    struct slice         id = short_key(key, digest);
    struct lease_take    t = lease_take(r->table, id, &terms, w->loop->clock.now_ns);
    ask->call = NULL;
    if (t.verdict == LEASE_ASK) return ask_for(w, r, id, &t, ask);
    if (t.want) (void)ask_for(w, r, id, &t, NULL);
    ask->decision = (struct gcra_decision){
        .admitted = t.verdict == LEASE_ADMITTED,
        .remaining = t.remaining,
        .retry_after_ms = t.retry_after_ms,
        .reset_ms = t.reset_ms,
    };
    return LIMIT_DECIDED;
}

void limit_forget(struct limit_ask *ask)
{
    if (ask->call) ask->call->ask = NULL;
    ask->call = NULL;
}

/* ---- what passed without Redis ---- */

void limit_remote_owe(struct limit_remote *r, unsigned worker, struct slice key, uint64_t full_ms)
{
    struct limit_worker *w = &r->store->workers[worker];
    char                 digest[LEASE_KEY_MAX];
    uint64_t             full_ns, now_ns = w->loop->clock.now_ns;
    if (__builtin_mul_overflow(full_ms, (uint64_t)MS_US * US_NS, &full_ns) ||
        __builtin_add_overflow(full_ns, now_ns, &full_ns))
        full_ns = UINT64_MAX;
    limit_debts_add(r->debts, worker, short_key(key, digest), 1, full_ns);
    if (limit_remote_gateways(r) > 1)
        atomic_store_explicit(&w->store->owed_ms, w->loop->clock.now_ms, memory_order_relaxed);
    watch(w);
}

struct settling {
    struct limit_worker *worker;
    struct limit_remote *remote;
};

static bool charge(void *arg, struct slice key, uint32_t tokens)
{
    const struct settling *s = arg;
    struct limit_call     *call = new_call(s->worker, s->remote, key, tokens, 0);
    call->is_debt = true;
    if (send_call(s->worker, call)) return true;
    free_call(s->worker, call);
    return false;
}

bool limit_remote_settle(struct limit_worker *w)
{
    bool has_more = false;
    LIST_EACH (it, &w->remotes) {
        struct limit_local     *local = container_of(it, struct limit_local, link);
        struct settling         s = { w, local->remote };
        struct lease_terms      terms = terms_of(local->remote);
        struct limit_settlement how = { terms.interval_ns * terms.gateways, w->loop->clock.now_ns,
                                        charge, &s };
        has_more |= limit_debts_settle(local->remote->debts, w->index, &how);
    }
    return has_more;
}

/* ---- what is unused ---- */

struct sweep {
    struct limit_worker *worker;
    struct limit_remote *remote;
};

static void on_unused(void *arg, struct slice key, uint32_t tokens)
{
    const struct sweep *s = arg;
    give_back(s->worker, s->remote, key, tokens);
}

void limit_remote_sweep(struct limit_worker *w)
{
    uint64_t now_ns = w->loop->clock.now_ns, unused_ns = (uint64_t)UNUSED_MS * MS_US * US_NS;
    bool     has_more = limit_remote_settle(w);
    LIST_EACH (it, &w->remotes) {
        struct sweep       s = { w, container_of(it, struct limit_local, link)->remote };
        struct lease_sweep sweep = { 0, 1, now_ns - unused_ns, on_unused, &s };
        has_more |= lease_sweep(s.remote->table, &sweep);
    }
    if (has_more) deadline_set(w->loop, &w->sweep, SWEEP_MS);
}
