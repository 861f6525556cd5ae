/* SPDX-License-Identifier: Apache-2.0
 *
 * Error messages. See error.h.
 */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

_Bool error_set(struct error *e, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(e->text, sizeof(e->text), format, args);
    va_end(args);
    return 0;
}

_Bool error_wrap(struct error *e, const char *format, ...)
{
    char    inner[sizeof(e->text)];
    va_list args;
    memcpy(inner, e->text, sizeof(inner));
    va_start(args, format);
    int n = vsnprintf(e->text, sizeof(e->text), format, args);
    va_end(args);
    if (n >= 0 && (size_t)n < sizeof(e->text))
        snprintf(e->text + n, sizeof(e->text) - (size_t)n, ": %.480s", inner);
    return 0;
}
