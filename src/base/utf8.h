/* SPDX-License-Identifier: Apache-2.0
 *
 * UTF-8 as RFC 3629 has it: no overlong form, no surrogate, nothing past U+10FFFF.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Bytes of the character at the front of `left` (at least one) and what it is; 0: it is none. */
size_t utf8_decode(const char *text, size_t left, uint32_t *point);
