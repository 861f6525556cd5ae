/* SPDX-License-Identifier: Apache-2.0
 *
 * PROXY protocol: what is accepted byte by byte, what is refused and why, and
 * that what we write is what we read.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "io/proxy_protocol.h"

/* The literal's bytes without its NUL. */
#define BYTES(literal) literal, sizeof(literal) - 1
#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"

/* Whole, and cut short everywhere: then it must ask for more. */
static void parse(const char *data, size_t len, struct proxy_header *h)
{
    for (size_t cut = 0; cut < len; cut++)
        assert_int_equal(proxy_protocol_parse(data, cut, h), PROXY_NEEDS_MORE);
    assert_int_equal(proxy_protocol_parse(data, len, h), PROXY_COMPLETE);
    assert_int_equal(h->used, len);
    char more[PROXY_V2_MAX + 8];
    memcpy(more, data, len);
    memcpy(more + len, "\r\nGET /", 7);
    assert_int_equal(proxy_protocol_parse(more, len + 7, h), PROXY_COMPLETE);
    assert_int_equal(h->used, len);
}

static void expect_address(const struct address *a, const char *text)
{
    char got[ADDRESS_TEXT_MAX];
    address_format(a, got);
    assert_string_equal(got, text);
}

static void expect_invalid(const char *data, size_t len, const char *reason)
{
    struct proxy_header h;
    assert_int_equal(proxy_protocol_parse(data, len, &h), PROXY_INVALID);
    assert_string_equal(h.reason, reason);
}

static void version_1(void **state)
{
    (void)state;
    struct proxy_header h;
    parse(BYTES("PROXY TCP4 192.0.2.1 198.51.100.255 56324 443\r\n"), &h);
    assert_false(h.is_local);
    expect_address(&h.src, "192.0.2.1:56324");
    expect_address(&h.dst, "198.51.100.255:443");
    parse(BYTES("PROXY TCP6 2001:db8::1 ::1 0 65535\r\n"), &h);
    expect_address(&h.src, "[2001:db8::1]:0");
    expect_address(&h.dst, "[::1]:65535");
    parse(BYTES("PROXY TCP6 ::ffff:192.0.2.1 ::1 1 2\r\n"), &h);
    expect_address(&h.src, "192.0.2.1:1");
}

static void version_1_unknown(void **state)
{
    (void)state;
    struct proxy_header h;
    parse(BYTES("PROXY UNKNOWN\r\n"), &h);
    assert_true(h.is_local);
    parse(BYTES("PROXY UNKNOWN ffff::1 whatever 1 2\r\n"), &h);
    assert_true(h.is_local);
    assert_int_equal(h.src.family, ADDRESS_NONE);
    /* The longest line that the specification knows, and one more. */
    char line[PROXY_V1_MAX + 1];
    memset(line, 'f', sizeof(line));
    memcpy(line, BYTES("PROXY UNKNOWN "));
    memcpy(line + PROXY_V1_MAX - 2, "\r\n", 2);
    parse(line, PROXY_V1_MAX, &h);
    memcpy(line + PROXY_V1_MAX - 2, "f\r\n", 3);
    expect_invalid(line, PROXY_V1_MAX + 1, "proxy_protocol_too_long");
    expect_invalid(line, PROXY_V1_MAX, "proxy_protocol_too_long");
}

