/* SPDX-License-Identifier: Apache-2.0
 *
 * Resumption: by whom a ticket is accepted, for how long, and that rotation may
 * happen while workers use the keys.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>

#include <cmocka.h>
#include <pthread.h>

#include "base/memory.h"
#include "io/tls_internal.h"
#include "tls_pair.h"
#include "tls_pki.h"

struct fixture {
    struct pair             pair;
    struct buffer           cert, key;
    struct tls_ticket_keys *keys;
    struct tls_server      *server;
    struct tls_client      *client;
};

/* A server with the fixture's certificate; everything else is in `s`. */
static struct tls_server *server_of(struct fixture *f, struct tls_server_settings s,
                                    struct tls_ticket_keys *keys)
{
    struct error               e = { "" };
    struct tls_certificate_pem pem = { "a.pem", buffer_slice(&f->cert), "a.key",
                                       buffer_slice(&f->key), S("") };
    s.certificates = &pem;
    s.certificate_count = 1;
    struct tls_store *store = tls_store_new(&s, NULL, &e);
    if (!store) fail_msg("%s", e.text);
    struct tls_server *server = tls_server_new(store, keys, &e);
    assert_non_null(server);
    tls_store_free(store);
    return server;
}

static int set_up(void **state)
{
    static const char *const names[] = { "a.example" };
    struct fixture          *f = mem_zalloc(sizeof(*f));
    struct error             e = { "" };
    pair_init(&f->pair);
    assert_true(tls_make_self_signed(names, 1, &f->cert, &f->key, &e));
    f->keys = tls_ticket_keys_new();
    f->server = server_of(f, (struct tls_server_settings){ .has_tickets = true }, f->keys);
    struct tls_client_settings cs = { .verifies = true, .ca = buffer_slice(&f->cert) };
    f->client = tls_client_new(&cs, &e);
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
    tls_ticket_keys_free(f->keys);
    buffer_reset(&f->cert);
    buffer_reset(&f->key);
    free(f);
    return 0;
}

static bool resumes_at(struct fixture *f, struct tls_server *s)
{
    if (!pair_connect(&f->pair, s, f->client, "a.example"))
        fail_msg("server: %s; client: %s", tls_failure(f->pair.server.tls),
                 tls_failure(f->pair.client.tls));
    pair_write(&f->pair, &f->pair.server, "data", 4);
    assert_int_equal(f->pair.client.got.len, 4);
    assert_int_equal(tls_is_resumed(f->pair.server.tls), tls_is_resumed(f->pair.client.tls));
    return tls_is_resumed(f->pair.server.tls);
}

static bool resumes(struct fixture *f)
{
    return resumes_at(f, f->server);
}

static void test_resumption(void **state)
{
    struct fixture *f = *state;
    assert_false(resumes(f));
    for (int i = 0; i < 5; i++) assert_true(resumes(f));
    assert_true(slice_eq(tls_sni(f->pair.server.tls), S("a.example")));
    assert_int_equal(tls_alpn(f->pair.server.tls), TLS_ALPN_HTTP_1_1);
}

static void test_resumption_1_2(void **state)
{
    struct fixture *f = *state;
    SSL_CTX_set_max_proto_version(f->client->context, TLS1_2_VERSION);
    assert_false(resumes(f));
    assert_true(resumes(f));
    const SSL_SESSION *offered = f->client->session;
    assert_true(resumes(f)); /* a ticket under the newest key needs no successor */
    assert_ptr_equal(SSL_get0_session(f->pair.client.tls->ssl), offered);
    tls_ticket_keys_rotate(f->keys);
    assert_true(resumes(f));
    assert_ptr_not_equal(SSL_get0_session(f->pair.client.tls->ssl), offered);
    assert_true(slice_eq(tls_sni(f->pair.server.tls), S("a.example")));
}

/* OpenSSL's client gives a session up once it has the next one: a copy is not touched. */
static void use_session(struct fixture *f, SSL_SESSION *session)
{
    SSL_SESSION_free(f->client->session);
    f->client->session = SSL_SESSION_dup(session);
}

static void test_rotation(void **state)
{
    struct fixture *f = *state;
    assert_false(resumes(f));
    SSL_SESSION *old = SSL_SESSION_dup(f->client->session);
    for (int i = 0; i < 2; i++) {
        tls_ticket_keys_rotate(f->keys);
        use_session(f, old);
        assert_true(resumes(f)); /* two older keys still decrypt */
    }
    tls_ticket_keys_rotate(f->keys);
    assert_true(resumes(f)); /* it was renewed on the way */
    use_session(f, old);
    assert_false(resumes(f)); /* the third rotation has ended it */
    assert_true(resumes(f));
    for (int i = 0; i < 20; i++) tls_ticket_keys_rotate(f->keys);
    assert_false(resumes(f));
    SSL_SESSION_free(old);
}

static void test_workers_share_keys(void **state)
{
    struct fixture    *f = *state;
    struct tls_server *other =
        server_of(f, (struct tls_server_settings){ .has_tickets = true }, f->keys);
    assert_false(resumes(f));
    assert_true(resumes_at(f, other));
    tls_server_unref(other);
}

