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
#include "base/random.h"
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
    assert_true(strncmp(tls_cipher(f->pair.server.tls), "TLS_", 4) == 0);
    assert_int_equal(tls_alpn(f->pair.client.tls), TLS_ALPN_HTTP_1_1);
    assert_int_equal(tls_alpn(f->pair.server.tls), TLS_ALPN_HTTP_1_1);
    assert_true(slice_eq(tls_sni(f->pair.server.tls), S("a.example")));
    assert_false(tls_is_resumed(f->pair.server.tls));
    assert_false(tls_has_client_cert(f->pair.server.tls));
    assert_string_equal(tls_failure(f->pair.server.tls), "");
    assert_true(outq_is_empty(tls_out(f->pair.server.tls)));
}

static void test_handshake_in_pieces(void **state)
{
    struct fixture *f = *state;
    connect_both(f, 1);
    connect_both(f, 7);
    connect_both(f, 333);
}

static void check_bulk(struct fixture *f, struct side *from, struct side *to)
{
    enum { LEN = 1 << 20 };
    struct random r;
    char         *data = mem_alloc(LEN);
    random_init(&r);
    for (size_t i = 0; i < LEN; i += 8) {
        uint64_t word = random_next(&r);
        memcpy(data + i, &word, 8);
    }
    for (size_t at = 0; at < LEN;) {
        size_t       n = 1 + random_below(&r, 50000);
        size_t       cut[3];
        struct iovec iov[4];
        if (n > LEN - at) n = LEN - at;
        for (int i = 0; i < 3; i++) cut[i] = random_below(&r, (uint32_t)n / 4 + 1);
        char *p = data + at;
        for (int i = 0; i < 3; i++) {
            iov[i] = (struct iovec){ p, cut[i] };
            p += cut[i];
        }
        iov[3] = (struct iovec){ p, (size_t)(data + at + n - p) };
        assert_int_equal(tls_write(from->tls, iov, 4), TLS_OK);
        f->pair.step = 1 + random_below(&r, 30000);
        pair_run(&f->pair);
        at += n;
    }
    assert_int_equal(to->got.len, LEN);
    assert_memory_equal(to->got.data, data, LEN);
    assert_int_equal(to->last, TLS_AGAIN);
    free(data);
}

static void test_bulk_both_ways(void **state)
{
    struct fixture *f = *state;
    connect_both(f, 0);
    check_bulk(f, &f->pair.server, &f->pair.client);
    check_bulk(f, &f->pair.client, &f->pair.server);
}

/* Content type and tag: 17 bytes (RFC 8446 section 5.2). */
enum { OVERHEAD = 17 };

static void test_head_and_body_share_a_record(void **state)
{
    struct fixture *f = *state;
    char            head[200], body[1024];
    memset(head, 'h', sizeof(head));
    memset(body, 'b', sizeof(body));
    struct iovec iov[] = { { head, sizeof(head) }, { NULL, 0 }, { body, sizeof(body) } };
    connect_both(f, 0);
    assert_int_equal(tls_write(f->pair.server.tls, iov, 3), TLS_OK);
    pair_run(&f->pair);
    assert_int_equal(f->pair.server.record_count, 1);
    assert_int_equal(f->pair.server.largest_record, sizeof(head) + sizeof(body) + OVERHEAD);
    assert_int_equal(f->pair.client.got.len, sizeof(head) + sizeof(body));
}

static void test_nothing_to_write(void **state)
{
    struct fixture *f = *state;
    struct iovec    iov[] = { { NULL, 0 }, { NULL, 0 } };
    connect_both(f, 0);
    assert_int_equal(tls_write(f->pair.server.tls, iov, 2), TLS_OK);
    assert_int_equal(tls_write(f->pair.server.tls, iov, 0), TLS_OK);
    assert_true(outq_is_empty(tls_out(f->pair.server.tls)));
}

