/* SPDX-License-Identifier: Apache-2.0
 *
 * The way that checks go: TLS, a Unix socket, behind a PROXY header; and those that
 * ask nothing.
 */
#include "probe_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct rig    rig;
static struct buffer cert, key, other_cert, other_key;

static int tear_down(void **state)
{
    (void)state;
    rig_reset(&rig);
    return 0;
}

static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
static const char tls_line[] = "    tls: true\n    protocol: auto\n";

static void begin(const char *health_check, const char *more)
{
    rig_init(&rig, health_check, more);
    rig_listen(&rig, NULL);
    rig_answer(&rig, answer);
}

/* The replica has the certificate; the upstream trusts `ca`. */
static void begin_tls(const char *health_check, const struct buffer *ca)
{
    struct error               e;
    struct tls_certificate_pem pem = { "a.pem", buffer_slice(&cert), "a.key", buffer_slice(&key),
                                       S("") };
    struct tls_server_settings s = { .certificates = &pem,
                                     .certificate_count = 1,
                                     .offers_h2 = true };
    begin(health_check, tls_line);
    struct tls_store *store = tls_store_new(&s, NULL, &e);
    assert_non_null(store);
    rig.tls_server = tls_server_new(store, NULL, &e);
    assert_non_null(rig.tls_server);
    tls_store_free(store);
    rig.has_tls = true;
    rig.tls = (struct tls_client_settings){ .verifies = true, .ca = buffer_slice(ca) };
}

/* ---- TLS ---- */

static void asks_over_tls(void **state)
{
    (void)state;
    begin_tls("{ path: / }", &cert);
    rig_check(&rig, true, "200 OK");
}

static void asks_over_tls_and_http_2(void **state)
{
    (void)state;
    begin_tls("{ path: /, interval: 100ms }", &cert);
    rig.tls.offers_h2 = true;
    rig.is_h2 = true;
    rig.status = 200;
    rig_check(&rig, true, "200 OK");
    assert_true(slice_starts_with(buffer_slice(&rig.got), S("GET / 127.0.0.1:")));
    rig_until(&rig, 3);
    assert_int_equal(rig.accepted_count, 3);
}

static void the_certificate_is_not_trusted(void **state)
{
    (void)state;
    begin_tls("{ path: / }", &other_cert);
    rig_start(&rig, 1);
    rig_until(&rig, 1);
    assert_false(rig_member(&rig, 0)->is_probe_good);
    assert_non_null(strstr(rig_member(&rig, 0)->probe_output, "certificate"));
}

static void it_speaks_no_tls(void **state)
{
    (void)state;
    begin_tls("{ path: / }", &cert);
    tls_server_unref(rig.tls_server);
    rig.tls_server = NULL;
    rig.greets = true;
    rig_check(&rig, false, "the peer does not speak TLS (wrong version number)");
}

static void grpc_needs_http_2(void **state)
{
    (void)state;
    begin_tls("{ type: grpc }", &cert);
    rig_check(&rig, false, "the server does not speak HTTP/2");
}

/* ---- no question ---- */

static void shakes_hands(void **state)
{
    (void)state;
    begin_tls("{ type: tls, interval: 100ms }", &cert);
    rig_check(&rig, true, "handshake done, TLSv1.3");
    rig_until(&rig, 3);
    while (rig.closed_count < 3) rig_turn(&rig);
    assert_int_equal(rig.got.len, 0);
}

static void shakes_no_hands(void **state)
{
    (void)state;
    begin_tls("{ type: tls, fast_interval: 100ms, timeout: 50ms }", &other_cert);
    rig_start(&rig, 1);
    rig_until(&rig, 1);
    assert_non_null(strstr(rig_member(&rig, 0)->probe_output, "certificate"));
    tls_server_unref(rig.tls_server);
    rig.tls_server = NULL;
    rig.piece_count = 0;
    rig_expect(&rig, false, "no answer within 50ms");
    rig.greets = rig.hangs_up = true;
    rig_expect(&rig, false, "connection_reset");
}

