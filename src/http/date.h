/* SPDX-License-Identifier: Apache-2.0
 *
 * Dates of HTTP (RFC 9110 section 5.6.7), whole seconds since 1970.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

enum { HTTP_DATE_BYTES = 29 };

/* IMF-fixdate; no NUL. What is before the year 1 or after 9999 (files may say so) is their first or
 * last second. */
void http_date_write(char to[HTTP_DATE_BYTES], int64_t seconds);
/* Any of the three forms. False: it is none. */
bool http_date_read(struct slice text, int64_t *seconds);
