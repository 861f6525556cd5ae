/* SPDX-License-Identifier: Apache-2.0
 *
 * Which certificate a client is shown, what is negotiated, and whom the server
 * lets in.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>
#include <openssl/x509v3.h>

#include "base/memory.h"
#include "io/tls_internal.h"
#include "tls_pair.h"
#include "tls_pki.h"

enum { CERTS = 5, DAY_S = 24 * 3600 };

struct fixture {
    struct pair                pair;
    struct pki                 root, stranger;
    struct buffer              root_pem;
    struct buffer              cert[CERTS], key[CERTS], ocsp;
    struct tls_certificate_pem pem[CERTS];
    size_t                     count;
    struct tls_store          *store;
    struct tls_server         *server;
    struct tls_client         *client;
    struct arena               arena;
};

static struct fixture *fixture_of(void **state)
{
    return *state;
}

static int set_up(void **state)
{
    struct fixture *f = mem_zalloc(sizeof(*f));
    pair_init(&f->pair);
    arena_init(&f->arena, NULL);
    f->root = pki_make(&(struct pki_request){ .subject = "root", .is_ca = true });
    f->stranger = pki_make(&(struct pki_request){ .subject = "stranger", .is_ca = true });
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
    tls_store_free(f->store);
    for (size_t i = 0; i < f->count; i++) {
        buffer_reset(&f->cert[i]);
        buffer_reset(&f->key[i]);
    }
    buffer_reset(&f->ocsp);
    buffer_reset(&f->root_pem);
    pki_free(&f->root);
    pki_free(&f->stranger);
    arena_reset(&f->arena);
    free(f);
    return 0;
}

static struct pki add_cert(struct fixture *f, const char *san, const char *key)
{
    size_t     i = f->count++;
    struct pki p = pki_make(
        &(struct pki_request){ .subject = "leaf", .san = san, .key = key, .issuer = &f->root });
    pki_put_cert(&f->cert[i], &p);
    pki_put_key(&f->key[i], &p);
    f->pem[i] = (struct tls_certificate_pem){ .cert_name = san,
                                              .key_name = san,
                                              .cert = buffer_slice(&f->cert[i]),
                                              .key = buffer_slice(&f->key[i]) };
    return p;
}

static void add(struct fixture *f, const char *san, const char *key)
{
    struct pki p = add_cert(f, san, key);
    pki_free(&p);
}

static void serve(struct fixture *f, struct tls_server_settings s)
{
    struct error  e = { "" };
    struct buffer warnings = BUFFER_INIT;
    s.certificates = f->pem;
    s.certificate_count = f->count;
    f->store = tls_store_new(&s, &warnings, &e);
    if (!f->store) fail_msg("%s", e.text);
    f->server = tls_server_new(f->store, NULL, &e);
    if (!f->server) fail_msg("%s", e.text);
    buffer_reset(&warnings);
}

static void use_client(struct fixture *f, struct tls_client_settings s)
{
    struct error e = { "" };
    tls_client_unref(f->client);
    s.ca = buffer_slice(&f->root_pem);
    f->client = tls_client_new(&s, &e);
    if (!f->client) fail_msg("%s", e.text);
}

/* Connects with `sni`; is the certificate the one whose first name is `name` and its key of
 * this type? */
static void shows(struct fixture *f, const char *sni, const char *name, const char *key)
{
    if (!pair_connect(&f->pair, f->server, f->client, sni))
        fail_msg("%s: %s", sni, tls_failure(f->pair.client.tls));
    X509          *x = SSL_get0_peer_certificate(f->pair.client.tls->ssl);
    GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
    ASN1_STRING   *first = sk_GENERAL_NAME_value(names, 0)->d.dNSName;
    assert_string_equal((const char *)ASN1_STRING_get0_data(first), name);
    assert_true(EVP_PKEY_is_a(X509_get0_pubkey(x), key));
    GENERAL_NAMES_free(names);
}

