/* SPDX-License-Identifier: Apache-2.0
 *
 * One replica, as all threads see it: where it is, and its live state, which is
 * one cache line of atomics shared by all plans. An endpoint is found by its
 * identity and lives as long as a set or a connection refers to it.
 */
#pragma once

#include <stdalign.h>
#include <stdatomic.h>
#include <stdint.h>

#include "base/slice.h"
#include "io/address.h"

struct endpoint {
    struct address address;
    char          *identity;    /* what makes it itself: today the text of its address */
    char          *text;        /* for logs: "10.0.0.7:80" */
    char          *server_name; /* host as configured, for SNI and verification; may be empty */
    uint32_t       weight;      /* >= 1 */
    bool           is_backup;
    uint32_t       index; /* in its upstream's set: where a worker keeps what it knows of it */

    alignas(64) struct {
        _Atomic uint32_t active;   /* requests in progress, all workers */
        _Atomic uint32_t failures; /* in a row, of connecting or answering */
        _Atomic uint64_t requests;
    } live;
};

/* Immutable; replaced whole. */
struct endpoint_set {
    size_t           count;
    bool             has_backups;
    struct endpoint *items[];
};
