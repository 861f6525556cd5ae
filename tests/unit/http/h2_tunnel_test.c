/* SPDX-License-Identifier: Apache-2.0
 *
 * Tunnels over HTTP/2: a WebSocket by extended CONNECT (RFC 8441), on both sides.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "h2_peer.h"

enum { WINDOW_BYTES = 65536 };

static void a_tunnel(void **state)
{
    (void)state;
    struct h2_pair         x = h2_pair_new(WINDOW_BYTES);
    struct h2_peer_stream *asked = h2_peer_ask_tunnel(x.client);
    h2_peer_exchange(x.client, x.server);
    h2_peer_expect(x.server,
                   "1 head GET /chat http://a.example upgrade:websocket must-switch\n1 end\n");
    struct h2_peer_stream *got = &x.server->streams[0];
    h2_peer_answer(got, 101, 0);
    h2_peer_exchange(x.client, x.server);
    h2_peer_expect(x.client, "1 head 101 must-switch\n");
    h2_peer_send(asked, 3);
    h2_peer_send(got, 200000);
    h2_peer_exchange(x.client, x.server);
    h2_peer_expect(x.server, "1 body abc\n");
    h2_peer_expect(x.client, "1 body <200000>\n");
    /* Each direction ends by itself. */
    h2_peer_end(asked);
    h2_peer_exchange(x.client, x.server);
    h2_peer_expect(x.server, "1 end\n");
    h2_peer_send(got, 1);
    h2_peer_exchange(x.client, x.server);
    h2_peer_end(got);
    h2_peer_exchange(x.client, x.server);
    h2_peer_expect(x.client, "1 body i\n1 end\n");
    h2_peer_close(asked);
    h2_peer_close(got);
    assert_string_equal(h2_peer_frames(x.server), "");
    assert_string_equal(h2_peer_frames(x.client), "");
    h2_pair_free(x);
}

/* The handshake's key has no place here (RFC 8441 section 5). */
static void writes_a_tunnel(void **state)
{
    (void)state;
    struct h2_peer     *p = h2_peer_new_client();
    struct http_stream *s = codec_open(p->codec);
    struct http_head    head = {
           .method = HTTP_GET,
           .method_name = S("GET"),
           .path = S("/chat"),
           .authority = S("a"),
           .upgrade = S("websocket"),
    };
    p->codec->owner_ops->on_stream(p->codec, s);
    http_fields_add_named(&head.fields, s->arena, S("Sec-WebSocket-Key"), S("x"));
    http_fields_add_named(&head.fields, s->arena, S("Sec-WebSocket-Version"), S("13"));
    http_stream_send_head(s, &head);
    assert_string_equal(h2_peer_frames(p),
                        "HEADERS 1 :method=CONNECT :scheme=http :authority=a :path=/chat "
                        ":protocol=websocket sec-websocket-version=13\n");
    h2_peer_free(p);
}

static void a_tunnel_refused(void **state)
{
    (void)state;
    struct h2_pair         x = h2_pair_new(WINDOW_BYTES);
    struct h2_peer_stream *asked = h2_peer_ask_tunnel(x.client);
    h2_peer_exchange(x.client, x.server);
    h2_peer_answer(&x.server->streams[0], 403, 2);
    h2_peer_send(&x.server->streams[0], 2);
    h2_peer_end(&x.server->streams[0]);
    h2_peer_exchange(x.client, x.server);
    h2_peer_expect(x.client, "1 head 403 body:2\n1 body ab\n1 end\n");
    h2_peer_close(&x.server->streams[0]);
    h2_peer_close(asked);
    h2_peer_exchange(x.client, x.server);
    h2_pair_free(x);
}

#define TUNNEL                                                                                     \
    ":method CONNECT\n:protocol websocket\n:scheme http\n:authority a.example\n:path /chat\n"      \
    "sec-websocket-version 13\n"

/* What the client did not wait with comes once the tunnel stands, and no byte of it
 * is given back to the window before. */
static struct h2_peer *early_tunnel(unsigned flags)
{
    struct h2_peer *p = h2_peer_new_server();
    struct buffer   in = BUFFER_INIT;
    h2_put_headers(&in, 1, 0, TUNNEL);
    h2_put_data(&in, 1, 0, "abc");
    h2_put_data(&in, 1, flags, "def");
    h2_peer_feed(p, &in, 0);
    h2_peer_expect(p, "1 head GET /chat http://a.example upgrade:websocket must-switch "
                      "sec-websocket-version=13\n1 end\n");
    h2_peer_answer(&p->streams[0], 101, 0);
    h2_peer_expect(p, ""); /* sending delivers no event */
    return p;
}

static void a_tunnel_with_early_bytes(void **state)
{
    (void)state;
    struct h2_peer *p = early_tunnel(0);
    struct buffer   in = BUFFER_INIT;
    assert_string_equal(h2_peer_frames(p), "HEADERS 1 :status=200\n");
    h2_peer_expect(p, "1 body abcdef\n");
    h2_put_data(&in, 1, H2_END_STREAM, "ghi");
    h2_peer_feed(p, &in, 0);
    h2_peer_expect(p, "1 body ghi\n1 end\n");
    h2_peer_free(p);

    p = early_tunnel(H2_END_STREAM);
    h2_peer_frames(p);
    h2_peer_expect(p, "1 body abcdef\n1 end\n");
    h2_peer_free(p);
}

/* More comes before what came early was told. */
static void early_bytes_keep_their_order(void **state)
{
    (void)state;
    struct h2_peer *p = early_tunnel(0);
    struct buffer   in = BUFFER_INIT;
    h2_put_data(&in, 1, H2_END_STREAM, "ghi");
    h2_peer_feed(p, &in, 0);
    h2_peer_frames(p);
    h2_peer_expect(p, "1 body abcdefghi\n1 end\n");
    h2_peer_free(p);
}

/* Without an answer of 101 they are nobody's. */
static void early_bytes_of_no_tunnel(void **state)
{
    (void)state;
    struct h2_peer *p = h2_peer_new_server();
    struct buffer   in = BUFFER_INIT;
    h2_put_headers(&in, 1, 0, TUNNEL);
    h2_put_data(&in, 1, 0, "abc");
    h2_peer_feed(p, &in, 0);
    h2_peer_clear(p);
    h2_peer_answer(&p->streams[0], 404, 0);
    h2_put_data(&in, 1, H2_END_STREAM, "def");
    h2_peer_feed(p, &in, 0);
    assert_string_equal(h2_peer_frames(p), "HEADERS 1 END_STREAM :status=404 content-length=0\n");
    h2_peer_close(&p->streams[0]);
    h2_peer_expect(p, "");
    h2_peer_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tunnel),
        cmocka_unit_test(writes_a_tunnel),
        cmocka_unit_test(a_tunnel_refused),
        cmocka_unit_test(a_tunnel_with_early_bytes),
        cmocka_unit_test(early_bytes_keep_their_order),
        cmocka_unit_test(early_bytes_of_no_tunnel),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