static void test_choice_by_name(void **state)
{
    struct fixture *f = fixture_of(state);
    add(f, "DNS:default.example", NULL);
    add(f, "DNS:exact.example,DNS:Other.Example", NULL);
    add(f, "DNS:*.wild.example", NULL);
    add(f, "DNS:deep.wild.example", NULL);
    serve(f, (struct tls_server_settings){ .offers_h2 = true });
    use_client(f, (struct tls_client_settings){ .verifies = false });
    shows(f, "exact.example", "exact.example", "EC");
    shows(f, "OTHER.example", "exact.example", "EC");
    assert_true(slice_eq(tls_sni(f->pair.server.tls), S("other.example")));
    shows(f, "a.wild.example", "*.wild.example", "EC");
    shows(f, "deep.wild.example", "deep.wild.example", "EC");
    shows(f, "a.b.wild.example", "default.example", "EC"); /* one label only */
    shows(f, "wild.example", "default.example", "EC");
    shows(f, "nobody.example", "default.example", "EC");
    shows(f, "127.0.0.1", "default.example", "EC"); /* sends no SNI */
    assert_int_equal(tls_sni(f->pair.server.tls).len, 0);
}

static bool covers(const struct fixture *f, const char *host)
{
    return tls_server_covers(f->server, f->pair.server.tls, slice_of(host));
}

static void test_covers(void **state)
{
    struct fixture *f = fixture_of(state);
    add(f, "DNS:default.example", NULL);
    add(f, "DNS:a.example,DNS:b.example,DNS:*.a.example", NULL);
    serve(f, (struct tls_server_settings){ .offers_h2 = true });
    use_client(f, (struct tls_client_settings){ .verifies = false });
    shows(f, "a.example", "a.example", "EC");
    assert_true(covers(f, "a.example"));
    assert_true(covers(f, "B.Example"));
    assert_true(covers(f, "x.a.example."));
    assert_false(covers(f, "default.example"));
    assert_false(covers(f, "unknown.example"));
    assert_false(covers(f, ""));
    shows(f, "default.example", "default.example", "EC");
    assert_true(covers(f, "unknown.example"));
    assert_false(covers(f, "b.example"));
}

static void only_signs(struct fixture *f, char *algorithms)
{
    assert_int_equal(SSL_CTX_set1_sigalgs_list(f->client->context, algorithms), 1);
}

static void test_rsa_and_ecdsa_side_by_side(void **state)
{
    struct fixture *f = fixture_of(state);
    add(f, "DNS:a.example", "RSA");
    add(f, "DNS:a.example,DNS:b.example", "P-256");
    serve(f, (struct tls_server_settings){ .profile = TLS_INTERMEDIATE });
    use_client(f, (struct tls_client_settings){ .verifies = true });
    only_signs(f, (char[]){ "RSA-PSS+SHA256:RSA+SHA256" });
    shows(f, "a.example", "a.example", "RSA");
    use_client(f, (struct tls_client_settings){ .verifies = false });
    only_signs(f, (char[]){ "ECDSA+SHA256" });
    shows(f, "a.example", "a.example", "EC");
    shows(f, "unknown.example", "a.example", "EC");
    use_client(f, (struct tls_client_settings){ .verifies = false });
    only_signs(f, (char[]){ "RSA-PSS+SHA256:RSA+SHA256" });
    assert_false(pair_connect(&f->pair, f->server, f->client, "b.example"));
    assert_int_not_equal(strlen(tls_failure(f->pair.server.tls)), 0);
}

static void test_contexts_are_shared(void **state)
{
    struct fixture *f = fixture_of(state);
    struct buffer   san = BUFFER_INIT;
    for (int i = 0; i < 1000; i++) buffer_printf(&san, "%sDNS:h%d.example", i ? "," : "", i);
    add(f, san.data, NULL);
    add(f, "DNS:z.example", NULL);
    serve(f, (struct tls_server_settings){ .profile = TLS_MODERN });
    assert_int_equal(f->store->sites.count, 2);
    use_client(f, (struct tls_client_settings){ .verifies = true });
    shows(f, "h999.example", "h0.example", "EC");
    assert_null(f->server->contexts[1]); /* nobody has asked */
    shows(f, "z.example", "z.example", "EC");
    assert_non_null(f->server->contexts[1]);
    buffer_reset(&san);
}

