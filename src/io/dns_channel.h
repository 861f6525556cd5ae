/* SPDX-License-Identifier: Apache-2.0
 *
 * c-ares on a loop: its sockets, its timeouts, its servers. Whoever asks it
 * something calls dns_channel_arm() afterwards.
 */
#pragma once

#include <ares.h>

#include "io/loop.h"

struct error;
struct dns_channel;

/* `servers` as in struct dns_options. c-ares gives up before `timeout_ms` have passed, so that
 * it still tells what it has got. */
struct dns_channel *dns_channel_new(struct loop *l, const char *servers, uint64_t timeout_ms,
                                    struct error *e);
/* What still runs is called back with ARES_EDESTRUCTION. Accepts NULL. */
void dns_channel_free(struct dns_channel *c);
/* What still runs is called back with ARES_ECANCELLED. */
void         dns_channel_cancel(struct dns_channel *c);
ares_channel dns_channel_ares(const struct dns_channel *c);
void         dns_channel_arm(struct dns_channel *c);
struct loop *dns_channel_loop(const struct dns_channel *c);
/* Is ARES_ECONNREFUSED just that? Else it may also stand for a failure that servers have told. */
bool dns_channel_is_exact(const struct dns_channel *c);
