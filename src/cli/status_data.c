/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading the gateway's status. See status_data.h.
 */
#include "cli/status_data.h"

#include <stdlib.h>

#include "base/buffer.h"
#include "base/utf8.h"

/* ---- parsing ---- */

static void put_repaired(struct buffer *to, struct slice text)
{
    for (size_t i = 0, len; i < text.len; i += len ? len : 1) {
        uint32_t point;
        len = utf8_decode(text.data + i, text.len - i, &point);
        if (len)
            buffer_put(to, text.data + i, len);
        else
            buffer_puts(to, "\xef\xbf\xbd");
    }
}

json_t *status_parse(struct slice text, const char *list, struct error *e)
{
    struct buffer repaired = BUFFER_INIT;
    json_error_t  fault = { .text = "" };
    put_repaired(&repaired, text);
    json_t *root = json_loadb(buffer_slice(&repaired).data, repaired.len, JSON_ALLOW_NUL, &fault);
    buffer_reset(&repaired);
    if (!root) {
        error_set(e, "its answer is no JSON: %s", fault.text);
    } else if (!json_is_array(json_object_get(root, list))) {
        error_set(e, "its answer is not that of a gateway");
        json_decref(root);
        root = NULL;
    }
    return root;
}

/* ---- fields ---- */

struct slice status_text(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return slice_make(json_string_value(value), json_string_length(value));
}

bool status_number(const json_t *object, const char *key, double *to)
{
    const json_t *value = json_object_get(object, key);
    *to = json_number_value(value);
    return json_is_number(value);
}

bool status_is(const json_t *object, const char *key)
{
    return json_is_true(json_object_get(object, key));
}

const json_t *status_upstreams(const json_t *root)
{
    return json_object_get(root, "upstreams");
}

const json_t *status_upstream(const json_t *root, const char *name)
{
    size_t  i;
    json_t *upstream;
    json_array_foreach (status_upstreams(root), i, upstream)
        if (slice_eq(status_text(upstream, "name"), slice_of(name))) return upstream;
    return NULL;
}

bool status_is_ready(const json_t *endpoint)
{
    return slice_eq(status_text(endpoint, "state"), S("ready"));
}

bool status_is_bad(const json_t *endpoint)
{
    struct slice state = status_text(endpoint, "state");
    return slice_eq(state, S("unhealthy")) || slice_eq(state, S("ejected")) ||
           slice_eq(state, S("quarantined"));
}

bool status_is_fine(const json_t *endpoint)
{
    return status_is_ready(endpoint) || !status_text(endpoint, "state").len;
}

/* ---- rates ---- */

/* What an endpoint is known by: an address may be another one's a moment later. */
static const char *identity_of(const json_t *endpoint)
{
    const char *identity = json_string_value(json_object_get(endpoint, "identity"));
    if (!identity) identity = json_string_value(json_object_get(endpoint, "address"));
    return identity ? identity : "";
}

static const char *name_of(const json_t *upstream)
{
    const char *name = json_string_value(json_object_get(upstream, "name"));
    return name ? name : "";
}

static json_t *count_endpoints(const json_t *upstream)
{
    json_t *counts = json_object(), *endpoint;
    size_t  i;
    json_array_foreach (json_object_get(upstream, "endpoints"), i, endpoint) {
        double requests;
        if (status_number(endpoint, "requests", &requests))
            json_object_set_new(counts, identity_of(endpoint), json_real(requests));
    }
    return counts;
}

/* {"upstream":{"identity":requests}} */
static json_t *count_requests(const json_t *root)
{
    json_t *counts = json_object(), *upstream;
    size_t  i;
    json_array_foreach (status_upstreams(root), i, upstream)
        json_object_set_new(counts, name_of(upstream), count_endpoints(upstream));
    return counts;
}

/* Turns counts into rates. A count that fell was begun anew. */
static void divide(json_t *counts, const json_t *before, double seconds)
{
    const char *identity;
    json_t     *count;
    void       *next;
    json_object_foreach_safe (counts, next, identity, count) {
        const json_t *old = json_object_get(before, identity);
        double        more = json_number_value(count) - json_number_value(old);
        if (old && more >= 0)
            json_real_set(count, more / seconds);
        else
            json_object_del(counts, identity);
    }
}

static bool is_same_process(const json_t *before, const json_t *now)
{
    double a, b;
    return status_number(before, "started", &a) && status_number(now, "started", &b) && a == b;
}

json_t *status_rates(const json_t *before, const json_t *now, double seconds)
{
    if (!before || seconds <= 0 || !is_same_process(before, now)) return json_object();
    json_t     *rates = count_requests(now), *old = count_requests(before), *counts;
    const char *name;
    json_object_foreach (rates, name, counts) divide(counts, json_object_get(old, name), seconds);
    json_decref(old);
    return rates;
}

bool status_rate(const json_t *rates, const json_t *upstream, const json_t *endpoint, double *to)
{
    return status_number(json_object_get(rates, name_of(upstream)), identity_of(endpoint), to);
}
