/* SPDX-License-Identifier: Apache-2.0
 *
 * The SRV records of a DNS reply (RFC 2782, RFC 1035 section 4). Refuses a reply
 * that is cut or points outside of itself; other kinds of records are passed over.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct dns_srv {
    uint16_t priority, weight, port;
    char    *host; /* lower case, without final dot; "": the service does not exist */
};

struct dns_srv_list {
    struct dns_srv *items; /* by host */
    size_t          count;
    uint32_t        ttl_s; /* the least; UINT32_MAX when there is none */
};

/* False: malformed, and the list is empty. */
bool dns_srv_parse(struct dns_srv_list *list, const unsigned char *reply, size_t len);
void dns_srv_reset(struct dns_srv_list *list);
/* The least of two lifetimes; what does not fit 31 bits counts as 0 (RFC 2181 section 8). */
uint32_t dns_least_ttl(uint32_t least_s, uint32_t ttl_s);
