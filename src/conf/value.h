/* SPDX-License-Identifier: Apache-2.0
 *
 * Values as people write them: durations, sizes, rates, numbers, addresses.
 * Text in, number out; the other way for defaults and bounds in the reference.
 */
#pragma once

#include <stdint.h>

#include "base/buffer.h"
#include "base/slice.h"

/* All: false when the text is not one (or overflows). */
bool value_number(struct slice text, uint64_t *number);
/* "250ms", "5s", "1m", "2h", "1d", "0" -> milliseconds */
bool value_duration(struct slice text, uint64_t *ms);
/* "100", "100B", "16KiB", "50MiB", "1GiB", "1kB", "1MB", "1GB" -> bytes */
bool value_size(struct slice text, uint64_t *bytes);
/* "10/s", "5/m", "100/h", "1000/d" -> count per period */
bool value_rate(struct slice text, uint64_t *count, uint64_t *period_ms);

/* The shortest text that reads back as the same value. */
void value_put_duration(struct buffer *to, uint64_t ms);
void value_put_size(struct buffer *to, uint64_t bytes);
void value_put_rate(struct buffer *to, uint64_t count, uint64_t period_ms);

/* "10.0.0.0/8", "::1/128", "10.1.2.3", "unix". The reason, or NULL when it is one. */
const char *value_cidr_fault(struct slice text);
/* "IP:port", "[IPv6]:port", ":port", "*:port", "unix:/path", "unix:@name"; with
 * `has_names` also "name:port" (and then an address is needed before the port). */
const char *value_address_fault(struct slice text, bool has_names);
/* Letters, digits, "-", "_" and dots as a host name has them; no port. */
bool value_is_host_name(struct slice text);
bool value_is_ip(struct slice text);