static void version_1_refused(void **state)
{
    (void)state;
    static const struct {
        const char *line, *reason;
    } rows[] = {
        { "PROXY TCP5 1.2.3.4 1.2.3.4 1 2\r\n", "proxy_protocol_bad_family" },
        { "PROXY  TCP4 1.2.3.4 1.2.3.4 1 2\r\n", "proxy_protocol_bad_family" },
        { "PROXY UNKNOWNS\r\n", "proxy_protocol_bad_family" },
        { "PROXY tcp4 1.2.3.4 1.2.3.4 1 2\r\n", "proxy_protocol_bad_family" },
        { "PROXY \r\n", "proxy_protocol_bad_family" },
        { "PROXY TCP4 1.2.3 1.2.3.4 1 2\r\n", "proxy_protocol_bad_address" },
        { "PROXY TCP4 1.2.3.4  1.2.3.4 1 2\r\n", "proxy_protocol_bad_address" },
        { "PROXY TCP4 ::1 ::1 1 2\r\n", "proxy_protocol_bad_address" },
        { "PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n", "proxy_protocol_bad_address" },
        { "PROXY TCP4 1.2.3.4\r\n", "proxy_protocol_bad_address" },
        { "PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n", "proxy_protocol_bad_port" },
        { "PROXY TCP4 1.2.3.4 1.2.3.4 1 \r\n", "proxy_protocol_bad_port" },
        { "PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n", "proxy_protocol_bad_port" },
        { "PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n", "proxy_protocol_bad_port" },
        { "PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n", "proxy_protocol_bad_port" },
        { "PROXY TCP4 1.2.3.4 1.2.3.4 -1 2\r\n", "proxy_protocol_bad_port" },
        { "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\r\n", "proxy_protocol_bad_port" },
        { "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n", "proxy_protocol_bad_line_end" },
        { "GET / HTTP/1.1\r\n", "proxy_protocol_missing" },
        { "PROXX", "proxy_protocol_missing" },
        { "\r\n\r\nG", "proxy_protocol_missing" },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        expect_invalid(rows[i].line, strlen(rows[i].line), rows[i].reason);
}

static void version_2(void **state)
{
    (void)state;
    struct proxy_header h;
    parse(BYTES(SIGNATURE "\x21\x11\0\x0c"
                          "\xc0\0\2\1\xc6\x33\x64\xff\xdc\x04\x01\xbb"),
          &h);
    assert_false(h.is_local);
    expect_address(&h.src, "192.0.2.1:56324");
    expect_address(&h.dst, "198.51.100.255:443");
    /* With a TLV behind the addresses. */
    parse(BYTES(SIGNATURE "\x21\x21\0\x2a"
                          "\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1"
                          "\0\0\0\0\0\0\0\0\0\0\xff\xff\x0a\1\2\3"
                          "\0\1\xff\xff"
                          "\4\0\3abc"),
          &h);
    expect_address(&h.src, "[2001:db8::1]:1");
    expect_address(&h.dst, "10.1.2.3:65535");
}

static void version_2_local_unix_and_unspecified(void **state)
{
    (void)state;
    struct proxy_header h;
    char                data[PROXY_V2_MAX] = SIGNATURE "\x21\x31\x00\xd8";
    parse(BYTES(SIGNATURE "\x20\0\0\0"), &h);
    assert_true(h.is_local);
    parse(BYTES(SIGNATURE "\x20\x11\0\1x"), &h);
    assert_true(h.is_local);
    parse(BYTES(SIGNATURE "\x21\0\0\2xx"), &h);
    assert_true(h.is_local);
    parse(BYTES(SIGNATURE "\x21\x12\0\2xx"), &h);
    assert_true(h.is_local);
    parse(data, 16 + 216, &h);
    assert_false(h.is_local);
    assert_int_equal(h.src.family, ADDRESS_UNIX);
    memcpy(data, BYTES(SIGNATURE "\x20\0\2\x08"));
    parse(data, PROXY_V2_MAX, &h);
}

static void version_2_refused(void **state)
{
    (void)state;
    expect_invalid(BYTES(SIGNATURE "\x31\x11\0\x0c"), "proxy_protocol_bad_version");
    expect_invalid(BYTES(SIGNATURE "\x22\x11\0\x0c"), "proxy_protocol_bad_command");
    expect_invalid(BYTES(SIGNATURE "\x21\x11\xff\xff"), "proxy_protocol_too_long");
    expect_invalid(BYTES(SIGNATURE "\x20\0\2\x09"), "proxy_protocol_too_long");
    expect_invalid(BYTES(SIGNATURE "\x21\x11\0\x0b"
                                   "12345678901"),
                   "proxy_protocol_too_short");
    expect_invalid(BYTES(SIGNATURE "\x21\x21\0\2xx"), "proxy_protocol_too_short");
    expect_invalid(BYTES(SIGNATURE "\x21\x31\0\2xx"), "proxy_protocol_too_short");
}

static struct address make(const char *text)
{
    struct address a;
    struct arena   arena;
    struct error   e;
    arena_init(&arena, NULL);
    assert_true(address_parse(&a, slice_of(text), &arena, &e));
    arena_reset(&arena);
    return a;
}

static void what_is_written_is_read(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        { "10.0.0.1:80", "10.0.0.2:65535" },
        { "[2001:db8::1]:1", "[::1]:2" },
        { "10.0.0.1:80", "[2001:db8::1]:443" },
        { "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535",
          "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535" },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct address src = make(rows[i][0]), dst = make(rows[i][1]);
        for (int version = 1; version <= 2; version++) {
            struct proxy_header h;
            char                buf[PROXY_WRITE_MAX];
            parse(buf, proxy_protocol_write(version, &src, &dst, buf), &h);
            assert_true(address_eq(&h.src, &src));
            assert_true(address_eq(&h.dst, &dst));
        }
    }
}

static void without_ip_it_speaks_for_itself(void **state)
{
    (void)state;
    struct address ip = make("10.0.0.1:80"), path = { .family = ADDRESS_UNIX };
    for (int version = 1; version <= 2; version++) {
        struct proxy_header h;
        char                buf[PROXY_WRITE_MAX];
        parse(buf, proxy_protocol_write(version, NULL, NULL, buf), &h);
        assert_true(h.is_local);
        parse(buf, proxy_protocol_write(version, &path, &ip, buf), &h);
        assert_true(h.is_local);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(version_1),
        cmocka_unit_test(version_1_unknown),
        cmocka_unit_test(version_1_refused),
        cmocka_unit_test(version_2),
        cmocka_unit_test(version_2_local_unix_and_unspecified),
        cmocka_unit_test(version_2_refused),
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(without_ip_it_speaks_for_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
