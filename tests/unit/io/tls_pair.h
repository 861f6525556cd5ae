/* SPDX-License-Identifier: Apache-2.0
 *
 * Two TLS connections that talk to each other in memory: what one has in its
 * cipher queue is given to the other, in pieces of any size.
 */
#pragma once

#include "io/tls.h"

struct side {
    struct tls     *tls;
    enum tls_result last; /* of tls_handshake or tls_read */
    bool            is_open;
    struct buffer   got; /* plaintext */
    size_t          largest_record;
    size_t          record_count; /* of those it sent since the handshake */
};

struct pair {
    struct loop loop; /* only its pools and clock are used */
    struct side server;
    struct side client;
    size_t      step; /* ciphertext is given in pieces of this size; 0: whole */
};

void pair_init(struct pair *p);
/* New connections; the old ones are freed. Returns true when both are open. */
bool pair_connect(struct pair *p, struct tls_server *s, struct tls_client *c, const char *host);
/* Carries bytes both ways until nothing moves. */
void pair_run(struct pair *p);
void pair_write(struct pair *p, struct side *from, const void *data, size_t len);
void pair_free(struct pair *p);
