/* SPDX-License-Identifier: Apache-2.0
 *
 * What tls_store_new refuses, and what it says.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "io/tls.h"
#include "tls_pki.h"

enum { DAY_S = 24 * 3600 };

struct fixture {
    struct pki root, issuer;
};

static int set_up(void **state)
{
    static struct fixture f;
    f.root = pki_make(&(struct pki_request){ .subject = "test root", .is_ca = true });
    f.issuer = pki_make(
        &(struct pki_request){ .subject = "test issuer", .is_ca = true, .issuer = &f.root });
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    pki_free(&f->root);
    pki_free(&f->issuer);
    return 0;
}

struct files {
    struct buffer cert, key, ocsp, warnings;
    struct error  e;
    bool          may_be_expired;
    bool          has_empty_key; /* a key file with nothing in it, not none */
};

static void files_reset(struct files *f)
{
    buffer_reset(&f->cert);
    buffer_reset(&f->key);
    buffer_reset(&f->ocsp);
    buffer_reset(&f->warnings);
}

static struct tls_store *load(struct files *f)
{
    bool                       has_key = f->key.len || f->has_empty_key;
    struct slice               key = has_key ? buffer_slice(&f->key) : slice_make(NULL, 0);
    struct tls_certificate_pem pem = { "site.pem", buffer_slice(&f->cert), "site.key", key,
                                       buffer_slice(&f->ocsp) };
    struct tls_server_settings s = { .certificates = &pem,
                                     .certificate_count = 1,
                                     .may_be_expired = &f->may_be_expired };
    f->e.text[0] = '\0';
    buffer_reset(&f->warnings);
    return tls_store_new(&s, &f->warnings, &f->e);
}

/* The error has all of the words, separated by '|'; frees `f`. */
static void refuses(struct files *f, const char *words)
{
    char copy[200];
    assert_null(load(f));
    strncpy(copy, words, sizeof(copy) - 1);
    copy[sizeof(copy) - 1] = '\0';
    char *next = NULL;
    for (char *w = strtok_r(copy, "|", &next); w; w = strtok_r(NULL, "|", &next))
        if (!strstr(f->e.text, w)) fail_msg("\"%s\" is not in: %s", w, f->e.text);
    files_reset(f);
}

/* Accepted, with these words among the warnings; "" for none at all. Frees `f`. */
static void accepts(struct files *f, const char *words)
{
    struct tls_store *store = load(f);
    if (!store) fail_msg("%s", f->e.text);
    const char *said = f->warnings.data ? f->warnings.data : "";
    if (!*words && *said) fail_msg("a warning: %s", said);
    if (!strstr(said, words)) fail_msg("\"%s\" is not in: %s", words, said);
    tls_store_free(store);
    files_reset(f);
}

/* A leaf by the test issuer and its chain. */
static struct files made(const struct fixture *f, const struct pki_request *r)
{
    struct files       files = { .e = { "" } };
    struct pki_request own = *r;
    if (!own.issuer) own.issuer = &f->issuer;
    if (!own.subject) own.subject = "leaf";
    if (!own.san) own.san = "DNS:a.example";
    struct pki leaf = pki_make(&own);
    pki_put_cert(&files.cert, &leaf);
    pki_put_cert(&files.cert, own.issuer);
    pki_put_key(&files.key, &leaf);
    pki_free(&leaf);
    return files;
}

static void test_good_ones(void **state)
{
    const char *const kinds[] = { "P-256", "RSA", "ED25519" };
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        struct files f = made(*state, &(struct pki_request){ .key = kinds[i] });
        accepts(&f, "");
    }
}

static void test_key_in_the_certificate_file(void **state)
{
    struct files f = made(*state, &(struct pki_request){ 0 });
    buffer_put_slice(&f.cert, buffer_slice(&f.key));
    buffer_reset(&f.key);
    accepts(&f, "");
}

static void test_no_key(void **state)
{
    struct files f = made(*state, &(struct pki_request){ 0 });
    buffer_reset(&f.key);
    refuses(&f, "site.pem|no private key");
}

/* The key's file is named, not the certificate's, which may hold keys too. */
static void test_empty_key_file(void **state)
{
    struct files f = made(*state, &(struct pki_request){ 0 });
    buffer_reset(&f.key);
    f.has_empty_key = true;
    refuses(&f, "site.key|no private key");
}

