/* SPDX-License-Identifier: Apache-2.0
 *
 * Texts with parts of the request in them: ${client_ip}, ${header:X-User}. The one table of
 * those variables, which the reference is made from, and how a text is taken apart;
 * proxy/variables.c says what each of them is.
 *
 * A text is in template form once the environment's variables are in it (expand.h): "${" begins
 * a variable of this table, "$${" stands for itself.
 */
#pragma once

#include "base/arena.h"
#include "base/slice.h"

enum variable_id {
    VARIABLE_TEXT, /* none: a text as it stands */
    VARIABLE_CLIENT_IP,
    VARIABLE_CLIENT_PORT,
    VARIABLE_METHOD,
    VARIABLE_SCHEME,
    VARIABLE_HOST,
    VARIABLE_PATH,
    VARIABLE_QUERY,
    VARIABLE_URI,
    VARIABLE_HEADER,
    VARIABLE_COOKIE,
    VARIABLE_PARAMETER,
    VARIABLE_MATCH,
    VARIABLE_REQUEST_ID,
    VARIABLE_LISTENER,
    VARIABLE_ROUTE,
    VARIABLE_UPSTREAM,
    VARIABLE_ENDPOINT,
    VARIABLE_TLS_VERSION,
    VARIABLE_TLS_CIPHER,
    VARIABLE_TLS_SNI,
    VARIABLE_CLIENT_CERT_SUBJECT,
    VARIABLE_CLIENT_CERT_FINGERPRINT,
    VARIABLE_CLIENT_CERT_SERIAL,
    VARIABLE_TIME_ISO,
    VARIABLE_CSP_NONCE,
    VARIABLE_STATUS,
    VARIABLE_RESPONSE_HEADER,
    VARIABLE_COUNT
};

/* Where a variable is known. */
enum variable_use { VARIABLE_OF_REQUEST = 1, VARIABLE_OF_RESPONSE = 2, VARIABLE_OF_CSP = 4 };

struct variable {
    const char *name;
    bool        takes_name; /* after a colon: whose */
    unsigned    uses;       /* enum variable_use */
    const char *doc;
};

extern const struct variable variable_table[VARIABLE_COUNT];

struct template_piece {
    enum variable_id id;
    struct slice     text; /* of VARIABLE_TEXT; of one that takes a name: that */
};

/* One piece of text alone: it is always the same. */
struct template
{
    const struct template_piece *pieces;
    size_t                       count;
};

/* What stands between the braces: "client_ip", "header:X-User". VARIABLE_TEXT: of none. */
enum variable_id variable_find(struct slice inside, struct slice *name);
/* "did you mean `client_ip`?", or empty. */
struct slice variable_hint(struct slice inside, struct arena *a);

/* The first piece of *rest, which loses it. False: nothing is left. */
bool template_next(struct slice *rest, struct template_piece *piece);
/* In that arena, with copies of the texts. */
void               template_build(struct template *t, struct slice text, struct arena *a);
static inline bool template_is_fixed(const struct template *t)
{
    return t->count == 0 || (t->count == 1 && t->pieces[0].id == VARIABLE_TEXT);
}
/* `values` are those of its pieces, which text has already. */
struct slice template_join(const struct slice *values, size_t count, struct arena *a);

/* A plain text in template form. */
struct slice template_escape(struct slice text, struct arena *a);
/* The other way. False: it has a variable, *found as it stands there. */
bool template_unescape(struct slice *text, struct arena *a, struct slice *found);