static void test_names_without_san(void **state)
{
    struct fixture *f = fixture_of(state);
    struct pki p = pki_make(&(struct pki_request){ .subject = "old.example", .issuer = &f->root });
    add(f, "DNS:default.example", NULL);
    pki_put_cert(&f->cert[1], &p);
    pki_put_key(&f->key[1], &p);
    f->pem[1] = (struct tls_certificate_pem){ .cert_name = "old",
                                              .key_name = "old",
                                              .cert = buffer_slice(&f->cert[1]),
                                              .key = buffer_slice(&f->key[1]) };
    f->count = 2;
    serve(f, (struct tls_server_settings){ .profile = TLS_MODERN });
    use_client(f, (struct tls_client_settings){ .verifies = false });
    shows(f, "default.example", "default.example", "EC");
    assert_false(covers(f, "old.example"));
    assert_true(covers(f, "leaf")); /* where there is a SAN the common name means nothing */
    pki_free(&p);
}

static void test_alpn(void **state)
{
    struct fixture *f = fixture_of(state);
    add(f, "DNS:a.example", NULL);
    serve(f, (struct tls_server_settings){ .offers_h2 = true });
    use_client(f, (struct tls_client_settings){ .verifies = true, .offers_h2 = true });
    shows(f, "a.example", "a.example", "EC");
    assert_int_equal(tls_alpn(f->pair.server.tls), TLS_ALPN_H2);
    assert_int_equal(tls_alpn(f->pair.client.tls), TLS_ALPN_H2);
    /* Our order counts, not the client's. */
    SSL_CTX_set_alpn_protos(f->client->context, (const unsigned char *)"\x08http/1.1\x02h2", 12);
    shows(f, "a.example", "a.example", "EC");
    assert_int_equal(tls_alpn(f->pair.server.tls), TLS_ALPN_H2);
    SSL_CTX_set_alpn_protos(f->client->context, (const unsigned char *)"\x08http/1.1", 9);
    shows(f, "a.example", "a.example", "EC");
    assert_int_equal(tls_alpn(f->pair.server.tls), TLS_ALPN_HTTP_1_1);
    SSL_CTX_set_alpn_protos(f->client->context, NULL, 0);
    shows(f, "a.example", "a.example", "EC");
    assert_int_equal(tls_alpn(f->pair.server.tls), TLS_ALPN_NONE);
    SSL_CTX_set_alpn_protos(f->client->context,
                            (const unsigned char *)"\x03"
                                                   "foo",
                            4);
    assert_false(pair_connect(&f->pair, f->server, f->client, "a.example"));
    assert_non_null(strstr(tls_failure(f->pair.client.tls), "no application protocol"));
}

static void test_alpn_without_h2(void **state)
{
    struct fixture *f = fixture_of(state);
    add(f, "DNS:a.example", NULL);
    serve(f, (struct tls_server_settings){ .offers_h2 = false });
    use_client(f, (struct tls_client_settings){ .verifies = true, .offers_h2 = true });
    shows(f, "a.example", "a.example", "EC");
    assert_int_equal(tls_alpn(f->pair.server.tls), TLS_ALPN_HTTP_1_1);
}

static void test_profiles(void **state)
{
    struct fixture *f = fixture_of(state);
    add(f, "DNS:a.example", NULL);
    serve(f, (struct tls_server_settings){ .profile = TLS_INTERMEDIATE });
    use_client(f, (struct tls_client_settings){ .verifies = true });
    SSL_CTX_set_max_proto_version(f->client->context, TLS1_2_VERSION);
    shows(f, "a.example", "a.example", "EC");
    assert_string_equal(tls_version(f->pair.server.tls), "TLSv1.2");
    assert_int_equal(strncmp(tls_cipher(f->pair.server.tls), "ECDHE-ECDSA-", 12), 0);
    SSL_CTX_set_cipher_list(f->client->context, "ECDHE-ECDSA-AES128-SHA256");
    assert_false(pair_connect(&f->pair, f->server, f->client, "a.example"));
    assert_non_null(strstr(tls_failure(f->pair.server.tls), "no shared cipher"));
}

