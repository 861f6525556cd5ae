/* SPDX-License-Identifier: Apache-2.0
 *
 * The regular expression that an answer's body is looked at with. Its work is
 * bounded: what an expression may cost by the body that a replica sends it must
 * not stop the control thread. See prober_parts.h.
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>
#include <time.h>

#include "base/memory.h"
#include "control/prober_parts.h"

/* pcre2's own limit holds for each place where a match may begin, of which a body has 65,536, and
 * does not see how far each step looks. So its steps are called out, and ask what time it is. */
enum {
    TIME_MAX_US = 20000, /* of this thread, whoever else has the processor */
    CALLS_A_LOOK = 16,
    MATCH_LIMIT = 500000,
    DEPTH_LIMIT = 10000,
    HEAP_KIB = 4096,
    STACK_MIN_BYTES = 32 * 1024,
    STACK_MAX_BYTES = 1024 * 1024,
};

struct body_regex {
    pcre2_code *code; /* NULL: never matches */
};

struct body_matcher {
    pcre2_match_context *context;
    pcre2_match_data    *data;
    pcre2_jit_stack     *stack;
    uint64_t             call_count;
    uint64_t             end_us; /* of this thread's time */
};

/* The body is bytes, whatever its charset. */
struct body_regex *body_regex_new(struct slice pattern)
{
    struct body_regex *r = mem_zalloc(sizeof(*r));
    int                number;
    PCRE2_SIZE         offset;
    r->code = pcre2_compile((PCRE2_SPTR)pattern.data, pattern.len,
                            PCRE2_NEVER_UTF | PCRE2_NEVER_BACKSLASH_C | PCRE2_AUTO_CALLOUT, &number,
                            &offset, NULL);
    /* Where the kernel forbids making code, pcre2 interprets it. */
    if (r->code) (void)pcre2_jit_compile(r->code, PCRE2_JIT_COMPLETE);
    return r;
}

void body_regex_free(struct body_regex *r)
{
    if (!r) return;
    pcre2_code_free(r->code);
    free(r);
}

static uint64_t thread_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static int on_step(pcre2_callout_block *step, void *arg)
{
    struct body_matcher *m = arg;
    (void)step;
    if (++m->call_count % CALLS_A_LOOK) return 0;
    return thread_us() > m->end_us ? PCRE2_ERROR_MATCHLIMIT : 0;
}

struct body_matcher *body_matcher_new(void)
{
    struct body_matcher *m = mem_zalloc(sizeof(*m));
    m->context = pcre2_match_context_create(NULL);
    m->data = pcre2_match_data_create(1, NULL);
    m->stack = pcre2_jit_stack_create(STACK_MIN_BYTES, STACK_MAX_BYTES, NULL);
    if (!m->context || !m->data) abort();
    pcre2_set_match_limit(m->context, MATCH_LIMIT);
    pcre2_set_depth_limit(m->context, DEPTH_LIMIT);
    pcre2_set_heap_limit(m->context, HEAP_KIB);
    pcre2_set_callout(m->context, on_step, m);
    if (m->stack) pcre2_jit_stack_assign(m->context, NULL, m->stack);
    return m;
}

void body_matcher_free(struct body_matcher *m)
{
    if (!m) return;
    pcre2_jit_stack_free(m->stack);
    pcre2_match_data_free(m->data);
    pcre2_match_context_free(m->context);
    free(m);
}

enum body_verdict body_matcher_run(struct body_matcher *m, const struct body_regex *r,
                                   struct slice body, bool is_cut)
{
    PCRE2_SPTR text = (PCRE2_SPTR)(body.len ? body.data : "");
    if (!r->code) return BODY_DIFFERS;
    m->call_count = 0;
    m->end_us = thread_us() + TIME_MAX_US;
    int got =
        pcre2_match(r->code, text, body.len, 0, is_cut ? PCRE2_NOTEOL : 0, m->data, m->context);
    if (got >= 0) return BODY_MATCHES;
    return got == PCRE2_ERROR_NOMATCH ? BODY_DIFFERS : BODY_TAKES_TOO_LONG;
}
