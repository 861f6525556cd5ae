/* SPDX-License-Identifier: Apache-2.0
 *
 * One lookup. See dns_lookup.h.
 *
 *     start --- A and AAAA of the name ------------------------------ end
 *       \                                                           /
 *        `--- SRV of the name --- A and AAAA of each target -------'
 *
 * The end comes too when the time is over; targets that are still missing count
 * as failed then.
 */
#include "io/dns_lookup.h"

#include <arpa/nameser.h>
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "io/dns_channel.h"
#include "io/dns_srv.h"

/* So many targets of one name are looked up at a time: a burst of datagrams gets lost. */
enum { TARGETS_AT_ONCE = 16 };

/* A host whose addresses are asked for: the name itself, or a target with the SRV records that
 * name it. */
struct host {
    struct dns_lookup *lookup;
    const char        *name;         /* as people write it */
    size_t             first, count; /* in lookup->srv */
    int                status;
};

struct dns_lookup {
    struct dns_channel *channel;
    enum dns_kind       kind;
    const char         *name;
    void (*on_end)(void *arg);
    void               *arg;
    struct deadline     limit;
    unsigned            pending_count; /* questions that c-ares has not given back */
    bool                has_ended, is_released, is_asking;
    int                 status; /* of SRV */
    uint32_t            ttl_s;
    struct dns_records  records;
    struct dns_srv_list srv;
    struct host        *hosts;
    size_t              host_count, next_host;
};

static void free_lookup(struct dns_lookup *l)
{
    deadline_remove(&l->limit);
    dns_records_reset(&l->records);
    dns_srv_reset(&l->srv);
    free(l->hosts);
    free(l);
}

void dns_lookup_release(struct dns_lookup *l)
{
    if (!l) return;
    l->is_released = l->has_ended = true;
    deadline_remove(&l->limit);
    if (!l->pending_count) free_lookup(l);
}

static void end(struct dns_lookup *l)
{
    assert(!l->has_ended);
    l->has_ended = true;
    deadline_clear(&l->limit);
    l->on_end(l->arg);
}

static void on_limit(struct deadline *d)
{
    end(container_of(d, struct dns_lookup, limit));
}

/* A question has come back. False: nobody waits any more, and the lookup may be gone. */
static bool take_back(struct dns_lookup *l)
{
    l->pending_count--;
    if (l->is_released && !l->pending_count) {
        free_lookup(l);
        return false;
    }
    return !l->has_ended;
}

static void add_address(struct host *h, const char *target, const struct address *a)
{
    struct dns_lookup *l = h->lookup;
    struct dns_record  record = { .address = *a, .target = target };
    if (l->kind == DNS_ADDRESSES) dns_records_add(&l->records, &record);
    for (size_t i = h->first; i < h->first + h->count; i++) {
        record.address.port = l->srv.items[i].port;
        record.priority = l->srv.items[i].priority;
        record.weight = l->srv.items[i].weight;
        dns_records_add(&l->records, &record);
    }
}

static void add_addresses(struct host *h, const struct ares_addrinfo *found)
{
    struct dns_lookup *l = h->lookup;
    const char        *target = dns_records_name(&l->records, h->name);
    for (const struct ares_addrinfo_node *n = found->nodes; n; n = n->ai_next) {
        struct address a;
        address_from_sockaddr(&a, n->ai_addr, (socklen_t)n->ai_addrlen);
        if (a.family == ADDRESS_NONE) continue;
        add_address(h, target, &a);
        l->ttl_s = dns_least_ttl(l->ttl_s, (uint32_t)n->ai_ttl);
    }
    for (const struct ares_addrinfo_cname *c = found->cnames; c; c = c->next)
        l->ttl_s = dns_least_ttl(l->ttl_s, (uint32_t)c->ttl);
}

static void ask_hosts(struct dns_lookup *l);

