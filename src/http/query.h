/* SPDX-License-Identifier: Apache-2.0
 *
 * Parameters of a query as applications read them (the form encoding of the
 * URL standard): "a=1&b=two+words". Nothing is malformed: what makes no sense
 * stays as it is.
 */
#pragma once

#include "base/buffer.h"
#include "base/slice.h"

/* The next parameter, as it stands there; *rest is what follows it. False: there is none. */
bool query_next(struct slice *rest, struct slice *name, struct slice *value);
/* %XX and "+": `text` itself where there is none, else in *scratch, until its next use. */
struct slice query_decode(struct slice text, struct buffer *scratch);
