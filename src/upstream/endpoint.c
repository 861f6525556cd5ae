/* SPDX-License-Identifier: Apache-2.0
 *
 * One replica: its life and what its answers say of it. See endpoint.h.
 *
 * Latency is a peak EWMA as in Finagle's load balancer (PeakEwma.scala): a
 * sample above the mean takes its place at once, one below pulls it down the
 * more, the longer ago the last one was. So trouble is seen with the first slow
 * answer, and trust comes back slowly.
 */
#include "upstream/endpoint.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"

static const double TAU_NS = 10e9;
/* What a failure counts as, at least: a replica that fails fast must not look fast. */
static const double FAILURE_US = 1e6;

static_assert(sizeof(struct endpoint_live) == 64, "one cache line");

void endpoint_live_ref(struct endpoint_live *live)
{
    atomic_fetch_add_explicit(&live->ref_count, 1, memory_order_relaxed);
}

void endpoint_live_unref(struct endpoint_live *live)
{
    if (live && atomic_fetch_sub_explicit(&live->ref_count, 1, memory_order_acq_rel) == 1)
        free(live);
}

static char *make_text(const struct endpoint_spec *spec)
{
    if (spec->text.len) return mem_slicedup(spec->text);
    if (spec->address.family == ADDRESS_UNIX) {
        size_t size = sizeof("unix:") + strlen(spec->address.path);
        char  *text = mem_alloc(size);
        snprintf(text, size, "unix:%s", spec->address.path);
        return text;
    }
    char text[ADDRESS_TEXT_MAX];
    address_format(&spec->address, text);
    return mem_strdup(text);
}

/* A bare address is what the certificate has to be for. */
static char *make_server_name(const struct endpoint_spec *spec)
{
    if (spec->server_name.len) return mem_slicedup(spec->server_name);
    if (spec->address.family == ADDRESS_UNIX) return mem_strdup("");
    char text[ADDRESS_TEXT_MAX];
    return mem_slicedup(slice_make(text, address_format_ip(&spec->address, text)));
}

struct endpoint *endpoint_new(const struct endpoint_spec *spec, struct endpoint_live *live)
{
    struct endpoint *e = mem_zalloc_aligned(alignof(struct endpoint), sizeof(*e));
    e->address = spec->address;
    if (spec->address.family == ADDRESS_UNIX) e->address.path = mem_strdup(spec->address.path);
    e->text = make_text(spec);
    e->identity = spec->identity.len ? mem_slicedup(spec->identity) : mem_strdup(e->text);
    e->server_name = make_server_name(spec);
    e->live = live ? live : mem_zalloc_aligned(alignof(struct endpoint_live), sizeof(*live));
    endpoint_live_ref(e->live);
    e->weight = spec->weight ? spec->weight : 1;
    e->is_backup = spec->is_backup;
    atomic_init(&e->ref_count, 1);
    return e;
}

void endpoint_free(struct endpoint *e)
{
    if (!e) return;
    if (e->address.family == ADDRESS_UNIX) free((char *)(uintptr_t)e->address.path);
    free(e->identity);
    free(e->text);
    free(e->server_name);
    endpoint_live_unref(e->live);
    free(e);
}

void endpoint_ref(struct endpoint *e)
{
    atomic_fetch_add_explicit(&e->ref_count, 1, memory_order_relaxed);
}

void endpoint_unref(struct endpoint *e)
{
    uint32_t before = atomic_fetch_sub_explicit(&e->ref_count, 1, memory_order_acq_rel);
    assert(before > 0);
    if (before > 1) return;
    if (e->on_unused)
        e->on_unused(e, e->unused_arg);
    else
        endpoint_free(e);
}

/* What is left of a mean after `ns`: about exp(-ns / tau), as (1 + x / 16)^-16, which is at
 * most 3 % off within one tau and costs a division instead of a call of libm. */
static double remainder_after(uint64_t from_ns, uint64_t now_ns)
{
    /* Another worker's clock may be a little ahead. */
    if (now_ns <= from_ns) return 1;
    double r = 1 / (1 + (double)(now_ns - from_ns) / (16 * TAU_NS));
    r *= r;
    r *= r;
    r *= r;
    return r * r;
}

static void note_latency(struct endpoint_live *live, double us, uint64_t now_ns)
{
    double   mean = atomic_load_explicit(&live->latency_us, memory_order_relaxed);
    uint64_t from = atomic_load_explicit(&live->latency_ns, memory_order_relaxed);
    if (us < mean) us += (mean - us) * remainder_after(from, now_ns);
    atomic_store_explicit(&live->latency_us, us, memory_order_relaxed);
    if (now_ns > from) atomic_store_explicit(&live->latency_ns, now_ns, memory_order_relaxed);
}

double endpoint_latency_us(const struct endpoint *e, uint64_t now_ns)
{
    double   mean = atomic_load_explicit(&e->live->latency_us, memory_order_relaxed);
    uint64_t from = atomic_load_explicit(&e->live->latency_ns, memory_order_relaxed);
    return mean * remainder_after(from, now_ns);
}

uint32_t endpoint_note_failure(struct endpoint *e, uint64_t now_ns)
{
    struct endpoint_live *live = e->live;
    double                mean = atomic_load_explicit(&live->latency_us, memory_order_relaxed);
    note_latency(live, mean > FAILURE_US ? mean : FAILURE_US, now_ns);
    atomic_fetch_add_explicit(&live->failed, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&live->outcomes, 1, memory_order_relaxed);
    return atomic_fetch_add_explicit(&live->failures, 1, memory_order_relaxed) + 1;
}

void endpoint_note_success(struct endpoint *e, uint64_t us, uint64_t now_ns)
{
    struct endpoint_live *live = e->live;
    note_latency(live, us ? (double)us : 1, now_ns); /* 0 means none */
    atomic_fetch_add_explicit(&live->outcomes, 1, memory_order_relaxed);
    atomic_store_explicit(&live->failures, 0, memory_order_relaxed);
}