static void test_foreign_keys(void **state)
{
    struct fixture         *f = *state;
    struct tls_ticket_keys *keys = tls_ticket_keys_new();
    struct tls_server      *other =
        server_of(f, (struct tls_server_settings){ .has_tickets = true }, keys);
    tls_ticket_keys_free(keys); /* the server holds a reference */
    assert_false(resumes(f));
    assert_false(resumes_at(f, other));
    assert_true(resumes_at(f, other));
    tls_server_unref(other);
}

static void test_without_tickets(void **state)
{
    struct fixture    *f = *state;
    struct tls_server *no_keys =
        server_of(f, (struct tls_server_settings){ .has_tickets = true }, NULL);
    struct tls_server *off =
        server_of(f, (struct tls_server_settings){ .has_tickets = false }, f->keys);
    for (int max = TLS1_2_VERSION; max <= TLS1_3_VERSION; max++) {
        SSL_CTX_set_max_proto_version(f->client->context, max);
        assert_false(resumes_at(f, no_keys));
        assert_false(resumes_at(f, no_keys));
        assert_false(resumes_at(f, off));
        assert_false(resumes_at(f, off));
    }
    tls_server_unref(no_keys);
    tls_server_unref(off);
}

/* A ticket of a listener that asks no certificate must not open one that does. */
static void test_client_auth_differs(void **state)
{
    struct fixture            *f = *state;
    struct tls_server_settings s = { .has_tickets = true,
                                     .client_auth = TLS_CLIENT_REQUIRED,
                                     .client_ca = buffer_slice(&f->cert) };
    struct tls_server         *strict = server_of(f, s, f->keys);
    for (int max = TLS1_2_VERSION; max <= TLS1_3_VERSION; max++) {
        SSL_CTX_set_max_proto_version(f->client->context, max);
        resumes(f);
        assert_true(resumes(f));
        assert_false(pair_connect(&f->pair, strict, f->client, "a.example") &&
                     f->pair.client.last == TLS_AGAIN);
        assert_non_null(strstr(tls_failure(f->pair.server.tls), "sent no certificate"));
    }
    tls_server_unref(strict);
}

static void test_names_keep_their_sessions(void **state)
{
    struct fixture *f = *state;
    struct error    e;
    tls_client_unref(f->client);
    f->client = tls_client_new(&(struct tls_client_settings){ .verifies = false }, &e);
    assert_false(resumes(f));
    assert_true(pair_connect(&f->pair, f->server, f->client, "b.example"));
    assert_false(tls_is_resumed(f->pair.client.tls));
    assert_false(resumes(f)); /* only the newest is kept */
}

/* A client certificate is known again on a resumed connection. */
static void test_client_certificate_is_resumed(void **state)
{
    struct fixture *f = *state;
    struct error    e = { "" };
    struct pki      root = pki_make(&(struct pki_request){ .subject = "r", .is_ca = true });
    struct pki      p = pki_make(&(struct pki_request){ .subject = "c", .issuer = &root });
    struct buffer   ca = BUFFER_INIT, cert = BUFFER_INIT, key = BUFFER_INIT;
    struct arena    a;
    pki_put_cert(&ca, &root);
    pki_put_cert(&cert, &p);
    pki_put_key(&key, &p);
    struct tls_server_settings ss = { .has_tickets = true,
                                      .client_auth = TLS_CLIENT_REQUIRED,
                                      .client_ca = buffer_slice(&ca) };
    struct tls_client_settings cs = { .verifies = true,
                                      .ca = buffer_slice(&f->cert),
                                      .cert = buffer_slice(&cert),
                                      .key = buffer_slice(&key) };
    struct tls_server         *strict = server_of(f, ss, f->keys);
    tls_client_unref(f->client);
    f->client = tls_client_new(&cs, &e);
    assert_non_null(f->client);
    arena_init(&a, NULL);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(resumes_at(f, strict), i > 0);
        assert_true(tls_has_client_cert(f->pair.server.tls));
        assert_true(slice_eq(tls_client_subject(f->pair.server.tls, &a), S("CN=c")));
    }
    arena_reset(&a);
    tls_server_unref(strict);
    pki_free(&root);
    pki_free(&p);
    buffer_reset(&ca);
    buffer_reset(&cert);
    buffer_reset(&key);
}

struct rotator {
    struct tls_ticket_keys *keys;
    _Atomic bool            must_stop;
    _Atomic unsigned        rotation_count;
};

static void *rotate(void *arg)
{
    struct rotator *r = arg;
    while (!atomic_load(&r->must_stop)) {
        tls_ticket_keys_rotate(r->keys);
        atomic_fetch_add(&r->rotation_count, 1);
    }
    return NULL;
}

static void test_rotation_beside_handshakes(void **state)
{
    struct fixture *f = *state;
    struct rotator  r = { .keys = f->keys };
    pthread_t       thread;
    assert_int_equal(pthread_create(&thread, NULL, rotate, &r), 0);
    while (!atomic_load(&r.rotation_count)) {}
    for (int i = 0; i < 100; i++) resumes(f); /* whether or not */
    atomic_store(&r.must_stop, true);
    pthread_join(thread, NULL);
    resumes(f);
    assert_true(resumes(f));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_resumption),
        TEST(test_resumption_1_2),
        TEST(test_rotation),
        TEST(test_workers_share_keys),
        TEST(test_foreign_keys),
        TEST(test_without_tickets),
        TEST(test_client_auth_differs),
        TEST(test_names_keep_their_sessions),
        TEST(test_client_certificate_is_resumed),
        TEST(test_rotation_beside_handshakes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
