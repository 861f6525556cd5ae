/* SPDX-License-Identifier: Apache-2.0
 *
 * Request methods (RFC 9110 section 9). Names are case-sensitive.
 */
#include "http/message.h"

static const struct slice names[] = {
    [HTTP_METHOD_OTHER] = SLICE(""),   [HTTP_GET] = SLICE("GET"),
    [HTTP_HEAD] = SLICE("HEAD"),       [HTTP_POST] = SLICE("POST"),
    [HTTP_PUT] = SLICE("PUT"),         [HTTP_DELETE] = SLICE("DELETE"),
    [HTTP_CONNECT] = SLICE("CONNECT"), [HTTP_OPTIONS] = SLICE("OPTIONS"),
    [HTTP_TRACE] = SLICE("TRACE"),     [HTTP_PATCH] = SLICE("PATCH"),
};

static enum http_method match(struct slice name, enum http_method candidate)
{
    return memcmp(name.data, names[candidate].data, name.len) == 0 ? candidate : HTTP_METHOD_OTHER;
}

enum http_method http_method_lookup(struct slice name)
{
    switch (name.len) {
    case 3: return match(name, name.data[0] == 'G' ? HTTP_GET : HTTP_PUT);
    case 4: return match(name, name.data[0] == 'H' ? HTTP_HEAD : HTTP_POST);
    case 5: return match(name, name.data[0] == 'P' ? HTTP_PATCH : HTTP_TRACE);
    case 6: return match(name, HTTP_DELETE);
    case 7: return match(name, name.data[0] == 'O' ? HTTP_OPTIONS : HTTP_CONNECT);
    default: return HTTP_METHOD_OTHER;
    }
}

struct slice http_method_name(enum http_method m)
{
    return names[m];
}

bool http_method_is_idempotent(enum http_method m)
{
    return m != HTTP_METHOD_OTHER && m != HTTP_POST && m != HTTP_PATCH && m != HTTP_CONNECT;
}
