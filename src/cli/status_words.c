/* SPDX-License-Identifier: Apache-2.0
 *
 * Words and numbers of a status. See status_words.h.
 */
#include "cli/status_words.h"

#include "cli/cells.h"

enum { MINUTE = 60, HOUR = 60 * MINUTE, DAY = 24 * HOUR };

static const char unknown[] = "-";

/* ---- quantities ---- */

void status_put_age(struct buffer *to, double since, double now)
{
    double age = now - since;
    if (since <= 0 || age >= 100000.0 * DAY)
        buffer_puts(to, unknown);
    else if (age < MINUTE)
        buffer_printf(to, "%ds", age > 0 ? (int)age : 0);
    else if (age < HOUR)
        buffer_printf(to, "%dm", (int)(age / MINUTE));
    else if (age < DAY)
        buffer_printf(to, "%dh", (int)(age / HOUR));
    else
        buffer_printf(to, "%dd", (int)(age / DAY));
}

/* With one digit after the point when that says something. */
static void put_short(struct buffer *to, double value, const char *unit)
{
    buffer_printf(to, "%.*f%s", value < 9.95 ? 1 : 0, value, unit);
}

void status_put_latency(struct buffer *to, double ms)
{
    if (ms < 0.995)
        buffer_printf(to, "%.2fms", ms);
    else if (ms < 999.5)
        put_short(to, ms, "ms");
    else
        put_short(to, ms / 1000, "s");
}

void status_put_rate(struct buffer *to, double per_second)
{
    put_short(to, per_second, "");
}

void status_put_count(struct buffer *to, const json_t *object, const char *key)
{
    double value;
    if (status_number(object, key, &value))
        buffer_printf(to, "%.0f", value);
    else
        buffer_puts(to, unknown);
}

/* ---- checks and reasons ---- */

static void put_check_age(struct buffer *to, const json_t *check, double now)
{
    double at;
    if (!status_number(check, "at", &at)) return;
    buffer_puts(to, ", ");
    status_put_age(to, at, now);
    buffer_puts(to, " ago");
}

void status_put_check(struct buffer *to, const json_t *endpoint, double now)
{
    const json_t *check = json_object_get(endpoint, "check");
    struct slice  output = status_text(check, "output");
    bool          is_ok = status_is(check, "ok");
    if (!json_is_object(check)) {
        buffer_puts(to, unknown);
        return;
    }
    if (!is_ok) buffer_puts(to, output.len ? "failed: " : "failed");
    if (is_ok && !output.len) buffer_puts(to, "ok");
    cells_put(to, output);
    put_check_age(to, check, now);
}

bool status_reason_has_check(const json_t *endpoint)
{
    struct slice reason = status_text(endpoint, "reason");
    struct slice output = status_text(json_object_get(endpoint, "check"), "output");
    return output.len && memmem(reason.data, reason.len, output.data, output.len);
}

void status_put_check_age(struct buffer *to, const json_t *endpoint, double now)
{
    put_check_age(to, json_object_get(endpoint, "check"), now);
}

/* Where the gateway gives no reason of its own. */
static const char *meaning_of(struct slice state)
{
    static const struct {
        struct slice state;
        const char  *meaning;
    } meanings[] = {
        { SLICE("unchecked"), "no health check has come back yet" },
        { SLICE("starting"), "is not up yet, gets no requests" },
        { SLICE("unhealthy"), "its health checks fail, gets no requests" },
        { SLICE("ejected"), "requests failed there, gets none for a while" },
        { SLICE("quarantined"), "cannot be used as it is" },
        { SLICE("draining"), "on its way out, gets no new requests" },
    };
    for (size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++)
        if (slice_eq(state, meanings[i].state)) return meanings[i].meaning;
    return "not ready";
}

void status_put_reason(struct buffer *to, const json_t *endpoint)
{
    struct slice reason = status_text(endpoint, "reason");
    if (reason.len)
        cells_put(to, reason);
    else
        buffer_puts(to, meaning_of(status_text(endpoint, "state")));
}

/* ---- styles ---- */

enum status_style status_style_of(const json_t *endpoint)
{
    if (status_is_bad(endpoint)) return STYLE_BAD;
    if (status_is_ready(endpoint)) return STYLE_GOOD;
    return status_is_fine(endpoint) ? STYLE_PLAIN : STYLE_WARNING;
}

void status_put_styled(struct buffer *to, bool has_color, enum status_style style,
                       struct slice text)
{
    static const char *const sequences[] = {
        [STYLE_PLAIN] = "",        [STYLE_BOLD] = "\033[1m", [STYLE_DIM] = "\033[2m",
        [STYLE_GOOD] = "\033[32m", [STYLE_BAD] = "\033[31m", [STYLE_WARNING] = "\033[33m",
    };
    bool is_styled = has_color && style != STYLE_PLAIN;
    if (is_styled) buffer_puts(to, sequences[style]);
    buffer_put_slice(to, text);
    if (is_styled) buffer_puts(to, "\033[0m");
}
