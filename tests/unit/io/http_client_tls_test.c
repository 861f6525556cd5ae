/* SPDX-License-Identifier: Apache-2.0
 *
 * HTTP calls over TLS: to nginx, which asks for a client certificate as Docker
 * does, and to openssl's server, which breaks off where nginx answers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"
#include "http_probe.h"
#include "tls_pki.h"

enum { FILE_MAX = 96, WORDS_MAX = 512 };

static const char *const nginx = "/usr/sbin/nginx";

/* In one folder; made once. */
struct files {
    char folder[64];
    char ca[FILE_MAX], other_ca[FILE_MAX];
    char server[FILE_MAX], server_key[FILE_MAX];
    char client[FILE_MAX], client_key[FILE_MAX], stranger[FILE_MAX], stranger_key[FILE_MAX];
};

struct bench {
    struct loop             *loop;
    struct http_client      *client;
    struct http_endpoint     endpoint;
    struct http_call_options options;
    struct http_probe        a;
    pid_t                    pid;
    uint16_t                 port;
    char                     base[64];
};

static struct files files = { .folder = "/tmp/wharfgate-https-XXXXXX" };

/* ---- certificates ---- */

static void write_file(char path[FILE_MAX], const char *name, struct buffer *text)
{
    snprintf(path, FILE_MAX, "%s/%s", files.folder, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text->data, text->len), text->len);
    close(fd);
    buffer_reset(text);
}

static void write_pair(char cert[FILE_MAX], char key[FILE_MAX], const char *name,
                       const struct pki *issuer)
{
    struct buffer      text = BUFFER_INIT;
    char               key_name[FILE_MAX];
    struct pki_request r = { .subject = name, .san = "IP:127.0.0.1", .issuer = issuer };
    struct pki         p = pki_make(&r);
    snprintf(key_name, sizeof(key_name), "%s.key", name);
    pki_put_cert(&text, &p);
    write_file(cert, name, &text);
    pki_put_key(&text, &p);
    write_file(key, key_name, &text);
    pki_free(&p);
}

static int make_files(void **state)
{
    struct buffer      text = BUFFER_INIT;
    struct pki_request r = { .subject = "authority", .is_ca = true };
    struct pki         ca = pki_make(&r);
    struct pki         other = pki_make(&(struct pki_request){ .subject = "other", .is_ca = true });
    (void)state;
    assert_non_null(mkdtemp(files.folder));
    pki_put_cert(&text, &ca);
    write_file(files.ca, "ca", &text);
    pki_put_cert(&text, &other);
    write_file(files.other_ca, "other-ca", &text);
    write_pair(files.server, files.server_key, "server", &ca);
    write_pair(files.client, files.client_key, "client", &ca);
    write_pair(files.stranger, files.stranger_key, "stranger", &other);
    pki_free(&ca);
    pki_free(&other);
    return 0;
}

static int remove_files(void **state)
{
    pid_t pid = fork();
    (void)state;
    if (pid == 0) {
        execlp("rm", "rm", "-rf", files.folder, (char *)NULL);
        _exit(127);
    }
    return waitpid(pid, NULL, 0) == pid ? 0 : -1;
}

/* ---- servers ---- */

static void start(struct bench *t, const char *const *argv)
{
    t->pid = child_start(argv, t->port);
}

static void start_nginx(struct bench *t, const char *tls)
{
    char          conf[FILE_MAX];
    struct buffer text = BUFFER_INIT;
    buffer_printf(&text,
                  "daemon off;\nmaster_process off;\npid %s/pid;\nerror_log %s/error.log;\n"
                  "events {}\nhttp {\naccess_log off;\nclient_body_temp_path %s/body;\n"
                  "proxy_temp_path %s/proxy;\nfastcgi_temp_path %s/fastcgi;\n"
                  "uwsgi_temp_path %s/uwsgi;\nscgi_temp_path %s/scgi;\n",
                  files.folder, files.folder, files.folder, files.folder, files.folder,
                  files.folder, files.folder);
    buffer_printf(&text,
                  "server {\nlisten 127.0.0.1:%u %s;\nssl_certificate %s;\n"
                  "ssl_certificate_key %s;\nssl_client_certificate %s;\nssl_verify_client on;\n"
                  "return 200 \"request $connection_requests of $ssl_client_s_dn\";\n}\n}\n",
                  t->port, tls, files.server, files.server_key, files.ca);
    write_file(conf, "nginx.conf", &text);
    start(t, (const char *const[]){ nginx, "-p", files.folder, "-e", "stderr", "-c", conf, NULL });
}

