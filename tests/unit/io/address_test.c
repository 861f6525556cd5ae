/* SPDX-License-Identifier: Apache-2.0
 *
 * Addresses as text and as the kernel has them; networks.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <net/if.h>
#include <stdio.h>
#include <sys/un.h>

#include "io/address.h"

static struct arena arena;

static bool parse(struct address *a, const char *text, struct error *e)
{
    e->text[0] = '\0';
    return address_parse(a, slice_of(text), &arena, e);
}

static void networks_are_written(void **state)
{
    (void)state;
    static const struct {
        const char *address;
        unsigned    bits;
        const char *net;
    } rows[] = {
        { "2001:db8:1:2:3:4:5:6", 64, "2001:db8:1:2::/64" },
        { "2001:db8:1:2:3:4:5:6", 16, "2001::/16" },
        { "2001:db8:1:2:3:4:5:6", 48, "2001:db8:1::/48" },
        { "2001:db8:1:ff:3:4:5:6", 57, "2001:db8:1:80::/57" },
        { "2001:db8:1:ff:3:4:5:6", 63, "2001:db8:1:fe::/63" },
        { "2001:db8:1:ff:3:4:5:6", 61, "2001:db8:1:f8::/61" },
        { "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 127,
          "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe/127" },
        { "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 128,
          "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128" },
        { "fe80::1%1", 64, "fe80::/64" },
        { "::1", 64, "::/64" },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct address a;
        struct error   e;
        char           text[ADDRESS_TEXT_MAX], given[ADDRESS_TEXT_MAX];
        snprintf(given, sizeof(given), "[%s]:1", rows[i].address);
        assert_true(parse(&a, given, &e));
        assert_int_equal(address_format_net(&a, rows[i].bits, text), strlen(rows[i].net));
        assert_string_equal(text, rows[i].net);
    }
}

static void mapped_addresses_become_ipv4(void **state)
{
    (void)state;
    static const uint8_t zero[12];
    struct address       a;
    struct error         e;
    char                 text[ADDRESS_TEXT_MAX];
    assert_true(parse(&a, "[::ffff:192.0.2.1]:80", &e));
    address_unmap(&a);
    address_format(&a, text);
    assert_string_equal(text, "192.0.2.1:80");
    assert_memory_equal(a.ip + 4, zero, sizeof(zero)); /* equal to the plain one, byte by byte */
    assert_true(parse(&a, "[::fffe:192.0.2.1]:80", &e));
    address_unmap(&a);
    assert_int_equal(a.family, ADDRESS_V6);
}

static void reads_and_writes(void **state)
{
    (void)state;
    static const struct {
        const char *text, *written, *ip;
        uint8_t     family;
        uint16_t    port;
    } rows[] = {
        { "10.0.0.1:80", "10.0.0.1:80", "10.0.0.1", ADDRESS_V4, 80 },
        { "255.255.255.255:65535", "255.255.255.255:65535", "255.255.255.255", ADDRESS_V4, 65535 },
        { "0.0.0.0:0", "0.0.0.0:0", "0.0.0.0", ADDRESS_V4, 0 },
        { "[::1]:443", "[::1]:443", "::1", ADDRESS_V6, 443 },
        { "[2001:DB8:0:0::1]:8443", "[2001:db8::1]:8443", "2001:db8::1", ADDRESS_V6, 8443 },
        { "[fe80::1%1]:80", "[fe80::1%1]:80", "fe80::1%1", ADDRESS_V6, 80 },
        { "[fe80::1%lo]:80", "[fe80::1%1]:80", "fe80::1%1", ADDRESS_V6, 80 },
        { ":8080", "[::]:8080", "::", ADDRESS_V6, 8080 },
        { "*:8080", "[::]:8080", "::", ADDRESS_V6, 8080 },
        { "unix:/run/a.sock", "unix:/run/a.sock", "unix:", ADDRESS_UNIX, 0 },
        { "unix:@name", "unix:@name", "unix:", ADDRESS_UNIX, 0 },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct address a, again;
        struct error   e;
        char           text[ADDRESS_TEXT_MAX];
        assert_true(parse(&a, rows[i].text, &e));
        assert_int_equal(a.family, rows[i].family);
        assert_int_equal(a.port, rows[i].port);
        assert_int_equal(address_format(&a, text), strlen(rows[i].written));
        assert_string_equal(text, rows[i].written);
        assert_true(parse(&again, text, &e));
        assert_true(address_eq(&a, &again));
        assert_int_equal(address_format_ip(&a, text), strlen(rows[i].ip));
        assert_string_equal(text, rows[i].ip);
    }
}

