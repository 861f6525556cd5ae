/* SPDX-License-Identifier: Apache-2.0
 *
 * A view of bytes that somebody else owns. Not terminated by NUL. Copy a slice
 * freely; what it points to must outlive it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

struct slice {
    const char *data;
    size_t      len;
};

/* A slice of a string literal; usable in static initialisers. */
/* clang-format off */
#define SLICE(literal) { (literal), sizeof(literal) - 1 }
/* clang-format on */
/* The same as an expression. */
#define S(literal) ((struct slice)SLICE(literal))
/* For printf("%.*s"). */
#define SLICE_ARG(s) (int)(s).len, (s).data

static inline struct slice slice_of(const char *text)
{
    return (struct slice){ text, text ? strlen(text) : 0 };
}

static inline struct slice slice_make(const char *data, size_t len)
{
    return (struct slice){ data, len };
}

static inline bool slice_eq(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

/* ASCII case is ignored. */
static inline bool slice_eq_nocase(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || strncasecmp(a.data, b.data, a.len) == 0);
}

static inline bool slice_starts_with(struct slice s, struct slice prefix)
{
    return s.len >= prefix.len && (prefix.len == 0 || memcmp(s.data, prefix.data, prefix.len) == 0);
}

static inline bool slice_ends_with(struct slice s, struct slice suffix)
{
    return s.len >= suffix.len &&
           (suffix.len == 0 || memcmp(s.data + s.len - suffix.len, suffix.data, suffix.len) == 0);
}

/* `from` must not be past the end. */
static inline struct slice slice_from(struct slice s, size_t from)
{
    if (!from) return s; /* data may be NULL */
    return (struct slice){ s.data + from, s.len - from };
}

/* Of a hexadecimal digit; -1: it is none. */
static inline int hex_value(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Index of the first `c`, or s.len when there is none. */
static inline size_t slice_find(struct slice s, char c)
{
    const char *at = s.len ? memchr(s.data, c, s.len) : NULL;
    return at ? (size_t)(at - s.data) : s.len;
}
