/* SPDX-License-Identifier: Apache-2.0
 *
 * One lookup of one name, from the question to records: addresses, or SRV and
 * then the addresses of its targets. c-ares cannot take back a single question;
 * a lookup that was released goes when the last of its questions has come back.
 */
#pragma once

#include "io/dns_records.h"

struct dns_channel;
struct dns_lookup;

/* What a lookup has brought. */
struct dns_result {
    struct dns_records records; /* sorted */
    bool               is_good; /* there is an answer, of which a target may lack */
    uint32_t           ttl_s;
    char               trouble[DNS_TROUBLE_MAX]; /* "": none */
};

/* `on_end` is called once, unless the lookup is released before; that may be within
 * dns_lookup_start(). The name is borrowed until the lookup is released. */
struct dns_lookup *dns_lookup_new(struct dns_channel *c, enum dns_kind kind, const char *name,
                                  void (*on_end)(void *arg), void *arg);
void               dns_lookup_start(struct dns_lookup *l, uint64_t timeout_ms);
/* After its end. Targets of SRV that could not be looked up keep the addresses of `before`.
 * The caller resets the records. */
void dns_lookup_result(struct dns_lookup *l, const struct dns_records *before,
                       struct dns_result *to);
/* Accepts NULL. */
void dns_lookup_release(struct dns_lookup *l);