static void refuses(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
    } rows[] = {
        { "", "expected address:port" },
        { "localhost", "expected address:port" },
        { "localhost:80", "is not an IP address" },
        { "10.0.0.1", "the port is missing" },
        { "::1", "[::1]:80" },
        { "::1:80", "the port is missing" },
        { "[::1]", "expected address:port" },
        { "[::1]80", "expected address:port" },
        { "[::1", "expected address:port" },
        { "[10.0.0.1]:80", "is not an IP address" },
        { "[]:80", "is not an IP address" },
        { "10.0.0.1:", "is not a port" },
        { "10.0.0.1:65536", "is not a port" },
        { "10.0.0.1:000080", "is not a port" },
        { "10.0.0.1:-1", "is not a port" },
        { "10.0.0.1:8o", "is not a port" },
        { "10.0.0:80", "is not an IP address" },
        { "10.0.0.256:80", "is not an IP address" },
        { "[fe80::1%nosuchif]:80", "is not an IP address" },
        { "unix:", "starts with /" },
        { "unix:relative", "starts with /" },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct address a;
        struct error   e;
        assert_false(parse(&a, rows[i].text, &e));
        assert_non_null(strstr(e.text, rows[i].says));
        assert_int_equal(a.family, ADDRESS_NONE);
    }
}

static void refuses_long_paths_and_nul(void **state)
{
    (void)state;
    struct address a;
    struct error   e;
    char           path[200];
    memset(path, 'a', sizeof(path));
    memcpy(path, "unix:/", 6);
    path[5 + 107] = '\0';
    assert_true(parse(&a, path, &e));
    path[5 + 107] = 'a';
    path[5 + 108] = '\0';
    assert_false(parse(&a, path, &e));
    assert_non_null(strstr(e.text, "at most 107"));
    assert_false(address_parse(&a, slice_make("unix:/a\0b", 9), &arena, &e));
    assert_false(address_parse(&a, slice_make("10.0.0.1\0:80", 12), &arena, &e));
}

static void a_long_path_is_cut_in_print(void **state)
{
    (void)state;
    char           path[100], text[ADDRESS_TEXT_MAX];
    struct address a = { .family = ADDRESS_UNIX, .path = path };
    memset(path, 'a', sizeof(path));
    path[0] = '/';
    path[99] = '\0';
    assert_int_equal(address_format(&a, text), ADDRESS_TEXT_MAX - 1);
    assert_int_equal(strlen(text), ADDRESS_TEXT_MAX - 1);
}

/* The widest there is must fit. */
static void the_longest_ip_fits(void **state)
{
    (void)state;
    char           text[ADDRESS_TEXT_MAX];
    struct address a = { .family = ADDRESS_V6, .port = 65535, .scope = UINT32_MAX };
    memset(a.ip, 0xab, sizeof(a.ip));
    address_format(&a, text);
    assert_string_equal(text, "[abab:abab:abab:abab:abab:abab:abab:abab%4294967295]:65535");
}

static void splits_names(void **state)
{
    (void)state;
    struct slice host;
    uint16_t     port = 0;
    assert_true(address_split(S("app-1.example_x:8080"), &host, &port));
    assert_true(slice_eq(host, S("app-1.example_x")));
    assert_int_equal(port, 8080);
    static const char *const not_names[] = { "10.0.0.1:80", "[::1]:80", ":80",      "*:80",
                                             "unix:/a",     "app",      "app:",     "app:99999",
                                             "a b:80",      "a/b:80",   "1.2.3:80", "[app]:80" };
    for (size_t i = 0; i < sizeof(not_names) / sizeof(not_names[0]); i++)
        assert_false(address_split(slice_of(not_names[i]), &host, &port));
}

static void goes_through_sockaddr(void **state)
{
    (void)state;
    static const char *const rows[] = { "10.1.2.3:80", "[2001:db8::5]:443", "[fe80::1%1]:1" };
    struct sockaddr_storage  sa;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct address a, b;
        struct error   e;
        assert_true(parse(&a, rows[i], &e));
        socklen_t len = address_to_sockaddr(&a, &sa);
        assert_true(len > 0);
        address_from_sockaddr(&b, (struct sockaddr *)&sa, len);
        assert_true(address_eq(&a, &b));
        address_from_sockaddr(&b, (struct sockaddr *)&sa, 1);
        assert_int_equal(b.family, ADDRESS_NONE);
    }
}

