/* SPDX-License-Identifier: Apache-2.0
 *
 * Cached time. See clock.h.
 */
#include "base/clock.h"

#include <stdio.h>

uint64_t clock_mono_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

int64_t clock_wall_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void make_texts(struct clock *c, time_t second)
{
    static const char days[] = "SunMonTueWedThuFriSat";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    struct tm         t;
    gmtime_r(&second, &t);
    unsigned year = (unsigned)(t.tm_year + 1900) % 10000, mon = (unsigned)(t.tm_mon + 1) % 100;
    unsigned day = (unsigned)t.tm_mday % 100, h = (unsigned)t.tm_hour % 100;
    unsigned m = (unsigned)t.tm_min % 100, s = (unsigned)t.tm_sec % 100;
    snprintf(c->http_date, sizeof(c->http_date), "%.3s, %02u %.3s %04u %02u:%02u:%02u GMT",
             days + 3 * t.tm_wday, day, months + 3 * t.tm_mon, year, h, m, s);
    snprintf(c->iso_seconds, sizeof(c->iso_seconds), "%04u-%02u-%02uT%02u:%02u:%02u", year, mon,
             day, h, m, s);
    snprintf(c->log_date, sizeof(c->log_date), "%02u/%.3s/%04u:%02u:%02u:%02u +0000", day,
             months + 3 * t.tm_mon, year, h, m, s);
    c->text_second = second;
}

void clock_refresh(struct clock *c)
{
    c->now_ns = clock_mono_ns();
    c->now_ms = c->now_ns / 1000000u;
    c->wall_us = clock_wall_us();
    int64_t second = c->wall_us / 1000000;
    if (second != c->text_second) make_texts(c, (time_t)second);
}
