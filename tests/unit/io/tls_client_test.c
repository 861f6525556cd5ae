/* SPDX-License-Identifier: Apache-2.0
 *
 * Whom the client side believes, and what it says when it does not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/memory.h"
#include "io/tls_internal.h"
#include "tls_pair.h"
#include "tls_pki.h"

enum { DAY_S = 24 * 3600 };

struct fixture {
    struct pair        pair;
    struct pki         root;
    struct buffer      root_pem;
    struct tls_server *server;
    struct tls_client *client;
};

static int set_up(void **state)
{
    struct fixture *f = mem_zalloc(sizeof(*f));
    pair_init(&f->pair);
    f->root = pki_make(&(struct pki_request){ .subject = "root", .is_ca = true });
    pki_put_cert(&f->root_pem, &f->root);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    pair_free(&f->pair);
    tls_client_unref(f->client);
    tls_server_unref(f->server);
    pki_free(&f->root);
    buffer_reset(&f->root_pem);
    free(f);
    return 0;
}

static void serve(struct fixture *f, const struct pki *p)
{
    struct error  e = { "" };
    struct buffer cert = BUFFER_INIT, key = BUFFER_INIT;
    pki_put_cert(&cert, p);
    pki_put_key(&key, p);
    struct tls_certificate_pem pem = { "server.pem", buffer_slice(&cert), "server.key",
                                       buffer_slice(&key), S("") };
    struct tls_server_settings s = { .certificates = &pem, .certificate_count = 1 };
    struct tls_store          *store = tls_store_new(&s, NULL, &e);
    if (!store) fail_msg("%s", e.text);
    tls_server_unref(f->server);
    f->server = tls_server_new(store, NULL, &e);
    assert_non_null(f->server);
    tls_store_free(store);
    buffer_reset(&cert);
    buffer_reset(&key);
}

static void serve_names(struct fixture *f, const char *san)
{
    struct pki p =
        pki_make(&(struct pki_request){ .subject = "leaf", .san = san, .issuer = &f->root });
    serve(f, &p);
    pki_free(&p);
}

static void use_client(struct fixture *f, const struct tls_client_settings *s)
{
    struct error               e = { "" };
    struct tls_client_settings own = *s;
    if (!own.ca.len) own.ca = buffer_slice(&f->root_pem);
    tls_client_unref(f->client);
    f->client = tls_client_new(&own, &e);
    if (!f->client) fail_msg("%s", e.text);
}

static void trusts(struct fixture *f, const char *host)
{
    if (!pair_connect(&f->pair, f->server, f->client, host))
        fail_msg("%s: %s", host, tls_failure(f->pair.client.tls));
}

static void distrusts(struct fixture *f, const char *host, const char *words)
{
    assert_false(pair_connect(&f->pair, f->server, f->client, host));
    assert_int_equal(f->pair.client.last, TLS_BROKEN);
    const char *said = tls_failure(f->pair.client.tls);
    if (!strstr(said, words)) fail_msg("\"%s\" is not in: %s", words, said);
}

static void test_names(void **state)
{
    struct fixture *f = *state;
    serve_names(f, "DNS:a.example,DNS:*.w.example,IP:127.0.0.1,IP:::1");
    use_client(f, &(struct tls_client_settings){ .verifies = true });
    trusts(f, "a.example");
    trusts(f, "A.Example.");
    trusts(f, "x.w.example");
    trusts(f, "127.0.0.1");
    trusts(f, "::1");
    trusts(f, "[::1]");
    distrusts(f, "b.example", "hostname mismatch: the certificate is for a.example, *.w.example");
    distrusts(f, "x.y.w.example", "not for x.y.w.example");
    distrusts(f, "127.0.0.2", "not for 127.0.0.2");
    distrusts(f, "", "set sni");
    assert_int_equal(tls_read(f->pair.client.tls, (char[8]){ 0 }, 8, &(size_t){ 0 }), TLS_BROKEN);
}

static void test_configured_name(void **state)
{
    struct fixture *f = *state;
    serve_names(f, "DNS:a.example");
    use_client(f, &(struct tls_client_settings){ .verifies = true, .sni = S("a.example") });
    trusts(f, "10.1.2.3");
    assert_true(slice_eq(tls_sni(f->pair.server.tls), S("a.example")));
    trusts(f, "");
    use_client(f, &(struct tls_client_settings){ .verifies = true, .sni = S("b.example") });
    distrusts(f, "a.example", "not for b.example");
}

static void test_without_verification(void **state)
{
    struct fixture *f = *state;
    serve_names(f, "DNS:a.example");
    use_client(f, &(struct tls_client_settings){ .verifies = false });
    trusts(f, "whoever.example");
    trusts(f, "");
    assert_int_equal(tls_sni(f->pair.server.tls).len, 0);
}

static void test_unknown_issuer(void **state)
{
    struct fixture *f = *state;
    struct pki    own = pki_make(&(struct pki_request){ .subject = "own", .san = "DNS:a.example" });
    struct buffer pem = BUFFER_INIT;
    serve(f, &own);
    use_client(f, &(struct tls_client_settings){ .verifies = true });
    distrusts(f, "a.example", "self-signed certificate");
    assert_non_null(strstr(tls_failure(f->pair.server.tls), "alert"));
    /* The peer's own certificate as the CA: it is pinned. */
    pki_put_cert(&pem, &own);
    use_client(f, &(struct tls_client_settings){ .verifies = true, .ca = buffer_slice(&pem) });
    trusts(f, "a.example");
    buffer_reset(&pem);
    pki_free(&own);
}

