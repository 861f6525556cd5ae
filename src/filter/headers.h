/* SPDX-License-Identifier: Apache-2.0
 *
 * Edits of headers by hand: remove, rename, set, add, on the request before the origin gets it
 * and on every response. Which headers may be edited conf/types_headers.c says; a value that
 * does not fit a header is none, so that no line can be put in.
 */
#pragma once

#include "http/pattern.h"
#include "proxy/filter.h"

struct header_edits;

/* Its config is a struct header_edits. */
extern const struct filter_ops filter_headers;

/* In that arena; keeps no pointer to the settings. First those of `defaults`, then the route's;
 * either may be NULL. NULL: there is nothing to edit. */
const struct header_edits *header_edits_build(const struct headers_settings *defaults,
                                              const struct headers_settings *route,
                                              struct arena                  *a);
/* All that `${match:...}` asks for are groups of `code` (NULL: the route's path has no expression)?
 * Else false and *e. */
bool header_edits_check_groups(const struct header_edits *edits, const pcre2_code *code,
                               struct error *e);
/* "request: removes X-A, sets X-B; response: adds X-C"; values may be secret. */
struct slice header_edits_text(const struct header_edits *e, struct arena *a);
