/* SPDX-License-Identifier: Apache-2.0
 *
 * The PROXY protocol, versions 1 and 2 (the specification is HAProxy's
 * doc/proxy-protocol.txt): who the client is, told by a balancer before the
 * first byte of his connection. Bytes in, bytes out, no sockets. Type-length
 * values of version 2 are skipped; a path of a Unix socket is not told;
 * IPv4-mapped IPv6 becomes IPv4.
 */
#pragma once

#include "io/address.h"

enum {
    PROXY_V1_MAX = 107, /* with CRLF; the longest that the specification allows */
    PROXY_V2_MAX = 536, /* 16, two Unix addresses of 108, and 304 for TLVs: more is refused */
    PROXY_WRITE_MAX = PROXY_V1_MAX,
};

enum proxy_status { PROXY_COMPLETE, PROXY_NEEDS_MORE, PROXY_INVALID };

struct proxy_header {
    size_t         used;     /* PROXY_COMPLETE: the header's length; the rest is the connection's */
    bool           is_local; /* LOCAL or UNKNOWN: the balancer speaks for itself; no addresses */
    struct address src;
    struct address dst;
    const char    *reason; /* PROXY_INVALID: a constant phrase with underscores */
};

/* `data` is all that was received so far. Decides after at most PROXY_V2_MAX bytes. */
enum proxy_status proxy_protocol_parse(const char *data, size_t len, struct proxy_header *h);

/* Writes a header of version 1 or 2 and returns its length. `src` NULL, or
 * addresses that are not both IP: LOCAL in version 2, UNKNOWN in version 1.
 * IPv4 beside IPv6 is written as mapped IPv6. */
size_t proxy_protocol_write(int version, const struct address *src, const struct address *dst,
                            char buf[PROXY_WRITE_MAX]);
