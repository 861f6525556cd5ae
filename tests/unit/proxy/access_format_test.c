/* SPDX-License-Identifier: Apache-2.0
 *
 * Lines of the access log: what they say, and that no bytes of a client's
 * break out of their field.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/random.h"
#include "proxy/access_log.h"

static const struct clock noon = {
    .wall_us = 1795258800000000 + 7042,
    .iso_seconds = "2026-11-21T12:20:00",
    .log_date = "21/Nov/2026:12:20:00 +0000",
};

static struct access_record usual(void)
{
    return (struct access_record){
        .client = S("203.0.113.7"),
        .method = S("GET"),
        .host = S("herald.example"),
        .target = S("/api/items?page=2"),
        .protocol = S("HTTP/1.1"),
        .status = 200,
        .request_bytes = 0,
        .response_bytes = 12345678901,
        .queue_us = 0,
        .connect_us = 989,
        .first_byte_us = 1234,
        .total_us = 20000001,
        .upstream = S("backend"),
        .endpoint = S("10.0.0.7:8000"),
        .retries = 1,
        .tls = S("TLSv1.3"),
        .request_id = S("0123456789abcdef"),
        .route = S("api"),
        .user_agent = S("curl/7.88.1"),
        .listener = S("https"),
    };
}

static const char *line(size_t (*format)(char *, const struct clock *,
                                         const struct access_record *),
                        const struct access_record *r)
{
    static char text[ACCESS_LINE_MAX + 1];
    text[format(text, &noon, r)] = '\0';
    return text;
}

static void json_says_all(void **state)
{
    (void)state;
    struct access_record r = usual();
    assert_string_equal(
        line(access_format_json, &r),
        "{\"time\":\"2026-11-21T12:20:00.007Z\",\"client\":\"203.0.113.7\",\"method\":\"GET\","
        "\"host\":\"herald.example\",\"path\":\"/api/items?page=2\",\"protocol\":\"HTTP/1.1\","
        "\"status\":200,\"request_bytes\":0,\"response_bytes\":12345678901,\"queue_ms\":0.000,"
        "\"connect_ms\":0.989,\"first_byte_ms\":1.234,\"total_ms\":20000.001,\"route\":\"api\","
        "\"upstream\":\"backend\",\"endpoint\":\"10.0.0.7:8000\",\"retries\":1,\"tls\":\"TLSv1.3\","
        "\"request_id\":\"0123456789abcdef\",\"listener\":\"https\","
        "\"user_agent\":\"curl/7.88.1\"}\n");
}

static void json_leaves_out_what_is_not_known(void **state)
{
    (void)state;
    struct access_record r = { .reason = S("header_timeout"),
                               .queue_us = ACCESS_TIME_NONE,
                               .connect_us = ACCESS_TIME_NONE,
                               .first_byte_us = ACCESS_TIME_NONE,
                               .total_us = 5 };
    assert_string_equal(line(access_format_json, &r),
                        "{\"time\":\"2026-11-21T12:20:00.007Z\",\"request_bytes\":0,"
                        "\"response_bytes\":0,\"total_ms\":0.005,\"retries\":0,"
                        "\"reason\":\"header_timeout\"}\n");
}

static void combined_is_apaches(void **state)
{
    (void)state;
    struct access_record r = usual();
    assert_string_equal(line(access_format_combined, &r),
                        "203.0.113.7 - - [21/Nov/2026:12:20:00 +0000] "
                        "\"GET /api/items?page=2 HTTP/1.1\" 200 12345678901 \"-\" "
                        "\"curl/7.88.1\"\n");
    r = (struct access_record){ .client = S("::1"), .user_agent = S("a\"\\\n\x80\x7f z") };
    assert_string_equal(line(access_format_combined, &r),
                        "::1 - - [21/Nov/2026:12:20:00 +0000] \"-\" - 0 \"-\" "
                        "\"a\\x22\\x5c\\x0a\\x80\\x7f z\"\n");
}

static void numbers_of_every_length(void **state)
{
    (void)state;
    uint64_t n = 0;
    for (int digits = 0; digits < 20; digits++, n = n * 10 + (uint64_t)(digits % 9) + 1) {
        struct access_record r = { .response_bytes = n, .request_bytes = UINT64_MAX };
        char                 want[96];
        snprintf(want, sizeof(want),
                 ",\"request_bytes\":18446744073709551615,\"response_bytes\":%llu,",
                 (unsigned long long)n);
        assert_non_null(strstr(line(access_format_json, &r), want));
    }
}

static void texts_are_cut(void **state)
{
    (void)state;
    static char          text[20000];
    struct access_record r = { .user_agent = { text, 1025 }, .target = { text, sizeof(text) } };
    memset(text, 'a', sizeof(text));
    const char *got = line(access_format_json, &r);
    assert_non_null(strstr(got, "aaa...\"}\n"));
    assert_true(strlen(got) < 8192 + 1024 + 300);
    memset(text, 1, sizeof(text));
    got = line(access_format_json, &r);
    assert_non_null(strstr(got, "\\u0001...\"}\n"));
}

/* ---- no forging ---- */

