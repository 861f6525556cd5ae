/* SPDX-License-Identifier: Apache-2.0
 *
 * Allocation that cannot fail. See memory.h.
 */
#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>

static void *checked(void *got, size_t bytes)
{
    if (!got) {
        fprintf(stderr, "wharfgate: out of memory (%zu bytes)\n", bytes);
        abort();
    }
    return got;
}

void *mem_alloc(size_t bytes)
{
    return checked(malloc(bytes ? bytes : 1), bytes);
}

void *mem_zalloc(size_t bytes)
{
    return checked(calloc(1, bytes ? bytes : 1), bytes);
}

void *mem_zalloc_aligned(size_t align, size_t bytes)
{
    size_t rounded = (bytes + align - 1) & ~(align - 1); /* C11 wants a multiple */
    void  *got = checked(aligned_alloc(align, rounded), bytes);
    return memset(got, 0, rounded);
}

void *mem_realloc(void *old, size_t bytes)
{
    return checked(realloc(old, bytes ? bytes : 1), bytes);
}

char *mem_slicedup(struct slice s)
{
    char *copy = mem_alloc(s.len + 1);
    if (s.len) memcpy(copy, s.data, s.len);
    copy[s.len] = '\0';
    return copy;
}

char *mem_strdup(const char *text)
{
    return mem_slicedup(slice_of(text));
}
