/* SPDX-License-Identifier: Apache-2.0
 *
 * What tells requests apart, for limits and balancing: address, header, cookie
 * and so on. Filters see exchange_key() in filter.h.
 */
#pragma once

#include "proxy/filter.h"

/* Of the first of its fields; or an empty slice. */
struct slice request_header(const struct http_head *request, struct slice name);
/* The value of the request's cookie of that name, or an empty slice. */
struct slice request_cookie(const struct http_head *request, struct slice name);
/* The first of the query's parameters of that name, decoded (any bytes); or an empty slice. */
struct slice request_parameter(const struct http_head *request, struct slice name, struct arena *a);
