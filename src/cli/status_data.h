/* SPDX-License-Identifier: Apache-2.0
 *
 * The gateway's answer to GET /v1/status, or another of that kind, as JSON. Whatever may be missing
 * or of another type is unknown, so that any version's answer can be shown.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "base/error.h"
#include "base/slice.h"

/* NULL and *e: it is no answer of a gateway, all of which have that list. json_decref() it. Bytes
 * that are no UTF-8 become U+FFFD. */
json_t *status_parse(struct slice text, const char *list, struct error *e);

/* Borrowed. Empty, false, NULL: unknown. */
struct slice status_text(const json_t *object, const char *key);
bool         status_number(const json_t *object, const char *key, double *to);
bool         status_is(const json_t *object, const char *key);

const json_t *status_upstreams(const json_t *root);
const json_t *status_upstream(const json_t *root, const char *name);
/* An endpoint is one of these in a word; unknown counts as fine. */
bool status_is_ready(const json_t *endpoint);
bool status_is_bad(const json_t *endpoint);
bool status_is_fine(const json_t *endpoint);

/* Requests a second between two answers, by upstream and endpoint. Without an earlier
 * one, or that of another process: none are known. Never NULL; json_decref() it. */
json_t *status_rates(const json_t *before, const json_t *now, double seconds);
bool status_rate(const json_t *rates, const json_t *upstream, const json_t *endpoint, double *to);