static void test_expired(void **state)
{
    struct fixture *f = *state;
    struct pki      p = pki_make(
             &(struct pki_request){ .subject = "leaf", .san = "DNS:a.example", .issuer = &f->root });
    serve(f, &p);
    use_client(f, &(struct tls_client_settings){ .verifies = true });
    X509_VERIFY_PARAM *verify = SSL_CTX_get0_param(f->client->context);
    X509_VERIFY_PARAM_set_time(verify, time(NULL) + 100L * DAY_S);
    distrusts(f, "a.example", "certificate has expired");
    pki_free(&p);
}

static void test_systems_cas(void **state)
{
    struct fixture            *f = *state;
    struct error               e;
    struct tls_client_settings s = { .verifies = true };
    serve_names(f, "DNS:a.example");
    f->client = tls_client_new(&s, &e);
    assert_non_null(f->client);
    distrusts(f, "a.example", "unable to get local issuer certificate");
}

static void test_bad_settings(void **state)
{
    struct fixture *f = *state;
    struct error    e;
    struct buffer   cert = BUFFER_INIT, key = BUFFER_INIT;
    struct pki      other = pki_make(&(struct pki_request){ .subject = "other" });
    assert_null(
        tls_client_new(&(struct tls_client_settings){ .verifies = true, .ca = S("x") }, &e));
    assert_non_null(strstr(e.text, "ca: holds no certificate"));
    pki_put_cert(&cert, &other);
    pki_put_key(&key, &f->root);
    assert_null(tls_client_new(
        &(struct tls_client_settings){ .cert = buffer_slice(&cert), .key = buffer_slice(&key) },
        &e));
    assert_non_null(strstr(e.text, "does not belong"));
    assert_null(tls_client_new(&(struct tls_client_settings){ .cert = buffer_slice(&cert) }, &e));
    assert_non_null(strstr(e.text, "no private key"));
    pki_free(&other);
    buffer_reset(&cert);
    buffer_reset(&key);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_names),          TEST(test_configured_name), TEST(test_without_verification),
        TEST(test_unknown_issuer), TEST(test_expired),         TEST(test_systems_cas),
        TEST(test_bad_settings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