static void start_openssl(struct bench *t, const char *version)
{
    char at[32];
    snprintf(at, sizeof(at), "127.0.0.1:%u", t->port);
    start(t, (const char *const[]){ "openssl", "s_server", "-accept", at, "-cert", files.server,
                                    "-key", files.server_key, "-CAfile", files.ca, "-Verify", "1",
                                    "-verify_return_error", "-www", version, NULL });
}

static int set_up(void **state)
{
    static struct bench t;
    struct address      a;
    close(tcp_listen(&a));
    t = (struct bench){ .port = a.port, .loop = make_loop() };
    t.client = http_client_new(t.loop);
    snprintf(t.base, sizeof(t.base), "https://127.0.0.1:%u", t.port);
    t.endpoint = (struct http_endpoint){
        .base = t.base, .ca = files.ca, .cert = files.client, .key = files.client_key
    };
    t.options = (struct http_call_options){
        .endpoint = &t.endpoint, .target = "/x", .connect_ms = 20000, .total_ms = 25000
    };
    *state = &t;
    return 0;
}

static int tear_down(void **state)
{
    struct bench *t = *state;
    probe_forget(&t->a);
    http_client_free(t->client);
    loop_free(t->loop);
    child_stop(t->pid);
    return 0;
}

static void ask(struct bench *t)
{
    probe_forget(&t->a);
    t->a = (struct http_probe){ 0 };
    probe_start(&t->a, t->client, &t->options);
    turn_until(t->loop, &t->a.done_count, 1);
}

/* "...%s..." stands for the server's place. */
static void expect_trouble(struct bench *t, const char *reason)
{
    char expected[WORDS_MAX];
    ask(t);
    snprintf(expected, sizeof(expected), "cannot connect to %s: %s", t->base + strlen("https://"),
             reason);
    assert_string_equal(t->a.trouble, expected);
    assert_int_equal(t->a.status, 0);
}

/* ---- tests ---- */

static void test_client_certificate(void **state)
{
    struct bench *t = *state;
    start_nginx(t, "ssl");
    ask(t);
    assert_string_equal(t->a.trouble, "");
    assert_int_equal(t->a.status, 200);
    assert_true(probe_got(&t->a, "request 1 of CN=client"));
    ask(t);
    assert_true(probe_got(&t->a, "request 2 of CN=client"));
}

static void test_no_proxy_for_tls(void **state)
{
    struct bench *t = *state;
    start_nginx(t, "ssl");
    setenv("https_proxy", "http://127.0.0.1:1", 1);
    ask(t);
    unsetenv("https_proxy");
    assert_string_equal(t->a.trouble, "");
}

static void test_other_certificate_gets_another_connection(void **state)
{
    struct bench *t = *state;
    start_nginx(t, "ssl");
    ask(t);
    assert_int_equal(t->a.status, 200);
    t->endpoint.cert = files.stranger;
    t->endpoint.key = files.stranger_key;
    ask(t);
    assert_string_equal(t->a.trouble, "");
    assert_int_equal(t->a.status, 400);
    t->endpoint.cert = t->endpoint.key = NULL;
    ask(t);
    assert_string_equal(t->a.trouble, "");
    assert_int_equal(t->a.status, 400);
    assert_non_null(memmem(t->a.data.data, t->a.data.len, "No required SSL certificate", 27));
}

