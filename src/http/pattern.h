/* SPDX-License-Identifier: Apache-2.0
 *
 * Regular expressions that requests are matched with: PCRE2, compiled to code of the machine, and
 * never more than so much work from each place where a match may begin: an expression that explodes
 * cannot hold a worker, whatever text a client chose. Texts are matched as bytes: whether they are
 * UTF-8 is the client's choice.
 */
#pragma once

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/arena.h"
#include "base/counter.h"
#include "base/error.h"

enum { PATTERN_CAPTURES_MAX = 10 }; /* $0 to $9 */

/* Of one thread. */
struct pattern_matcher {
    pcre2_match_context *context;
    pcre2_match_data    *data;
    pcre2_jit_stack     *stack;
    struct counter      *gave_up; /* counts the matches that reached a limit, or NULL */
    bool                 has_hit_limit;
};

/* Lives as long as the arena. NULL and *e: "why at character N". */
pcre2_code *pattern_compile(struct slice text, bool has_no_case, struct arena *a, struct error *e);
/* How many groups it captures; the number of the one of that name, or "1" to "9". 0: there is
 * none that can be had. */
unsigned pattern_group_count(const pcre2_code *code);
unsigned pattern_group(const pcre2_code *code, struct slice name);

void pattern_matcher_init(struct pattern_matcher *m);
void pattern_matcher_reset(struct pattern_matcher *m);

/* False also at a limit: then has_hit_limit is set, and it was counted. */
bool pattern_matches(const pcre2_code *code, struct slice subject, struct pattern_matcher *m);
/* After `code` matched `subject`: the parts of it that the groups are, empty where there is none.
 */
void pattern_captures(const pcre2_code *code, const struct pattern_matcher *m, struct slice subject,
                      struct slice captures[PATTERN_CAPTURES_MAX]);
