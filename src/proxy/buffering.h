/* SPDX-License-Identifier: Apache-2.0
 *
 * `buffer_request`: a replica gets a request once its body is there, so that slow clients take up
 * none of its workers. Up to that many bytes wait in memory; of a longer body the rest streams
 * after them. What was held whole may be sent again, as any held body. Nothing goes to disk.
 */
#pragma once

#include "proxy/exchange.h"

/* Before the first attempt. True: it waits (WAIT_BODY), and begins by one of the others. */
bool buffering_begin(struct exchange *x);
/* A piece of the body; its end. False: it does not wait for it. */
bool buffering_take(struct exchange *x, struct slice data);
bool buffering_end(struct exchange *x);