static void on_addresses(void *arg, int status, int timeout_count, struct ares_addrinfo *found)
{
    (void)timeout_count;
    struct host       *h = arg;
    struct dns_lookup *l = h->lookup;
    if (take_back(l)) {
        if (status == ARES_SUCCESS && !found->nodes) status = ARES_ENODATA;
        h->status = status;
        if (status == ARES_SUCCESS) add_addresses(h, found);
        ask_hosts(l);
    }
    if (found) ares_freeaddrinfo(found);
}

static void ask_host(struct dns_lookup *l, struct host *h)
{
    const struct ares_addrinfo_hints hints = { .ai_flags = ARES_AI_NOSORT,
                                               .ai_family = AF_UNSPEC,
                                               .ai_socktype = SOCK_STREAM };
    char                             absolute[NS_MAXDNAME + 1];
    /* A target is a whole name (RFC 2782), to which nothing is appended. */
    const char *dot = l->kind == DNS_SRV ? "." : "";
    snprintf(absolute, sizeof(absolute), "%s%s", h->name, dot);
    l->pending_count++;
    ares_getaddrinfo(dns_channel_ares(l->channel), absolute, NULL, &hints, on_addresses, h);
}

/* Some answers come at once, from within the call: then it is this loop that goes on. */
static void ask_hosts(struct dns_lookup *l)
{
    if (l->is_asking) return;
    l->is_asking = true;
    while (l->next_host < l->host_count && l->pending_count < TARGETS_AT_ONCE)
        ask_host(l, &l->hosts[l->next_host++]);
    l->is_asking = false;
    if (!l->pending_count) end(l);
}

/* Each target once; the records are sorted by it. The one without a name says that there is no
 * such service. */
static void list_targets(struct dns_lookup *l)
{
    const struct dns_srv *items = l->srv.items;
    l->hosts = mem_zalloc((l->srv.count + 1) * sizeof(*l->hosts));
    for (size_t i = 0; i < l->srv.count; i++) {
        struct host *last = l->host_count ? &l->hosts[l->host_count - 1] : NULL;
        if (!items[i].host[0]) continue;
        if (last && strcmp(last->name, items[i].host) == 0)
            last->count++;
        else
            l->hosts[l->host_count++] = (struct host){ l, items[i].host, i, 1, ARES_ETIMEOUT };
    }
}

static void on_srv(void *arg, int status, int timeout_count, unsigned char *reply, int len)
{
    (void)timeout_count;
    struct dns_lookup *l = arg;
    if (!take_back(l)) return;
    l->status = status;
    if (status == ARES_SUCCESS && !dns_srv_parse(&l->srv, reply, (size_t)len))
        l->status = ARES_EBADRESP;
    else if (status == ARES_SUCCESS && !l->srv.count)
        l->status = ARES_ENODATA;
    l->ttl_s = l->srv.ttl_s;
    list_targets(l);
    ask_hosts(l);
}

struct dns_lookup *dns_lookup_new(struct dns_channel *c, enum dns_kind kind, const char *name,
                                  void (*on_end)(void *arg), void *arg)
{
    struct dns_lookup *l = mem_zalloc(sizeof(*l));
    l->channel = c;
    l->kind = kind;
    l->name = name;
    l->on_end = on_end;
    l->arg = arg;
    l->ttl_s = UINT32_MAX;
    l->status = ARES_ETIMEOUT;
    l->srv.ttl_s = UINT32_MAX;
    deadline_init(&l->limit, on_limit);
    return l;
}

