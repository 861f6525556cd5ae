/* SPDX-License-Identifier: Apache-2.0
 *
 * Rewriting of paths. See rewrite.h.
 */
#include "filter/rewrite.h"

struct rewrite_rule {
    const pcre2_code *code;
    struct target     to;
};

struct rewrite {
    struct slice         strip, add; /* without a slash at the end; empty: none */
    struct rewrite_rule *rules;
    size_t               rule_count;
    struct uri_rules     uri;
};

static struct slice without_slash(struct slice path, struct arena *a)
{
    path = arena_copy(a, path);
    while (path.len && path.data[path.len - 1] == '/') path.len--;
    return path;
}

static bool make_rule(struct rewrite_rule *rule, const struct rewrite_rule_settings *s,
                      struct arena *a, struct error *e)
{
    rule->code = pattern_compile(s->match, false, a, e);
    if (!rule->code) return error_wrap(e, "`%.*s`", SLICE_ARG(s->match));
    return target_parse(&rule->to, arena_copy(a, s->to), rule->code, true, a, e) ||
           error_wrap(e, "`to: %.*s`", SLICE_ARG(s->to));
}

const struct rewrite *rewrite_build(const struct rewrite_settings *s, const struct uri_rules *rules,
                                    struct arena *a, struct error *e)
{
    struct rewrite *r = arena_zalloc(a, sizeof(*r));
    r->strip = without_slash(s->strip_prefix, a);
    r->add = without_slash(s->add_prefix, a);
    r->uri = *rules;
    r->rules = arena_zalloc(a, s->path_count * sizeof(*r->rules));
    for (; r->rule_count < s->path_count; r->rule_count++)
        if (!make_rule(&r->rules[r->rule_count], &s->paths[r->rule_count], a, e)) return NULL;
    return r;
}

/* By whole segments. */
static void strip(const struct rewrite *r, struct rewrite_result *to)
{
    struct slice rest;
    if (!r->strip.len || !slice_starts_with(to->path, r->strip)) return;
    rest = slice_from(to->path, r->strip.len);
    if (rest.len && rest.data[0] != '/') return;
    to->prefix = r->strip;
    to->path = rest.len ? rest : S("/");
}

/* The first one that matches. Captures are of the path as it is by then. */
static const char *apply_rules(const struct rewrite *r, struct slice host,
                               struct pattern_matcher *m, struct arena *a,
                               struct rewrite_result *to)
{
    struct target_ask ask = { .path = to->path, .query = to->query, .host = host, .rules = r->uri };
    const struct rewrite_rule *rule = r->rules, *end = r->rules + r->rule_count;
    while (rule < end && !pattern_matches(rule->code, to->path, m)) rule++;
    if (rule == end) return NULL;
    pattern_captures(rule->code, m, to->path, ask.captures);
    const char *reason = target_path(&rule->to, &ask, a, &to->path);
    if (reason || !rule->to.has_query) return reason;
    reason = target_query(&rule->to, &ask, a, &to->query);
    to->has_query = to->query.len > 0;
    return reason;
}

static const char *add(const struct rewrite *r, struct arena *a, struct rewrite_result *to)
{
    struct slice before = to->path;
    if (!r->add.len) return NULL;
    struct slice made = arena_printf(a, "%.*s%.*s", SLICE_ARG(r->add), SLICE_ARG(before));
    return target_normal_path(made, before, &r->uri, a, &to->path);
}

void rewrite_run(const struct rewrite *r, const struct http_head *head, struct slice host,
                 struct pattern_matcher *m, struct arena *a, struct rewrite_result *to)
{
    *to = (struct rewrite_result){ .path = head->path,
                                   .query = head->query,
                                   .has_query = head->has_query };
    if (!head->path.len || head->path.data[0] != '/') return; /* OPTIONS * */
    strip(r, to);
    to->refused = apply_rules(r, host, m, a, to);
    if (!to->refused) to->refused = add(r, a, to);
}

static enum filter_result on_request(struct exchange *x, const void *config, void **state)
{
    struct http_head     *head = exchange_request(x);
    struct rewrite_result to;
    (void)state;
    rewrite_run(config, head, exchange_host(x), exchange_matcher(x), exchange_arena(x), &to);
    if (to.refused) {
        exchange_reply_status(x, 400, "rewrite_refused");
        return FILTER_REPLY;
    }
    head->path = to.path;
    head->query = to.query;
    head->has_query = to.has_query;
    exchange_note_prefix(x, to.prefix);
    return FILTER_CONTINUE;
}

const struct filter_ops filter_rewrite = { .name = "rewrite", .on_request = on_request };
