/* SPDX-License-Identifier: Apache-2.0
 *
 * Accept-Encoding: one field a line. Weights are within their bounds, and the order of
 * white space makes no difference.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "http/accept_encoding.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_fields(struct slice text, bool is_padded, struct coding_weights *w)
{
    struct http_fields f = { 0 };
    struct arena       a;
    arena_init(&a, NULL);
    while (text.len) {
        struct slice line = slice_make(text.data, slice_find(text, '\n'));
        text = slice_from(text, line.len < text.len ? line.len + 1 : line.len);
        if (f.count == 100) break;
        if (is_padded) line = arena_printf(&a, " \t%.*s\t ", SLICE_ARG(line));
        http_fields_set(&f, &a, FIELD_ACCEPT, line);
        http_fields_add(&f, &a, FIELD_ACCEPT_ENCODING, S("accept-encoding"), line);
    }
    http_accept_encoding(&f, w);
    arena_reset(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct coding_weights w, padded;
    char                 *copy = mem_alloc(size + !size);
    memcpy(copy, data, size);
    read_fields(slice_make(copy, size), false, &w);
    if (!memchr(copy, 0, size)) {
        read_fields(slice_make(copy, size), true, &padded);
        if (memcmp(&w, &padded, sizeof(w)) != 0) abort();
    }
    for (size_t i = 0; i < CODING_COUNT; i++)
        if (w.of[i] > 1000) abort();
    free(copy);
    return 0;
}
