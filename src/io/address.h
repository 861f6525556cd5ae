/* SPDX-License-Identifier: Apache-2.0
 *
 * Network addresses (IPv4, IPv6, Unix path) in a compact form, and sets of
 * networks (CIDR).
 */
#pragma once

#include <netinet/in.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/slice.h"

enum address_family { ADDRESS_NONE, ADDRESS_V4, ADDRESS_V6, ADDRESS_UNIX };

struct address {
    uint8_t     family; /* enum address_family */
    uint16_t    port;   /* host order */
    uint32_t    scope;  /* of a link-local IPv6 address */
    uint8_t     ip[16]; /* network order; the first 4 for IPv4 */
    const char *path;   /* Unix: borrowed, NUL-terminated; "@name" is abstract */
};

enum { ADDRESS_TEXT_MAX = 64 }; /* "[v6%scope]:port" and NUL; a Unix path is cut */

/* "10.0.0.1:80", "[::1]:80", ":80" (any, IPv6 dual stack), "*:80",
 * "unix:/path", "unix:@name". No names: those need io/resolve.h. A path is
 * copied into the arena. */
bool address_parse(struct address *a, struct slice text, struct arena *arena, struct error *e);
/* "host:port" with a name instead of an address? Then host and port are set. */
bool address_split(struct slice text, struct slice *host, uint16_t *port);
/* IPv4-mapped IPv6 becomes IPv4: rules know one form of an address. */
void      address_unmap(struct address *a);
void      address_from_sockaddr(struct address *a, const struct sockaddr *sa, socklen_t len);
socklen_t address_to_sockaddr(const struct address *a, struct sockaddr_storage *sa);
bool      address_eq(const struct address *a, const struct address *b);
/* IP without port; "unix:" for Unix. Returns its length; fast for IPv4. */
size_t address_format_ip(const struct address *a, char text[ADDRESS_TEXT_MAX]);
/* Of an IPv6 address the network of so many bits, "2001:db8::/64". */
size_t address_format_net(const struct address *a, unsigned bits, char text[ADDRESS_TEXT_MAX]);
/* With port, IPv6 in brackets. */
size_t address_format(const struct address *a, char text[ADDRESS_TEXT_MAX]);

struct cidr {
    uint8_t family;
    uint8_t bits;
    uint8_t ip[16];
};

struct cidr_set {
    struct cidr *items;
    size_t       count;
};

/* "10.0.0.0/8", "::1/128", "10.1.2.3" (that host), "unix" (any Unix peer). Host
 * bits that are set are an error. */
bool cidr_parse(struct cidr *c, struct slice text, struct error *e);
bool cidr_set_has(const struct cidr_set *set, const struct address *a);