/* ares_search() is marked as old in 1.34; what follows it is not in 1.18. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
static void            ask_srv(struct dns_lookup *l)
{
    l->pending_count++;
    ares_search(dns_channel_ares(l->channel), l->name, ns_c_in, ns_t_srv, on_srv, l);
}
#pragma GCC diagnostic pop

void dns_lookup_start(struct dns_lookup *l, uint64_t timeout_ms)
{
    deadline_set(dns_channel_loop(l->channel), &l->limit, timeout_ms);
    if (l->kind == DNS_SRV) {
        ask_srv(l);
    } else {
        l->hosts = mem_zalloc(sizeof(*l->hosts));
        l->hosts[l->host_count++] = (struct host){ l, l->name, 0, 0, ARES_ETIMEOUT };
        ask_hosts(l);
    }
    dns_channel_arm(l->channel);
}

static void explain(const struct dns_lookup *l, int status, const char *name, struct error *to)
{
    bool        is_target = name != l->name;
    const char *missing = l->kind == DNS_SRV && !is_target ? "SRV record" : "address";
    switch (status) {
    case ARES_ENOTFOUND: error_set(to, "the name \"%s\" does not exist", name); break;
    case ARES_ENODATA: error_set(to, "the name \"%s\" has no %s", name, missing); break;
    case ARES_ETIMEOUT: error_set(to, "no name server answers for \"%s\"", name); break;
    case ARES_ESERVFAIL:
        error_set(to, "the name server fails to look up \"%s\" (SERVFAIL)", name);
        break;
    case ARES_EREFUSED:
        error_set(to, "the name server refuses to look up \"%s\" (REFUSED)", name);
        break;
    case ARES_EBADNAME: error_set(to, "\"%s\" is not a name that DNS can have", name); break;
    case ARES_EBADRESP:
        error_set(to, "the name server's answer for \"%s\" cannot be read", name);
        break;
    case ARES_ECONNREFUSED:
        error_set(to,
                  dns_channel_is_exact(l->channel)
                      ? "no name server can be reached to look up \"%s\""
                      : "no name server can be reached to look up \"%s\", or each one fails",
                  name);
        break;
    default: error_set(to, "cannot look up \"%s\": %s", name, ares_strerror(status)); break;
    }
}

/* The addresses that the host had before, with what SRV says of it now. */
static void keep_before(struct host *h, const struct dns_records *before)
{
    const char *target = NULL;
    for (size_t i = 0; i < before->count; i++) {
        const struct dns_record *old = &before->items[i];
        if (strcmp(old->target, h->name) != 0) continue;
        if (!target) target = dns_records_name(&h->lookup->records, h->name);
        add_address(h, target, &old->address);
    }
}

static void explain_targets(struct dns_lookup *l, const struct host *first, size_t failed_count,
                            char to[DNS_TROUBLE_MAX])
{
    struct error e;
    explain(l, first->status, first->name, &e);
    error_wrap(&e, "a target of \"%s\"", l->name);
    size_t len = strlen(e.text);
    if (failed_count > 1)
        snprintf(e.text + len, sizeof(e.text) - len, " (and %zu more)", failed_count - 1);
    snprintf(to, DNS_TROUBLE_MAX, "%.*s", DNS_TROUBLE_MAX - 1, e.text);
}

static void result_of_targets(struct dns_lookup *l, const struct dns_records *before,
                              struct dns_result *to)
{
    const struct host *first = NULL;
    size_t             failed_count = 0;
    for (size_t i = 0; i < l->host_count; i++) {
        if (l->hosts[i].status == ARES_SUCCESS) continue;
        if (!failed_count++) first = &l->hosts[i];
    }
    to->is_good = !l->host_count || failed_count < l->host_count;
    for (size_t i = 0; i < l->host_count && to->is_good; i++)
        if (l->hosts[i].status != ARES_SUCCESS) keep_before(&l->hosts[i], before);
    if (first) explain_targets(l, first, failed_count, to->trouble);
}

void dns_lookup_result(struct dns_lookup *l, const struct dns_records *before,
                       struct dns_result *to)
{
    int status = l->kind == DNS_SRV ? l->status : l->hosts[0].status;
    *to = (struct dns_result){ .is_good = status == ARES_SUCCESS };
    if (status != ARES_SUCCESS) {
        struct error e;
        explain(l, status, l->name, &e);
        snprintf(to->trouble, sizeof(to->trouble), "%.*s", DNS_TROUBLE_MAX - 1, e.text);
    } else if (l->kind == DNS_SRV) {
        result_of_targets(l, before, to);
    }
    dns_records_sort(&l->records);
    to->records = l->records;
    to->ttl_s = l->ttl_s == UINT32_MAX ? 0 : l->ttl_s;
    l->records = (struct dns_records){ 0 };
}
