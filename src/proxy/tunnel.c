/* SPDX-License-Identifier: Apache-2.0
 *
 * Tunnels. See tunnel.h.
 */
#include "proxy/tunnel.h"

#include "http/rules.h"
#include "io/digest.h"
#include "proxy/attempt.h"
#include "proxy/farewell.h"

enum { KEY_BYTES = 16 };

/* RFC 6455 section 1.3. */
static const struct slice accept_suffix = SLICE("258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
static const struct slice accept_name = SLICE("Sec-WebSocket-Accept");

static bool is_websocket(struct slice protocol)
{
    return slice_eq_nocase(protocol, S("websocket"));
}

/* ---- which requests may ---- */

static bool allows(const struct policy_settings *policy, struct slice protocol)
{
    if (!policy->upgrades.count) return is_websocket(protocol);
    for (size_t i = 0; i < policy->upgrades.count; i++) {
        struct slice allowed = policy->upgrades.items[i];
        if (slice_eq(allowed, S("any")) || slice_eq_nocase(allowed, protocol)) return true;
    }
    return false;
}

/* All that the client offers must be allowed: the replica chooses. */
static bool allows_all(const struct policy_settings *policy, struct slice offered)
{
    struct slice protocol;
    unsigned     count = 0;
    while (http_list_next(&offered, &protocol)) {
        if (!allows(policy, protocol)) return false;
        count++;
    }
    return count > 0;
}

bool tunnel_judge(struct exchange *x)
{
    struct http_head *head = x->request;
    if (!head->upgrade.len) return true;
    bool has_body = head->body_bytes != 0; /* a switch amid a body would be no switch */
    if (x->route->upstream && !has_body && allows_all(x->route->policy, head->upgrade)) return true;
    head->upgrade = slice_make("", 0);
    if (!head->must_switch) return true;
    exchange_reply_status(x, 501, "upgrade_refused");
    return false;
}

/* ---- the handshake ---- */

void tunnel_rewrite(struct exchange *x)
{
    struct http_fields *f = &x->request->fields;
    char                secret[KEY_BYTES];
    if (!is_websocket(x->request->upgrade)) return;
    x->websocket_key = http_fields_value(f, FIELD_SEC_WEBSOCKET_KEY);
    if (x->websocket_key.len) return;
    random_secret(secret, sizeof(secret));
    x->websocket_key = digest_base64(&x->arena, slice_make(secret, sizeof(secret)));
    x->is_websocket_key_ours = true;
    http_fields_set(f, &x->arena, FIELD_SEC_WEBSOCKET_KEY, x->websocket_key);
}

/* A key of ours is for us to check; a client with a key is shown the proof, be it that a
 * replica over HTTP/2 gave none. */
static const char *check_proof(struct exchange *x, struct http_head *head)
{
    struct http_fields      *f = &head->fields;
    const struct http_field *accept = http_fields_find_named(f, accept_name);
    struct slice             proof = digest_sha1_base64(&x->arena, x->websocket_key, accept_suffix);
    bool                     is_due = !head->must_switch;
    if (accept ? !slice_eq(accept->value, proof) : is_due) return "bad_websocket_accept";
    if (x->is_websocket_key_ours)
        http_fields_drop_named(f, FIELD_OTHER, accept_name);
    else if (!accept)
        http_fields_add_named(f, &x->arena, accept_name, proof);
    return NULL;
}

/* RFC 9110 section 7.8: a replica switches to what was asked for, and says it. */
static const char *check_switch(struct exchange *x, struct http_head *head)
{
    struct slice offered = x->request->upgrade, protocol;
    if (!head->upgrade.len) head->upgrade = offered;
    while (http_list_next(&offered, &protocol))
        if (slice_eq_nocase(protocol, head->upgrade)) return NULL;
    return "unasked_upgrade";
}

const char *tunnel_begin(struct exchange *x, struct http_head *head)
{
    const char *fault = x->request->upgrade.len ? check_switch(x, head) : "unasked_upgrade";
    if (!fault && x->websocket_key.len) fault = check_proof(x, head);
    if (fault) return fault;
    x->request_ended = false;
    exchange_switch(x, head);
    if (is_websocket(head->upgrade)) farewell_begin(x);
    return NULL;
}

/* ---- the ends ---- */

void tunnel_client_ended(struct exchange *x)
{
    x->request_ended = true;
    attempt_body_end(x->attempt);
    exchange_progress(x);
    exchange_finish_tunnel(x);
}

/* In WebSocket it is the server that closes first (RFC 6455 section 7.1.1): nothing that
 * the client says then reaches anybody. Not every browser ends its stream of HTTP/2. */
void tunnel_replica_ended(struct exchange *x)
{
    x->response_ended = true;
    if (x->farewell)
        farewell_end_client(x);
    else
        http_stream_send_end(x->stream, NULL);
    if (x->websocket_key.len) {
        x->request_ended = true;
        attempt_body_end(x->attempt);
    }
    exchange_progress(x);
    exchange_finish_tunnel(x);
}