static void test_records_grow_and_shrink(void **state)
{
    struct fixture *f = *state;
    char           *data = mem_zalloc(256 * 1024);
    struct side    *from = &f->pair.server;
    connect_both(f, 0);
    pair_write(&f->pair, from, data, 64 * 1024);
    assert_int_equal(from->largest_record, 4096 + OVERHEAD);
    assert_int_equal(from->record_count, 16);
    pair_write(&f->pair, from, data, 64 * 1024);
    assert_int_equal(from->largest_record, 16384 + OVERHEAD);
    assert_int_equal(from->record_count, 20);
    f->pair.loop.clock.now_ms += 1500;
    from->largest_record = 0;
    pair_write(&f->pair, from, data, 8 * 1024);
    assert_int_equal(from->largest_record, 4096 + OVERHEAD);
    free(data);
}

/* Reading stops in the middle of what was received; the rest is read later. */
static void test_paused_reading(void **state)
{
    struct fixture *f = *state;
    char            sent[30000], got[30000], *cipher;
    size_t          n, total = 0;
    struct iovec    iov = { sent, sizeof(sent) };
    connect_both(f, 0);
    for (size_t i = 0; i < sizeof(sent); i++) sent[i] = (char)(i * 7);
    assert_int_equal(tls_write(f->pair.server.tls, &iov, 1), TLS_OK);
    struct outq *q = tls_out(f->pair.server.tls);
    size_t       len = q->bytes;
    cipher = mem_alloc(len);
    for (size_t at = 0; at < len;) {
        struct slice piece = outq_front(q);
        memcpy(cipher + at, piece.data, piece.len);
        at += piece.len;
        outq_consume(q, piece.len);
    }
    struct tls *t = f->pair.client.tls;
    tls_give(t, cipher, len - 100);
    assert_int_equal(tls_read(t, got, 1000, &n), TLS_OK);
    assert_int_equal(n, 1000);
    total += n;
    tls_keep(t);
    char *tail = mem_alloc(100);
    memcpy(tail, cipher + len - 100, 100);
    memset(cipher, 'x', len);
    assert_true(tls_has_input(t));
    tls_give(t, tail, 100);
    memset(tail, 'x', 100);
    while (tls_read(t, got + total, 777 < sizeof(got) - total ? 777 : sizeof(got) - total, &n) ==
               TLS_OK &&
           n)
        total += n;
    assert_int_equal(total, sizeof(sent));
    assert_memory_equal(got, sent, sizeof(sent));
    assert_false(tls_has_input(t));
    tls_keep(t);
    free(tail);
    free(cipher);
}

static void test_close_notify(void **state)
{
    struct fixture *f = *state;
    connect_both(f, 0);
    struct iovec bye = { (char[]){ "bye" }, 3 };
    assert_int_equal(tls_write(f->pair.client.tls, &bye, 1), TLS_OK);
    tls_send_close_notify(f->pair.client.tls);
    pair_run(&f->pair);
    assert_int_equal(f->pair.server.last, TLS_EOF);
    assert_int_equal(f->pair.server.got.len, 3);
    /* The other direction is still open (RFC 8446 section 6.1). */
    pair_write(&f->pair, &f->pair.server, "answer", 6);
    assert_int_equal(f->pair.client.got.len, 6);
    tls_give(f->pair.server.tls, NULL, 0);
    pair_run(&f->pair);
    assert_int_equal(f->pair.server.last, TLS_EOF);
}

static void test_truncated(void **state)
{
    struct fixture *f = *state;
    connect_both(f, 0);
    pair_write(&f->pair, &f->pair.client, "half", 4);
    tls_give(f->pair.server.tls, NULL, 0);
    pair_run(&f->pair);
    assert_int_equal(f->pair.server.last, TLS_TRUNCATED);
    assert_int_equal(f->pair.server.got.len, 4);
    /* Whoever only half-closed is still answered. */
    pair_write(&f->pair, &f->pair.server, "answer", 6);
    assert_int_equal(f->pair.client.got.len, 6);
}

