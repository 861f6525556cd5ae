/* SPDX-License-Identifier: Apache-2.0
 *
 * Allocation that cannot fail: out of memory aborts, and the supervisor
 * restarts the worker process. Input is bounded instead (docs/design/principles.md).
 */
#pragma once

#include <stddef.h>

#include "base/slice.h"

/* Free the result with free(). Zeroed: mem_zalloc. */
void *mem_alloc(size_t bytes) __attribute__((malloc, returns_nonnull, warn_unused_result));
void *mem_zalloc(size_t bytes) __attribute__((malloc, returns_nonnull, warn_unused_result));
/* `align` is a power of two; zeroed. */
void *mem_zalloc_aligned(size_t align, size_t bytes)
    __attribute__((malloc, returns_nonnull, warn_unused_result));
void *mem_realloc(void *old, size_t bytes) __attribute__((returns_nonnull, warn_unused_result));
char *mem_strdup(const char *text) __attribute__((malloc, returns_nonnull, warn_unused_result));
/* A NUL-terminated copy. */
char *mem_slicedup(struct slice s) __attribute__((malloc, returns_nonnull, warn_unused_result));