static void test_wrong_authority(void **state)
{
    struct bench *t = *state;
    start_nginx(t, "ssl");
    ask(t);
    assert_int_equal(t->a.status, 200);
    t->endpoint.ca = files.other_ca;
    expect_trouble(t, "its certificate is not accepted: unable to get local issuer certificate");
    t->endpoint.ca = NULL; /* the system's know of it neither */
    expect_trouble(t, "its certificate is not accepted: unable to get local issuer certificate");
}

static void test_authorities_are_read_again(void **state)
{
    struct bench *t = *state;
    char          path[FILE_MAX];
    snprintf(path, sizeof(path), "%s/changing", files.folder);
    assert_int_equal(symlink(files.other_ca, path), 0);
    t->endpoint.ca = path;
    start_nginx(t, "ssl");
    expect_trouble(t, "its certificate is not accepted: unable to get local issuer certificate");
    unlink(path);
    assert_int_equal(symlink(files.ca, path), 0);
    ask(t);
    assert_string_equal(t->a.trouble, "");
    unlink(path);
}

static void test_wrong_name(void **state)
{
    struct bench *t = *state;
    start_nginx(t, "ssl");
    snprintf(t->base, sizeof(t->base), "https://localhost:%u", t->port);
    expect_trouble(t, "its certificate is not accepted: no alternative certificate subject name "
                      "matches target host name 'localhost'");
}

static void test_plain_server(void **state)
{
    struct bench *t = *state;
    start_nginx(t, "");
    expect_trouble(t, "TLS: wrong version number");
}

static void test_server_that_breaks_off_without_certificate(void **state)
{
    struct bench *t = *state;
    start_openssl(t, "-tls1_3");
    t->endpoint.cert = t->endpoint.key = NULL;
    ask(t);
    assert_string_equal(t->a.trouble,
                        "the server broke off: TLS: tlsv13 alert certificate required");
}

static void test_the_same_with_tls_1_2(void **state)
{
    struct bench *t = *state;
    start_openssl(t, "-tls1_2");
    t->endpoint.cert = t->endpoint.key = NULL;
    expect_trouble(t, "TLS: sslv3 alert handshake failure");
}

static void expect_words(struct bench *t, const char *words, const char *file)
{
    char expected[WORDS_MAX];
    ask(t);
    snprintf(expected, sizeof(expected), "%s%s", words, file);
    if (!slice_starts_with(slice_of(t->a.trouble), slice_of(expected)))
        fail_msg("%s", t->a.trouble);
}

static void test_files_that_are_not_there(void **state)
{
    struct bench *t = *state;
    start_nginx(t, "ssl");
    t->endpoint.cert = "/none/cert.pem";
    expect_words(t, "cannot read ", "/none/cert.pem: no such file or directory");
    t->endpoint.cert = files.client;
    t->endpoint.key = "/none/key.pem";
    expect_words(t, "cannot read ", "/none/key.pem: no such file or directory");
    t->endpoint.key = files.client_key;
    t->endpoint.ca = "/none/ca.pem";
    expect_words(t, "cannot read ", "/none/ca.pem: no such file or directory");
}

static void test_files_that_do_not_fit(void **state)
{
    struct bench *t = *state;
    start_nginx(t, "ssl");
    t->endpoint.key = files.stranger_key;
    expect_words(t, "the client certificate in ", files.client);
    t->endpoint.key = files.client;
    expect_words(t, "the client certificate in ", files.client);
    t->endpoint.key = files.client_key;
    t->endpoint.ca = files.server_key;
    expect_words(t, "there is no certificate of an authority in ", files.server_key);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_client_certificate),
        TEST(test_no_proxy_for_tls),
        TEST(test_other_certificate_gets_another_connection),
        TEST(test_wrong_authority),
        TEST(test_authorities_are_read_again),
        TEST(test_wrong_name),
        TEST(test_plain_server),
        TEST(test_server_that_breaks_off_without_certificate),
        TEST(test_the_same_with_tls_1_2),
        TEST(test_files_that_are_not_there),
        TEST(test_files_that_do_not_fit),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, make_files, remove_files);
}
