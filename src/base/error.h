/* SPDX-License-Identifier: Apache-2.0
 *
 * One error message for a person, made where the fault is found and printed
 * once by the layer that gives up.
 */
#pragma once

struct error {
    char text[512];
};

/* Both return false, so that a function can `return error_set(...)`. */
_Bool error_set(struct error *e, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Puts "prefix: " before what is there. */
_Bool error_wrap(struct error *e, const char *format, ...) __attribute__((format(printf, 2, 3)));