static void test_modern_refuses_tls_1_2(void **state)
{
    struct fixture *f = fixture_of(state);
    add(f, "DNS:a.example", NULL);
    serve(f, (struct tls_server_settings){ .profile = TLS_MODERN });
    use_client(f, (struct tls_client_settings){ .verifies = true });
    SSL_CTX_set_max_proto_version(f->client->context, TLS1_2_VERSION);
    assert_false(pair_connect(&f->pair, f->server, f->client, "a.example"));
    assert_non_null(strstr(tls_failure(f->pair.server.tls), "unsupported protocol"));
}

/* The server answers with the alert no_renegotiation (RFC 5246 section 7.2.2). */
static void test_no_renegotiation(void **state)
{
    struct fixture *f = fixture_of(state);
    add(f, "DNS:a.example", NULL);
    serve(f, (struct tls_server_settings){ .profile = TLS_INTERMEDIATE });
    use_client(f, (struct tls_client_settings){ .verifies = true });
    SSL_CTX_set_max_proto_version(f->client->context, TLS1_2_VERSION);
    SSL_CTX_clear_options(f->client->context, SSL_OP_NO_RENEGOTIATION);
    shows(f, "a.example", "a.example", "EC");
    assert_int_equal(SSL_renegotiate(f->pair.client.tls->ssl), 1);
    SSL_do_handshake(f->pair.client.tls->ssl);
    pair_run(&f->pair);
    assert_int_equal(f->pair.client.last, TLS_BROKEN);
    assert_non_null(strstr(tls_failure(f->pair.client.tls), "renegotiation"));
}

/* ---- client certificates ---- */

struct identity {
    struct pki    p;
    struct buffer cert, key;
};

static struct identity identity_of(const struct fixture *f, const struct pki *issuer)
{
    struct identity id = { .p = pki_make(&(struct pki_request){ .subject = "Jörg, \"Ops\"",
                                                                .issuer = issuer }) };
    (void)f;
    pki_put_cert(&id.cert, &id.p);
    pki_put_key(&id.key, &id.p);
    return id;
}

static void identity_free(struct identity *id)
{
    pki_free(&id->p);
    buffer_reset(&id->cert);
    buffer_reset(&id->key);
}

static void serve_asking(struct fixture *f, enum tls_client_auth auth)
{
    add(f, "DNS:a.example", NULL);
    add(f, "DNS:b.example", NULL);
    serve(f, (struct tls_server_settings){ .client_auth = auth,
                                           .client_ca = buffer_slice(&f->root_pem) });
}

static void use_identity(struct fixture *f, const struct identity *id)
{
    use_client(f, (struct tls_client_settings){ .verifies = true,
                                                .cert = buffer_slice(&id->cert),
                                                .key = buffer_slice(&id->key) });
}

static void check_identity(struct fixture *f)
{
    const struct tls *t = f->pair.server.tls;
    assert_true(tls_has_client_cert(t));
    struct slice subject = tls_client_subject(t, &f->arena);
    assert_true(slice_eq(subject, S("CN=J\\C3\\B6rg\\, \\\"Ops\\\"")));
    assert_int_equal(tls_client_fingerprint(t, &f->arena).len, 64);
    struct slice serial = tls_client_serial(t, &f->arena);
    assert_int_equal(serial.len, 16);
    assert_true(slice_starts_with(serial, S("4a")));
    struct slice pem = tls_client_pem(t, &f->arena);
    assert_true(slice_starts_with(pem, S("-----BEGIN%20CERTIFICATE-----%0A")));
    assert_true(slice_ends_with(pem, S("%0A-----END%20CERTIFICATE-----%0A")));
}

static void test_client_certificate_required(void **state)
{
    struct fixture *f = fixture_of(state);
    struct identity good = identity_of(f, &f->root), bad = identity_of(f, &f->stranger);
    serve_asking(f, TLS_CLIENT_REQUIRED);
    use_identity(f, &good);
    shows(f, "a.example", "a.example", "EC");
    check_identity(f);
    shows(f, "b.example", "b.example", "EC"); /* another context asks the same */
    check_identity(f);
    use_client(f, (struct tls_client_settings){ .verifies = true });
    assert_false(pair_connect(&f->pair, f->server, f->client, "a.example") &&
                 f->pair.client.last == TLS_AGAIN);
    assert_non_null(strstr(tls_failure(f->pair.server.tls), "sent no certificate"));
    assert_false(pair_connect(&f->pair, f->server, f->client, "b.example"));
    assert_non_null(strstr(tls_failure(f->pair.client.tls), "alert"));
    use_identity(f, &bad);
    assert_false(pair_connect(&f->pair, f->server, f->client, "a.example"));
    assert_non_null(strstr(tls_failure(f->pair.server.tls), "not accepted"));
    identity_free(&good);
    identity_free(&bad);
}

