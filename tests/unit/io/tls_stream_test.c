/* SPDX-License-Identifier: Apache-2.0
 *
 * A client and a server of ours in memory: handshake, data in odd pieces,
 * records, the end, garbage.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/memory.h"
#include "tls_pair.h"

struct fixture {
    struct pair        pair;
    struct buffer      cert, key;
    struct tls_store  *store;
    struct tls_server *server;
    struct tls_client *client;
};

static int set_up(void **state)
{
    static const char *const names[] = { "a.example", "127.0.0.1", "::1" };
    struct fixture          *f = mem_zalloc(sizeof(*f));
    struct error             e;
    pair_init(&f->pair);
    assert_true(tls_make_self_signed(names, 3, &f->cert, &f->key, &e));
    struct tls_certificate_pem pem = { "a.pem", buffer_slice(&f->cert), "a.key",
                                       buffer_slice(&f->key), S("") };
    struct tls_server_settings ss = { .certificates = &pem, .certificate_count = 1 };
    struct tls_client_settings cs = { .verifies = true, .ca = buffer_slice(&f->cert) };
    f->store = tls_store_new(&ss, NULL, &e);
    assert_non_null(f->store);
    f->server = tls_server_new(f->store, NULL, &e);
    f->client = tls_client_new(&cs, &e);
    assert_non_null(f->server);
    assert_non_null(f->client);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    pair_free(&f->pair);
    tls_server_unref(f->server);
    tls_client_unref(f->client);
    tls_store_free(f->store);
    buffer_reset(&f->cert);
    buffer_reset(&f->key);
    free(f);
    return 0;
}

static void connect_both(struct fixture *f, size_t step)
{
    f->pair.step = step;
    if (!pair_connect(&f->pair, f->server, f->client, "a.example"))
        fail_msg("server: %s; client: %s", tls_failure(f->pair.server.tls),
                 tls_failure(f->pair.client.tls));
}

static void test_handshake(void **state)
{
    struct fixture *f = *state;
    connect_both(f, 0);
    assert_string_equal(tls_version(f->pair.server.tls), "TLSv1.3");
    assert_int_equal(tls_alpn(f->pair.client.tls), TLS_ALPN_HTTP_1_1);
    assert_int_equal(tls_alpn(f->pair.server.tls), TLS_ALPN_HTTP_1_1);
    assert_true(slice_eq(tls_sni(f->pair.server.tls), S("a.example")));
    assert_false(tls_is_resumed(f->pair.server.tls));
    assert_false(tls_has_client_cert(f->pair.server.tls));
    assert_string_equal(tls_failure(f->pair.server.tls), "");
    assert_true(outq_is_empty(tls_out(f->pair.server.tls)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_handshake, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
