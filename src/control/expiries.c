/* SPDX-License-Identifier: Apache-2.0
 *
 * When certificates end. See expiries.h.
 */
#include "control/expiries.h"

#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/memory.h"
#include "io/tls.h"

void expiries_init(struct expiries *x)
{
    list_init(&x->items);
}

void expiries_reset(struct expiries *x)
{
    LIST_EACH_SAFE (it, &x->items) {
        struct expiry *one = container_of(it, struct expiry, link);
        list_remove(&one->link);
        free(one->file);
        free(one);
    }
}

void expiries_move(struct expiries *to, struct expiries *from)
{
    expiries_reset(to);
    LIST_EACH_SAFE (it, &from->items) {
        list_remove(it);
        list_append(&to->items, it);
    }
}

static const struct expiry *find(const struct expiries *x, const char *file)
{
    LIST_EACH (it, &x->items) {
        const struct expiry *one = container_of(it, struct expiry, link);
        if (strcmp(one->file, file) == 0) return one;
    }
    return NULL;
}

bool expiries_has(const struct expiries *x, const char *file, struct slice pem)
{
    const struct expiry *one = find(x, file);
    return one && one->digest == XXH3_64bits(pem.data, pem.len);
}

void expiries_note(struct expiries *x, const char *file, struct slice pem)
{
    int64_t at_s;
    if (find(x, file) || !tls_certificate_expiry(pem, &at_s)) return;
    struct expiry *one = mem_zalloc(sizeof(*one));
    one->file = mem_strdup(file);
    one->at_s = at_s;
    one->digest = XXH3_64bits(pem.data, pem.len);
    list_append(&x->items, &one->link);
}
