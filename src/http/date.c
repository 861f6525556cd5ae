/* SPDX-License-Identifier: Apache-2.0
 *
 * Dates. See date.h.
 */
#include "http/date.h"

#include <stdio.h>
#include <time.h>

static const char days[] = "SunMonTueWedThuFriSat";
static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

/* Of the years 1 and 9999. */
static const int64_t first_second = -62135596800, last_second = 253402300799;

void http_date_write(char to[HTTP_DATE_BYTES], int64_t seconds)
{
    char      text[64];
    time_t    second = (time_t)(seconds < first_second  ? first_second
                                : seconds > last_second ? last_second
                                                        : seconds);
    struct tm t;
    gmtime_r(&second, &t);
    snprintf(text, sizeof(text), "%.3s, %02d %.3s %04d %02d:%02d:%02d GMT", days + 3 * t.tm_wday,
             t.tm_mday, months + 3 * t.tm_mon, t.tm_year + 1900, t.tm_hour, t.tm_min, t.tm_sec);
    memcpy(to, text, HTTP_DATE_BYTES);
}

/* What the pattern says: "9" a digit, "_" a digit or a space, "a" a letter, others themselves. */
static bool looks_like(struct slice text, const char *pattern)
{
    if (text.len != strlen(pattern)) return false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i], p = pattern[i];
        bool is_digit = c >= '0' && c <= '9';
        bool is_letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        bool fits = p == '9'   ? is_digit
                    : p == '_' ? is_digit || c == ' '
                    : p == 'a' ? is_letter
                               : c == p;
        if (!fits) return false;
    }
    return true;
}

static int two(const char *s)
{
    return (s[0] == ' ' ? 0 : s[0] - '0') * 10 + s[1] - '0';
}

/* 0 to 11, or -1. */
static int month_of(const char *s)
{
    for (int m = 0; m < 12; m++)
        if (memcmp(s, months + (size_t)m * 3, 3) == 0) return m;
    return -1;
}

static bool to_seconds(struct tm *t, int64_t *seconds)
{
    struct tm given = *t;
    if (t->tm_mon < 0 || t->tm_hour > 23 || t->tm_min > 59 || t->tm_sec > 60) return false;
    *seconds = timegm(t);
    /* 30 February would be another day. */
    return given.tm_mday == t->tm_mday || given.tm_sec == 60;
}

static void set_time(struct tm *t, const char *s)
{
    t->tm_hour = two(s);
    t->tm_min = two(s + 3);
    t->tm_sec = two(s + 6);
}

/* A year of two digits that seems to be more than 50 years ahead is past. */
static int whole_year(int year)
{
    time_t    now = time(NULL);
    struct tm t;
    gmtime_r(&now, &t);
    year += t.tm_year / 100 * 100;
    return year > t.tm_year + 50 ? year - 100 : year;
}

bool http_date_read(struct slice text, int64_t *seconds)
{
    const char *s = text.data, *end = s + text.len;
    struct tm   t = { 0 };
    if (looks_like(text, "aaa, 99 aaa 9999 99:99:99 GMT")) {
        t.tm_mday = two(s + 5);
        t.tm_mon = month_of(s + 8);
        t.tm_year = two(s + 12) * 100 + two(s + 14) - 1900;
        set_time(&t, s + 17);
        return to_seconds(&t, seconds);
    }
    if (looks_like(text, "aaa aaa _9 99:99:99 9999")) { /* asctime() */
        t.tm_mday = two(s + 8);
        t.tm_mon = month_of(s + 4);
        t.tm_year = two(s + 20) * 100 + two(s + 22) - 1900;
        set_time(&t, s + 11);
        return to_seconds(&t, seconds);
    }
    size_t comma = slice_find(text, ',');
    if (comma < 6 || !looks_like(slice_from(text, comma), ", 99-aaa-99 99:99:99 GMT")) return false;
    s = end - 24; /* RFC 850 */
    t.tm_mday = two(s + 2);
    t.tm_mon = month_of(s + 5);
    t.tm_year = whole_year(two(s + 9));
    set_time(&t, s + 12);
    return to_seconds(&t, seconds);
}
