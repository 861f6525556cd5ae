/* SPDX-License-Identifier: Apache-2.0
 *
 * How quantities and states of a status read: short, and "-" where unknown.
 */
#pragma once

#include "base/buffer.h"
#include "cli/status_data.h"

enum status_style { STYLE_PLAIN, STYLE_BOLD, STYLE_DIM, STYLE_GOOD, STYLE_BAD, STYLE_WARNING };

/* "12s", "5m", "3h", "2d" since that point in time. */
void status_put_age(struct buffer *to, double since, double now);
/* "0.85ms", "12ms", "1.2s". */
void status_put_latency(struct buffer *to, double ms);
void status_put_rate(struct buffer *to, double per_second);
/* The member of `object` as a count. */
void status_put_count(struct buffer *to, const json_t *object, const char *key);

/* The last check's outcome and its age, or "-". */
void status_put_check(struct buffer *to, const json_t *endpoint, double now);
/* Does the reason say what the last check saw? Then only how long ago that was is missing. */
bool status_reason_has_check(const json_t *endpoint);
void status_put_check_age(struct buffer *to, const json_t *endpoint, double now);
/* Why it is not ready. */
void status_put_reason(struct buffer *to, const json_t *endpoint);

enum status_style status_style_of(const json_t *endpoint);
/* Clean text between the style's sequences, or alone. */
void status_put_styled(struct buffer *to, bool has_color, enum status_style style,
                       struct slice text);