static unsigned hex_of(const char *s)
{
    char text[3] = { s[0], s[1], 0 };
    return (unsigned)strtoul(text, NULL, 16);
}

/* Reads a JSON string as RFC 8259 has it; `s` is behind its opening quote. Fails the test
 * when it is none. Returns what is behind the closing quote. */
static const char *read_string(const char *s, char *to)
{
    for (; *s != '"'; s++) {
        assert_true((unsigned char)*s >= 0x20);
        if (*s != '\\') {
            *to++ = *s;
        } else if (s[1] == 'u') {
            assert_memory_equal(s + 2, "00", 2);
            *to++ = (char)hex_of(s + 4);
            s += 5;
        } else {
            assert_true(s[1] == '"' || s[1] == '\\');
            *to++ = *++s;
        }
    }
    *to = '\0';
    return s + 1;
}

static void json_gives_back_any_ascii(void **state)
{
    (void)state;
    struct random random;
    random_init(&random);
    for (int round = 0; round < 20000; round++) {
        char     text[64], back[512];
        uint32_t len = 1 + random_below(&random, 48);
        /* Mostly plain, so that the fast way is taken up to some point. */
        for (uint32_t i = 0; i < len; i++)
            text[i] = (char)(random_below(&random, 16) ? 'a' + random_below(&random, 26)
                                                       : 1 + random_below(&random, 127));
        struct access_record r = { .user_agent = { text, len }, .referer = S("end") };
        const char          *got = strstr(line(access_format_json, &r), ",\"user_agent\":\"");
        assert_non_null(got);
        got = read_string(got + strlen(",\"user_agent\":\""), back);
        assert_string_equal(got, ",\"referer\":\"end\"}\n");
        assert_int_equal(strlen(back), len);
        assert_memory_equal(back, text, len);
    }
}

static void each_unclean_byte_at_each_place(void **state)
{
    (void)state;
    for (unsigned c = 0; c < 256; c++) {
        bool is_clean = c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
        for (size_t len = 1; len < 40; len++)
            for (size_t at = 0; at < len; at++) {
                char text[40];
                memset(text, 'x', sizeof(text));
                text[at] = (char)c;
                struct access_record r = { .referer = { text, len } };
                const char          *got = strstr(line(access_format_combined, &r), "- 0 \"");
                char                 want[64];
                if (is_clean)
                    snprintf(want, sizeof(want), "- 0 \"%.*s\" \"-\"\n", (int)len, text);
                else
                    snprintf(want, sizeof(want), "- 0 \"%.*s\\x%02x%.*s\" \"-\"\n", (int)at, text,
                             c, (int)(len - at - 1), text + at + 1);
                assert_non_null(got);
                if (strcmp(got, want) != 0) fail_msg("%s is not %s", got, want);
            }
    }
}

#define BECOMES(from, to)                                                                          \
    do {                                                                                           \
        struct access_record r = { .referer = S(from) };                                           \
        const char          *got = strstr(line(access_format_json, &r), ",\"referer\":");          \
        assert_string_equal(got, ",\"referer\":\"" to "\"}\n");                                    \
    } while (0)

static void json_is_utf8(void **state)
{
    (void)state;
    /* The byte that would complete it is another's. */
    struct access_record half = { .referer = { "\xc3\xa9", 1 } };
    assert_non_null(strstr(line(access_format_json, &half), "\"\xef\xbf\xbd\"}\n"));
    BECOMES("caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80",
            "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80");
    BECOMES("\xff", "\xef\xbf\xbd");
    BECOMES("\xc3", "\xef\xbf\xbd");
    BECOMES("\xc3\"", "\xef\xbf\xbd\\\"");
    BECOMES("\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd");
    BECOMES("\xe0\x80\xaf", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
    BECOMES("\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
    BECOMES("\xf4\x90\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
    BECOMES("\xf8\x88\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
    BECOMES("\xc2\x9b"
            "31m\x1b[0m",
            "\\u009b31m\\u001b[0m");
    BECOMES("a\nb", "a\\u000ab");
    BECOMES("sixteen bytes are\n", "sixteen bytes are\\u000a");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_says_all),
        cmocka_unit_test(json_leaves_out_what_is_not_known),
        cmocka_unit_test(combined_is_apaches),
        cmocka_unit_test(numbers_of_every_length),
        cmocka_unit_test(texts_are_cut),
        cmocka_unit_test(json_gives_back_any_ascii),
        cmocka_unit_test(each_unclean_byte_at_each_place),
        cmocka_unit_test(json_is_utf8),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
