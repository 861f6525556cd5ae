/* SPDX-License-Identifier: Apache-2.0
 *
 * PROXY protocol: any bytes. What was decided on a part stands for the whole;
 * what was accepted is read the same when written anew.
 */
#include <stdlib.h>

#include "io/proxy_protocol.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds) abort();
}

static bool is_same(const struct proxy_header *a, const struct proxy_header *b)
{
    return a->is_local == b->is_local && address_eq(&a->src, &b->src) &&
           address_eq(&a->dst, &b->dst);
}

static void check_written(const struct proxy_header *h)
{
    bool is_ip = h->src.family == ADDRESS_V4 || h->src.family == ADDRESS_V6;
    for (int version = 1; version <= 2; version++) {
        char                buf[PROXY_WRITE_MAX];
        struct proxy_header again;
        size_t              len = proxy_protocol_write(version, &h->src, &h->dst, buf);
        require(len <= sizeof(buf));
        require(proxy_protocol_parse(buf, len, &again) == PROXY_COMPLETE);
        require(again.used == len);
        require(is_ip ? is_same(h, &again) : again.is_local);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char         *in = (const char *)data;
    struct proxy_header whole, part;
    enum proxy_status   status = proxy_protocol_parse(in, size, &whole);
    require(status != PROXY_COMPLETE || (whole.used <= size && whole.used <= PROXY_V2_MAX));
    require(status != PROXY_NEEDS_MORE || size < PROXY_V2_MAX);
    require(status != PROXY_INVALID || whole.reason);
    for (size_t cut = 0; cut < size && cut <= PROXY_V2_MAX; cut++) {
        enum proxy_status early = proxy_protocol_parse(in, cut, &part);
        if (early == PROXY_NEEDS_MORE) continue;
        require(early == status && is_same(&part, &whole) && part.used == whole.used);
    }
    if (status == PROXY_COMPLETE) check_written(&whole);
    return 0;
}