static void mapped_ipv6_is_ipv4(void **state)
{
    (void)state;
    struct address          a, b;
    struct sockaddr_storage sa;
    struct error            e;
    assert_true(parse(&a, "[::ffff:10.1.2.3]:80", &e));
    socklen_t len = address_to_sockaddr(&a, &sa);
    address_from_sockaddr(&b, (struct sockaddr *)&sa, len);
    assert_int_equal(b.family, ADDRESS_V4);
    assert_true(parse(&a, "10.1.2.3:80", &e));
    assert_true(address_eq(&a, &b));
}

static void unix_paths_for_the_kernel(void **state)
{
    (void)state;
    struct sockaddr_storage   sa;
    const struct sockaddr_un *un = (const struct sockaddr_un *)&sa;
    struct address            a = { .family = ADDRESS_UNIX, .path = "/run/x" };
    assert_int_equal(address_to_sockaddr(&a, &sa), offsetof(struct sockaddr_un, sun_path) + 7);
    assert_string_equal(un->sun_path, "/run/x");
    a.path = "@abc";
    assert_int_equal(address_to_sockaddr(&a, &sa), offsetof(struct sockaddr_un, sun_path) + 4);
    assert_memory_equal(un->sun_path, "\0abc", 4);
    a.path = NULL;
    assert_int_equal(address_to_sockaddr(&a, &sa), 0);
    a.family = ADDRESS_NONE;
    assert_int_equal(address_to_sockaddr(&a, &sa), 0);
    address_from_sockaddr(&a, (const struct sockaddr *)&(struct sockaddr_un){ AF_UNIX, "" },
                          sizeof(sa_family_t));
    assert_int_equal(a.family, ADDRESS_UNIX);
}

static bool has(const char *network, const char *ip)
{
    struct cidr     c;
    struct cidr_set set = { &c, 1 };
    struct address  a = { .family = ADDRESS_UNIX };
    struct error    e;
    char            text[ADDRESS_TEXT_MAX + 8];
    assert_true(cidr_parse(&c, slice_of(network), &e));
    if (strcmp(ip, "unix") != 0) {
        snprintf(text, sizeof(text), strchr(ip, ':') ? "[%s]:1" : "%s:1", ip);
        assert_true(parse(&a, text, &e));
    }
    return cidr_set_has(&set, &a);
}

static void networks(void **state)
{
    (void)state;
    assert_true(has("10.0.0.0/8", "10.255.0.1"));
    assert_false(has("10.0.0.0/8", "11.0.0.1"));
    assert_true(has("10.1.2.3", "10.1.2.3"));
    assert_false(has("10.1.2.3", "10.1.2.4"));
    assert_true(has("0.0.0.0/0", "1.2.3.4"));
    assert_false(has("0.0.0.0/0", "::1"));
    assert_true(has("192.168.4.0/22", "192.168.7.255"));
    assert_false(has("192.168.4.0/22", "192.168.8.0"));
    assert_true(has("2001:db8::/33", "2001:db8:7fff::1"));
    assert_false(has("2001:db8::/33", "2001:db8:8000::1"));
    assert_true(has("::1/128", "::1"));
    assert_true(has("unix", "unix"));
    assert_false(has("unix", "127.0.0.1"));
    assert_false(has("::/0", "unix"));
    assert_false(
        cidr_set_has(&(struct cidr_set){ NULL, 0 }, &(struct address){ .family = ADDRESS_V4 }));
}

static void refuses_networks(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "",        "10.0.0.0/33",  "10.0.0.1/8", "::1/129",        "10.0.0.0/", "host",
        "::1/127", "10.0.0.0/8/8", "10.0.0.0/a", "192.168.5.0/22", "fe80::1%lo"
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct cidr  c;
        struct error e;
        assert_false(cidr_parse(&c, slice_of(rows[i]), &e));
    }
}

static int reset_arena(void **state)
{
    (void)state;
    arena_reset(&arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(networks_are_written),
        cmocka_unit_test(mapped_addresses_become_ipv4),
        cmocka_unit_test(reads_and_writes),
        cmocka_unit_test(refuses),
        cmocka_unit_test(refuses_long_paths_and_nul),
        cmocka_unit_test(a_long_path_is_cut_in_print),
        cmocka_unit_test(the_longest_ip_fits),
        cmocka_unit_test(splits_names),
        cmocka_unit_test(goes_through_sockaddr),
        cmocka_unit_test(mapped_ipv6_is_ipv4),
        cmocka_unit_test(unix_paths_for_the_kernel),
        cmocka_unit_test(networks),
        cmocka_unit_test(refuses_networks),
    };
    arena_init(&arena, NULL);
    return cmocka_run_group_tests(tests, NULL, reset_arena);
}