static void test_encrypted_key(void **state)
{
    struct fixture *with = *state;
    struct files    f = made(with, &(struct pki_request){ 0 });
    buffer_reset(&f.key);
    pki_put_encrypted_key(&f.key, &with->issuer);
    refuses(&f, "site.key|encrypted|openssl pkey");
}

static void test_foreign_key(void **state)
{
    struct fixture *with = *state;
    struct files    f = made(with, &(struct pki_request){ 0 });
    buffer_reset(&f.key);
    pki_put_key(&f.key, &with->root);
    refuses(&f, "site.pem|site.key|does not belong");
}

static void test_not_pem(void **state)
{
    (void)state;
    struct files f = { .e = { "" } };
    buffer_puts(&f.cert, "hello\n");
    refuses(&f, "site.pem|no certificate");
    refuses(&f, "site.pem|no certificate"); /* empty */
    buffer_puts(&f.cert, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    refuses(&f, "site.pem|certificate 1 cannot be parsed");
    buffer_puts(&f.cert, "-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n");
    refuses(&f, "site.pem|broken PEM");
}

static void test_cut_file(void **state)
{
    struct files f = made(*state, &(struct pki_request){ 0 });
    f.cert.len -= 40;
    refuses(&f, "site.pem|broken PEM after certificate 1");
}

static void test_times(void **state)
{
    struct fixture *with = *state;
    struct files f = made(with, &(struct pki_request){ .from_s = -10 * DAY_S, .until_s = -DAY_S });
    refuses(&f, "site.pem|CN=leaf|has expired on 2");
    f = made(with, &(struct pki_request){ .from_s = -10 * DAY_S, .until_s = -DAY_S });
    f.may_be_expired = true;
    accepts(&f, "site.pem: certificate 1 (CN=leaf) has expired on 2");
    f = made(with, &(struct pki_request){ .from_s = DAY_S });
    refuses(&f, "site.pem|CN=leaf|not valid before 2");
    f = made(with, &(struct pki_request){ .until_s = 5 * DAY_S + 60 });
    accepts(&f, "site.pem: certificate 1 (CN=leaf) expires in 5 days");
    f = made(with, &(struct pki_request){ .until_s = 15 * DAY_S });
    accepts(&f, "");
}

static void test_weak_ones(void **state)
{
    struct fixture *with = *state;
    struct files    f = made(with, &(struct pki_request){ .key = "RSA-1024" });
    refuses(&f, "site.pem|1024 bits|too weak");
    f = made(with, &(struct pki_request){ .is_sha1 = true });
    refuses(&f, "site.pem|SHA1");
    f = made(with, &(struct pki_request){ .key = "K-256" });
    refuses(&f, "site.pem|curve");
}

static void test_chain_order(void **state)
{
    struct fixture *with = *state;
    struct files    f = { .e = { "" } };
    struct pki      leaf = pki_make(&(struct pki_request){
             .subject = "leaf", .san = "DNS:a.example", .issuer = &with->issuer });
    /* leaf, root, issuer */
    pki_put_cert(&f.cert, &leaf);
    pki_put_cert(&f.cert, &with->root);
    pki_put_cert(&f.cert, &with->issuer);
    pki_put_key(&f.key, &leaf);
    refuses(&f, "site.pem|wrong order|certificate 2 (CN=test root)|certificate 1 (CN=leaf)");
    /* issuer, leaf */
    pki_put_cert(&f.cert, &with->issuer);
    pki_put_cert(&f.cert, &leaf);
    pki_put_key(&f.key, &leaf);
    refuses(&f, "site.pem|certificate 2|first");
    /* with the root at the end */
    pki_put_cert(&f.cert, &leaf);
    pki_put_cert(&f.cert, &with->issuer);
    pki_put_cert(&f.cert, &with->root);
    pki_put_key(&f.key, &leaf);
    accepts(&f, "");
    pki_free(&leaf);
}

static void test_modern_wants_ecdsa(void **state)
{
    struct files               f = made(*state, &(struct pki_request){ .key = "RSA" });
    struct tls_certificate_pem pem = { "site.pem", buffer_slice(&f.cert), "site.key",
                                       buffer_slice(&f.key), S("") };
    struct tls_server_settings s = { .certificates = &pem,
                                     .certificate_count = 1,
                                     .profile = TLS_MODERN };
    struct tls_store          *store = tls_store_new(&s, &f.warnings, &f.e);
    assert_non_null(store);
    assert_non_null(strstr(f.warnings.data, "ECDSA"));
    tls_store_free(store);
    files_reset(&f);
}

static void test_settings(void **state)
{
    struct files               f = made(*state, &(struct pki_request){ 0 });
    struct tls_server_settings s = { .certificate_count = 0 };
    assert_null(tls_store_new(&s, NULL, &f.e));
    assert_non_null(strstr(f.e.text, "at least one certificate"));
    struct tls_certificate_pem pem = { "site.pem", buffer_slice(&f.cert), "site.key",
                                       buffer_slice(&f.key), S("") };
    s = (struct tls_server_settings){ .certificates = &pem,
                                      .certificate_count = 1,
                                      .client_auth = TLS_CLIENT_REQUIRED };
    assert_null(tls_store_new(&s, NULL, &f.e));
    assert_non_null(strstr(f.e.text, "client_ca"));
    s.client_ca = S("nothing");
    assert_null(tls_store_new(&s, NULL, &f.e));
    assert_non_null(strstr(f.e.text, "client_ca"));
    files_reset(&f);
}

/* A leaf with a response about it. `o` lacks only the leaf. */
static struct files with_ocsp(const struct fixture *with, struct pki_ocsp o)
{
    struct files f = { .e = { "" } };
    struct pki   leaf = pki_make(&(struct pki_request){
          .subject = "leaf", .san = "DNS:a.example", .issuer = &with->issuer });
    pki_put_cert(&f.cert, &leaf);
    pki_put_cert(&f.cert, &with->issuer);
    pki_put_key(&f.key, &leaf);
    o.about = &leaf;
    pki_put_ocsp(&f.ocsp, &o);
    pki_free(&leaf);
    return f;
}

static void test_ocsp(void **state)
{
    struct fixture *with = *state;
    struct pki     *issuer = &with->issuer;
    struct files    f =
        with_ocsp(with, (struct pki_ocsp){ .issuer = issuer, .signer = issuer, .until_s = DAY_S });
    accepts(&f, "");
    f = with_ocsp(with, (struct pki_ocsp){ .issuer = issuer, .signer = issuer, .until_s = -DAY_S });
    accepts(&f, "site.pem: the OCSP response is out of date");
    f = with_ocsp(with,
                  (struct pki_ocsp){
                      .issuer = issuer, .signer = issuer, .is_revoked = true, .until_s = DAY_S });
    accepts(&f, "revoked");
    f = with_ocsp(with,
                  (struct pki_ocsp){ .issuer = &with->root, .signer = issuer, .until_s = DAY_S });
    refuses(&f, "site.pem|OCSP|another certificate");
    /* Signed by one who only bears the issuer's name. */
    struct pki liar = pki_make(
        &(struct pki_request){ .subject = "test issuer", .is_ca = true, .issuer = &with->root });
    f = with_ocsp(with, (struct pki_ocsp){ .issuer = issuer, .signer = &liar, .until_s = DAY_S });
    refuses(&f, "site.pem|OCSP|not signed");
    pki_free(&liar);
    f = made(with, &(struct pki_request){ 0 });
    buffer_puts(&f.ocsp, "nothing of the kind");
    refuses(&f, "site.pem|OCSP|DER");
}

static void test_self_signed(void **state)
{
    static const char *const names[] = { "localhost", "127.0.0.1", "::1" };
    struct files             f = { .e = { "" } };
    (void)state;
    assert_false(tls_make_self_signed(names, 0, &f.cert, &f.key, &f.e));
    assert_true(tls_make_self_signed(names, 3, &f.cert, &f.key, &f.e));
    accepts(&f, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_ones),     cmocka_unit_test(test_key_in_the_certificate_file),
        cmocka_unit_test(test_no_key),        cmocka_unit_test(test_empty_key_file),
        cmocka_unit_test(test_encrypted_key), cmocka_unit_test(test_foreign_key),
        cmocka_unit_test(test_not_pem),       cmocka_unit_test(test_cut_file),
        cmocka_unit_test(test_times),         cmocka_unit_test(test_weak_ones),
        cmocka_unit_test(test_chain_order),   cmocka_unit_test(test_modern_wants_ecdsa),
        cmocka_unit_test(test_settings),      cmocka_unit_test(test_ocsp),
        cmocka_unit_test(test_self_signed),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
