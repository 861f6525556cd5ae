/* SPDX-License-Identifier: Apache-2.0
 *
 * A connection to a real Redis over TLS, with and without a certificate of the client's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "io/tls.h"
#include "redis_server.h"
#include "redis_talker.h"
#include "tls_pki.h"

enum { PATH_MAX_BYTES = 96 };

static char                folder[] = "/tmp/wharfgate-redis-tls-XXXXXX";
static char                ca_path[PATH_MAX_BYTES], cert_path[PATH_MAX_BYTES];
static char                key_path[PATH_MAX_BYTES];
static struct buffer       ca, other_ca, client_cert, client_key;
static struct redis_server server;
static struct talker       t;

static void write_file(char path[PATH_MAX_BYTES], const char *name, const struct buffer *text)
{
    snprintf(path, PATH_MAX_BYTES, "%s/%s", folder, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(text->data, 1, text->len, f), text->len);
    fclose(f);
}

static int make_files(void **state)
{
    struct pki root = pki_make(&(struct pki_request){ .subject = "authority", .is_ca = true });
    struct pki other = pki_make(&(struct pki_request){ .subject = "other", .is_ca = true });
    struct pki of_server = pki_make(
        &(struct pki_request){ .subject = "redis", .san = "DNS:redis.example", .issuer = &root });
    struct pki    of_client = pki_make(&(struct pki_request){ .subject = "gate", .issuer = &root });
    struct buffer cert = BUFFER_INIT, key = BUFFER_INIT;
    (void)state;
    assert_non_null(mkdtemp(folder));
    pki_put_cert(&ca, &root);
    pki_put_cert(&other_ca, &other);
    pki_put_cert(&cert, &of_server);
    pki_put_key(&key, &of_server);
    pki_put_cert(&client_cert, &of_client);
    pki_put_key(&client_key, &of_client);
    write_file(ca_path, "ca", &ca);
    write_file(cert_path, "cert", &cert);
    write_file(key_path, "key", &key);
    buffer_reset(&cert);
    buffer_reset(&key);
    pki_free(&root);
    pki_free(&other);
    pki_free(&of_server);
    pki_free(&of_client);
    return 0;
}

static int remove_files(void **state)
{
    (void)state;
    unlink(ca_path);
    unlink(cert_path);
    unlink(key_path);
    buffer_reset(&ca);
    buffer_reset(&other_ca);
    buffer_reset(&client_cert);
    buffer_reset(&client_key);
    return rmdir(folder);
}

static int set_up(void **state)
{
    char port[8];
    (void)state;
    close(tcp_listen(&server.address));
    snprintf(server.folder, sizeof(server.folder), "/tmp/wharfgate-redis-XXXXXX");
    assert_non_null(mkdtemp(server.folder));
    snprintf(port, sizeof(port), "%u", server.address.port);
    /* The plain port is off: the later setting counts. */
    redis_server_start(&server,
                       (const char *const[]){ "--port", "0", "--tls-port", port, "--tls-cert-file",
                                              cert_path, "--tls-key-file", key_path,
                                              "--tls-ca-cert-file", ca_path, NULL });
    talker_init(&t, &server.address);
    t.to.server_name = S("redis.example");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    talker_reset(&t);
    redis_server_reset(&server);
    return 0;
}

static const char *open_with(const struct tls_client_settings *s)
{
    struct error       e;
    struct tls_client *client = tls_client_new(s, &e);
    assert_non_null(client);
    t.to.tls = client;
    const char *why = talker_open(&t);
    tls_client_unref(client);
    return why;
}

static void a_certificate_each(void **state)
{
    (void)state;
    struct tls_client_settings s = { .verifies = true,
                                     .ca = buffer_slice(&ca),
                                     .cert = buffer_slice(&client_cert),
                                     .key = buffer_slice(&client_key) };
    assert_string_equal(open_with(&s), "");
    for (unsigned i = 0; i < ASKED_MAX; i++) assert_non_null(talker_ask(&t, "INCR n"));
    turn_until(t.loop, &t.reply_count, ASKED_MAX);
    for (unsigned i = 0; i < ASKED_MAX; i++) assert_int_equal(t.asked[i].integer, i + 1);
}

static void a_server_that_is_not_known(void **state)
{
    (void)state;
    struct tls_client_settings s = { .verifies = true, .ca = buffer_slice(&other_ca) };
    assert_memory_equal(open_with(&s), "TLS: ", 5);
    s.ca = buffer_slice(&ca);
    t.to.server_name = S("another.example");
    assert_memory_equal(open_with(&s), "TLS: ", 5);
}

/* With TLS 1.3 it is refused when the client believes that it is let in. */
static void a_client_that_is_not_known(void **state)
{
    (void)state;
    struct tls_client_settings s = { .verifies = true, .ca = buffer_slice(&ca) };
    open_with(&s);
    assert_int_equal(t.ready_count, 0);
    assert_int_equal(t.dead_count, 1);
}

static void plain_text(void **state)
{
    (void)state;
    talker_open(&t);
    assert_int_equal(t.dead_count, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_certificate_each, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_server_that_is_not_known, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_client_that_is_not_known, set_up, tear_down),
        cmocka_unit_test_setup_teardown(plain_text, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, make_files, remove_files);
}
