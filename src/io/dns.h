/* SPDX-License-Identifier: Apache-2.0
 *
 * Names that are looked up again and again (c-ares): A and AAAA together, or SRV
 * with the addresses of its targets. A name that several ask for is looked up
 * once. The last good answer stays when a later lookup fails; its age is known.
 * One thread: that of the loop. Blocks never, but for reading /etc/hosts, which
 * counts as in the system (and changes to it, at the next lookup).
 *
 * "No such name" and "no record" are failures as well: an answer cannot tell a
 * service that was removed from a zone that is broken, half loaded or not yet
 * there, and what was good a minute ago is the better guess. Only SRV can say that
 * a service does not exist (target ".", RFC 2782): no records, and no trouble.
 */
#pragma once

#include "base/error.h"
#include "io/address.h"
#include "io/loop.h"

enum dns_kind { DNS_ADDRESSES, DNS_SRV };

enum { DNS_RECORDS_MAX = 4096, DNS_TROUBLE_MAX = 320 };

struct dns_record {
    struct address address;          /* port: of SRV, else 0 */
    uint16_t       priority, weight; /* of SRV; RFC 2782 */
    const char    *target;           /* of SRV: its host, without final dot; else the name */
};

/* What is known of a name. Records are sorted (priority, address, port), so that equal answers
 * are equal texts, and have each address and port once; borrowed until the next change, which
 * `changed` is told of. */
struct dns_answer {
    const struct dns_record *records;
    size_t                   count;
    bool                     is_known; /* there was a good answer once */
    uint64_t                 good_ms;  /* of the last one, loop clock */
    /* Of the last lookup, for people; NULL: it went well. With SRV the records may be new even
     * so: a target that could not be looked up keeps the addresses it had, others do not wait
     * for it. */
    const char *trouble;
};

struct dns_options {
    const char *servers;                /* "10.0.0.2,10.0.0.3:5353,[::1]:53"; NULL: the system's */
    uint64_t    min_ttl_ms, max_ttl_ms; /* bounds of when it is looked up again */
    uint64_t    timeout_ms;             /* of one lookup, all tries */
    uint64_t    retry_ms;               /* after a failure: from here, doubling to max_ttl */
};

struct dns;
struct dns_watch;

/* NULL and *e when the library cannot start (a bad server address). */
struct dns *dns_new(struct loop *l, const struct dns_options *o, struct error *e);
/* Other servers or bounds from now on, and every name is looked up anew (the system's servers
 * are read again too); false and *e: nothing has changed. */
bool dns_configure(struct dns *d, const struct dns_options *o, struct error *e);
/* No watch may be left; not from within `changed`. Accepts NULL. */
void dns_free(struct dns *d);

/* Looks the name up now unless that was done, and again when its time has come, until
 * dns_unwatch(). `changed` is called from the loop whenever records or trouble have changed;
 * never from within a call. It may call dns_watch(), dns_unwatch() and dns_configure(). */
struct dns_watch *dns_watch(struct dns *d, enum dns_kind kind, const char *name,
                            void (*changed)(void *arg), void *arg);
void              dns_unwatch(struct dns_watch *w); /* accepts NULL */
struct dns_answer dns_answer(const struct dns_watch *w);