static void connects(void **state)
{
    (void)state;
    begin("{ type: tcp, interval: 100ms }", "");
    rig_check(&rig, true, "connected");
    rig_until(&rig, 3);
    while (rig.closed_count < 3) rig_turn(&rig);
    assert_int_equal(rig.got.len, 0);
    assert_int_equal(rig.reset_count, 0);
}

/* TCP alone, though the upstream has TLS. */
static void connects_without_tls(void **state)
{
    (void)state;
    begin_tls("{ type: tcp }", &cert);
    rig.piece_count = 0;
    tls_server_unref(rig.tls_server);
    rig.tls_server = NULL;
    rig_check(&rig, true, "connected");
    while (rig.closed_count < 1) rig_turn(&rig);
    assert_int_equal(rig.got.len, 0);
}

static void cannot_connect(void **state)
{
    (void)state;
    begin("{ type: tcp }", "");
    watch_remove(&rig.watch);
    close(rig.listening);
    rig.listening = -1;
    rig_check(&rig, false, "connect_refused");
}

/* ---- the PROXY protocol ---- */

static void says_proxy_unknown(void **state)
{
    (void)state;
    begin("{ path: / }", "    proxy_protocol: v1\n");
    rig_check(&rig, true, "200 OK");
    assert_true(
        slice_starts_with(buffer_slice(&rig.got), S("PROXY UNKNOWN\r\nGET / HTTP/1.1\r\n")));
}

#define LOCAL "\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"

static void says_proxy_local(void **state)
{
    (void)state;
    begin("{ path: / }", "    proxy_protocol: v2\n");
    rig_check(&rig, true, "200 OK");
    assert_true(slice_starts_with(buffer_slice(&rig.got), S(LOCAL "GET / HTTP/1.1\r\n")));
}

static void says_it_without_a_question(void **state)
{
    (void)state;
    begin("{ type: tcp }", "    proxy_protocol: v2\n");
    rig_check(&rig, true, "connected");
    while (rig.closed_count < 1) rig_turn(&rig);
    assert_true(slice_eq(buffer_slice(&rig.got), S(LOCAL)));
}

/* ---- Unix sockets ---- */

static void begin_unix(const char *health_check, char path[64])
{
    snprintf(path, 64, "/tmp/probe_conn_test.%d", (int)getpid());
    rig_init(&rig, health_check, "");
    rig_listen(&rig, path);
    rig_answer(&rig, answer);
}

static void asks_over_a_unix_socket(void **state)
{
    static char path[64];
    (void)state;
    begin_unix("{ path: / }", path);
    rig_check(&rig, true, "200 OK");
    assert_true(
        slice_starts_with(buffer_slice(&rig.got), S("GET / HTTP/1.1\r\nHost: localhost\r\n")));
}

static void connects_to_a_unix_socket(void **state)
{
    static char path[64];
    (void)state;
    begin_unix("{ type: tcp, interval: 100ms }", path);
    rig_check(&rig, true, "connected");
    unlink(path);
    rig_expect(&rig, false, "connect_refused");
}

static int make_certificates(void **state)
{
    static const char *const names[] = { "127.0.0.1" };
    struct error             e;
    (void)state;
    assert_true(tls_make_self_signed(names, 1, &cert, &key, &e));
    assert_true(tls_make_self_signed(names, 1, &other_cert, &other_key, &e));
    return 0;
}

static int free_certificates(void **state)
{
    (void)state;
    buffer_reset(&cert);
    buffer_reset(&key);
    buffer_reset(&other_cert);
    buffer_reset(&other_key);
    return 0;
}

#define TEST(f) cmocka_unit_test_teardown(f, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(asks_over_tls),
        TEST(asks_over_tls_and_http_2),
        TEST(the_certificate_is_not_trusted),
        TEST(it_speaks_no_tls),
        TEST(grpc_needs_http_2),
        TEST(shakes_hands),
        TEST(shakes_no_hands),
        TEST(connects),
        TEST(connects_without_tls),
        TEST(cannot_connect),
        TEST(says_proxy_unknown),
        TEST(says_proxy_local),
        TEST(says_it_without_a_question),
        TEST(asks_over_a_unix_socket),
        TEST(connects_to_a_unix_socket),
    };
    return cmocka_run_group_tests(tests, make_certificates, free_certificates);
}