static void test_client_certificate_optional(void **state)
{
    struct fixture *f = fixture_of(state);
    struct identity good = identity_of(f, &f->root);
    serve_asking(f, TLS_CLIENT_OPTIONAL);
    use_identity(f, &good);
    shows(f, "a.example", "a.example", "EC");
    check_identity(f);
    use_client(f, (struct tls_client_settings){ .verifies = true });
    shows(f, "a.example", "a.example", "EC");
    assert_false(tls_has_client_cert(f->pair.server.tls));
    assert_int_equal(tls_client_subject(f->pair.server.tls, &f->arena).len, 0);
    assert_int_equal(tls_client_pem(f->pair.server.tls, &f->arena).len, 0);
    identity_free(&good);
}

static void test_ocsp_staple(void **state)
{
    struct fixture *f = fixture_of(state);
    struct pki      p = add_cert(f, "DNS:a.example", NULL);
    pki_put_cert(&f->cert[0], &f->root);
    pki_put_ocsp(&f->ocsp,
                 &(struct pki_ocsp){
                     .about = &p, .issuer = &f->root, .signer = &f->root, .until_s = DAY_S });
    f->pem[0].cert = buffer_slice(&f->cert[0]);
    f->pem[0].ocsp = buffer_slice(&f->ocsp);
    serve(f, (struct tls_server_settings){ .profile = TLS_MODERN });
    use_client(f, (struct tls_client_settings){ .verifies = true });
    SSL_CTX_set_tlsext_status_type(f->client->context, TLSEXT_STATUSTYPE_ocsp);
    shows(f, "a.example", "a.example", "EC");
    unsigned char *staple;
    long           len = SSL_get_tlsext_status_ocsp_resp(f->pair.client.tls->ssl, &staple);
    assert_int_equal(len, f->ocsp.len);
    assert_memory_equal(staple, f->ocsp.data, f->ocsp.len);
    /* Two days later it is out of date. */
    f->pair.loop.clock.wall_us += 2LL * DAY_S * 1000000;
    shows(f, "a.example", "a.example", "EC");
    assert_true(SSL_get_tlsext_status_ocsp_resp(f->pair.client.tls->ssl, &staple) <= 0);
    pki_free(&p);
}

/* Store, server and client are given up while a handshake is under way. */
static void test_references(void **state)
{
    struct fixture *f = fixture_of(state);
    add(f, "DNS:a.example", NULL);
    add(f, "DNS:b.example", NULL);
    serve(f, (struct tls_server_settings){ .profile = TLS_MODERN });
    use_client(f, (struct tls_client_settings){ .verifies = true });
    f->pair.server.tls = tls_accept(f->server, &f->pair.loop);
    f->pair.client.tls = tls_connect(f->client, &f->pair.loop, S("b.example"));
    tls_store_free(f->store);
    tls_server_unref(f->server);
    tls_client_unref(f->client);
    f->store = NULL;
    f->server = NULL;
    f->client = NULL;
    pair_run(&f->pair);
    assert_true(f->pair.server.is_open && f->pair.client.is_open);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_choice_by_name),
        TEST(test_covers),
        TEST(test_rsa_and_ecdsa_side_by_side),
        TEST(test_contexts_are_shared),
        TEST(test_names_without_san),
        TEST(test_alpn),
        TEST(test_alpn_without_h2),
        TEST(test_profiles),
        TEST(test_modern_refuses_tls_1_2),
        TEST(test_no_renegotiation),
        TEST(test_client_certificate_required),
        TEST(test_client_certificate_optional),
        TEST(test_ocsp_staple),
        TEST(test_references),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
