/* SPDX-License-Identifier: Apache-2.0
 *
 * Bounded regular expressions. See pattern.h.
 */
#include "http/pattern.h"

#include <stdlib.h>

enum {
    /* An expression that explodes costs 60 us a match, interpreted 200 us. Compiled, it is a
     * limit for each place where a match may begin: docs/routing.md has what that may cost. */
    MATCH_LIMIT = 20000,
    DEPTH_LIMIT = 1000,
    HEAP_KIB = 256,
    STACK_MIN_BYTES = 32 * 1024,
    STACK_MAX_BYTES = 256 * 1024,
};

static void free_code(void *code)
{
    pcre2_code_free(code);
}

pcre2_code *pattern_compile(struct slice text, bool has_no_case, struct arena *a, struct error *e)
{
    uint32_t options = PCRE2_NEVER_UTF | PCRE2_DOLLAR_ENDONLY | (has_no_case ? PCRE2_CASELESS : 0);
    int      number;
    PCRE2_SIZE  offset;
    pcre2_code *code =
        pcre2_compile((PCRE2_SPTR)text.data, text.len, options, &number, &offset, NULL);
    if (!code) {
        char why[128];
        pcre2_get_error_message(number, (PCRE2_UCHAR *)why, sizeof(why));
        error_set(e, "%s at character %zu", why, (size_t)offset + 1);
        return NULL;
    }
    /* Where the kernel forbids making code, pcre2 interprets it. */
    (void)pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
    arena_on_reset(a, free_code, code);
    return code;
}

unsigned pattern_group_count(const pcre2_code *code)
{
    uint32_t count = 0;
    (void)pcre2_pattern_info(code, PCRE2_INFO_CAPTURECOUNT, &count);
    return count;
}

unsigned pattern_group(const pcre2_code *code, struct slice name)
{
    char text[64];
    if (name.len >= sizeof(text)) return 0;
    memcpy(text, name.data, name.len);
    text[name.len] = '\0';
    bool is_digit = name.len == 1 && text[0] >= '0' && text[0] <= '9'; /* no name begins so */
    int  number =
        is_digit ? text[0] - '0' : pcre2_substring_number_from_name(code, (PCRE2_SPTR)text);
    bool is_known = number > 0 && number < PATTERN_CAPTURES_MAX &&
                    (unsigned)number <= pattern_group_count(code);
    return is_known ? (unsigned)number : 0;
}

void pattern_matcher_init(struct pattern_matcher *m)
{
    *m = (struct pattern_matcher){ .context = pcre2_match_context_create(NULL) };
    m->data = pcre2_match_data_create(PATTERN_CAPTURES_MAX, NULL);
    m->stack = pcre2_jit_stack_create(STACK_MIN_BYTES, STACK_MAX_BYTES, NULL);
    if (!m->context || !m->data) abort();
    pcre2_set_match_limit(m->context, MATCH_LIMIT);
    pcre2_set_depth_limit(m->context, DEPTH_LIMIT);
    pcre2_set_heap_limit(m->context, HEAP_KIB);
    /* Without one (no JIT in this pcre2) the interpreter's limits hold. */
    if (m->stack) pcre2_jit_stack_assign(m->context, NULL, m->stack);
}

void pattern_matcher_reset(struct pattern_matcher *m)
{
    pcre2_jit_stack_free(m->stack);
    pcre2_match_data_free(m->data);
    pcre2_match_context_free(m->context);
}

bool pattern_matches(const pcre2_code *code, struct slice subject, struct pattern_matcher *m)
{
    PCRE2_SPTR text = (PCRE2_SPTR)(subject.len ? subject.data : "");
    int        got = pcre2_match(code, text, subject.len, 0, 0, m->data, m->context);
    if (got >= 0) return true;
    if (got == PCRE2_ERROR_NOMATCH) return false;
    m->has_hit_limit = true;
    if (m->gave_up) counter_add(m->gave_up, 1);
    return false;
}

void pattern_captures(const pcre2_code *code, const struct pattern_matcher *m, struct slice subject,
                      struct slice captures[PATTERN_CAPTURES_MAX])
{
    const PCRE2_SIZE *at = pcre2_get_ovector_pointer(m->data);
    unsigned          count = pattern_group_count(code); /* what lies behind is not written */
    for (size_t i = 0; i < PATTERN_CAPTURES_MAX; i++) {
        bool is_set = i <= count && at[2 * i] != PCRE2_UNSET && at[2 * i] <= at[2 * i + 1];
        captures[i] = is_set ? slice_make(subject.data + at[2 * i], at[2 * i + 1] - at[2 * i])
                             : slice_make("", 0);
    }
}