static void test_truncated_record(void **state)
{
    struct fixture *f = *state;
    char            to[100];
    size_t          n;
    connect_both(f, 0);
    tls_give(f->pair.server.tls, "\x17\x03\x03\x00\x50garbage", 12);
    assert_int_equal(tls_read(f->pair.server.tls, to, sizeof(to), &n), TLS_AGAIN);
    tls_give(f->pair.server.tls, NULL, 0);
    assert_int_equal(tls_read(f->pair.server.tls, to, sizeof(to), &n), TLS_TRUNCATED);
}

static void test_end_in_handshake(void **state)
{
    struct fixture *f = *state;
    struct tls     *t = tls_accept(f->server, &f->pair.loop);
    assert_int_equal(tls_handshake(t), TLS_AGAIN);
    tls_give(t, NULL, 0);
    assert_int_equal(tls_handshake(t), TLS_BROKEN);
    assert_non_null(strstr(tls_failure(t), "closed"));
    tls_free(t);
}

static void check_refused(struct fixture *f, const char *bytes, size_t len, const char *words)
{
    struct tls *t = tls_accept(f->server, &f->pair.loop);
    tls_give(t, bytes, len);
    assert_int_equal(tls_handshake(t), TLS_BROKEN);
    if (!strstr(tls_failure(t), words)) fail_msg("%s", tls_failure(t));
    assert_int_equal(tls_handshake(t), TLS_BROKEN);
    tls_free(t);
}

static void test_garbage_in_handshake(void **state)
{
    struct fixture *f = *state;
    check_refused(f, "GET / HTTP/1.1\r\n\r\n", 18, "plain HTTP");
    check_refused(f, "\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a", 11, "does not speak TLS");
    check_refused(f, "\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00", 10, "");
}

/* Random damage to a real ClientHello: any outcome but a crash or an open connection. */
static void test_damaged_hello(void **state)
{
    struct fixture *f = *state;
    struct tls     *c = tls_connect(f->client, &f->pair.loop, S("a.example"));
    struct random   r;
    char            hello[4096];
    random_init(&r);
    assert_int_equal(tls_handshake(c), TLS_AGAIN);
    size_t len = tls_out(c)->bytes;
    memcpy(hello, outq_front(tls_out(c)).data, len);
    for (int i = 0; i < 300; i++) {
        char damaged[4096];
        memcpy(damaged, hello, len);
        for (int k = 0; k < 3; k++)
            damaged[random_below(&r, (uint32_t)len)] = (char)random_next(&r);
        struct tls *t = tls_accept(f->server, &f->pair.loop);
        tls_give(t, damaged, len);
        assert_int_not_equal(tls_handshake(t), TLS_OK);
        tls_free(t);
    }
    tls_free(c);
}

static void test_garbage_after_handshake(void **state)
{
    struct fixture *f = *state;
    char            to[100];
    size_t          n;
    connect_both(f, 0);
    tls_give(f->pair.server.tls, "\x17\x03\x03\x00\x12nonsense-nonsense-", 23);
    assert_int_equal(tls_read(f->pair.server.tls, to, sizeof(to), &n), TLS_BROKEN);
    assert_string_not_equal(tls_failure(f->pair.server.tls), "");
    assert_false(outq_is_empty(tls_out(f->pair.server.tls))); /* the alert */
    struct iovec iov = { to, 10 };
    assert_int_equal(tls_write(f->pair.server.tls, &iov, 1), TLS_BROKEN);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_handshake),        TEST(test_handshake_in_pieces),
        TEST(test_bulk_both_ways),   TEST(test_head_and_body_share_a_record),
        TEST(test_nothing_to_write), TEST(test_records_grow_and_shrink),
        TEST(test_paused_reading),   TEST(test_close_notify),
        TEST(test_truncated),        TEST(test_truncated_record),
        TEST(test_end_in_handshake), TEST(test_garbage_in_handshake),
        TEST(test_damaged_hello),    TEST(test_garbage_after_handshake),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
