/* SPDX-License-Identifier: Apache-2.0
 *
 * See roster_rig.h.
 */
#include "roster_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "io/deadline.h"

enum { STEP_MS = 10, SPECS_MAX = 64, PORT = 1000 };

static const struct http_limits limits = {
    8192, 65536, 100, 8192, 4096, 8, 65536, 100, false, false
};

/* ---- what is told ---- */

static void on_published(struct roster *roster, struct roster_retired *what)
{
    struct rig *r = roster->arg;
    assert_true(r->retired_count < RIG_RETIRED_MAX);
    r->retired[r->retired_count++] = what;
}

static void on_member(struct roster *roster, struct member *m, bool is_leaving)
{
    struct rig *r = roster->arg;
    (void)m;
    if (is_leaving)
        r->went_count++;
    else
        r->came_count++;
}

static void on_state(struct roster *roster, struct member *m, enum endpoint_state before)
{
    struct rig *r = roster->arg;
    size_t      len = strlen(r->states);
    assert_true(m->state != before);
    snprintf(r->states + len, sizeof(r->states) - len, "%s:%s ", m->endpoint->identity,
             endpoint_state_name(m->state));
}

static void on_trouble(struct roster *roster)
{
    ((struct rig *)roster->arg)->trouble_count++;
}

static const struct roster_ops ops = { on_published, on_member, on_state, on_trouble };

/* ---- life ---- */

static void make_text(struct buffer *to, const char *lines)
{
    buffer_printf(to,
                  "listeners: { web: { address: \"127.0.0.1:0\" } }\n"
                  "upstreams:\n"
                  "  app:\n"
                  "    servers: [ \"127.0.0.1:1\" ]\n"
                  "%s"
                  "routes: [ { name: a, upstream: app } ]\n",
                  lines);
}

void rig_load(struct half *h, const char *lines, unsigned worker_count)
{
    struct upstream_build build = { NULL, worker_count, 60000, limits, 0, 0 };
    struct buffer         text = BUFFER_INIT;
    struct error          e;
    make_text(&text, lines);
    conf_report_init(&h->report);
    h->settings = conf_load_text("test.yaml", buffer_slice(&text), &conf_reader_direct, &h->report);
    buffer_reset(&text);
    if (!h->settings) {
        conf_report_print(&h->report, &text, false);
        fail_msg("%s", text.data);
    }
    h->upstream = upstream_new(&h->settings->upstreams[0], &build, &e);
    if (!h->upstream) fail_msg("%s", e.text);
}

static void half_reset(struct half *h)
{
    if (!h->upstream) return;
    roster_free(h->roster);
    upstream_free(h->upstream);
    settings_free(h->settings);
    conf_report_reset(&h->report);
    *h = (struct half){ 0 };
}

static void begin(struct rig *r, const char *lines)
{
    rig_load(&r->now, lines, r->worker_count);
    r->now.roster = roster_new(r->now.upstream, r->loop, NULL, &ops, r, r->before.roster);
}

void rig_init_for(struct rig *r, const char *lines, unsigned worker_count)
{
    memset(r, 0, sizeof(*r));
    r->worker_count = worker_count;
    log_init(&r->log, STDERR_FILENO, LOG_LEVEL_ERROR);
    r->loop = loop_new(&r->log);
    assert_non_null(r->loop);
    begin(r, lines);
}

void rig_init(struct rig *r, const char *lines)
{
    rig_init_for(r, lines, 1);
}

void rig_reset(struct rig *r)
{
    if (!r->loop) return;
    half_reset(&r->before);
    half_reset(&r->now);
    rig_pass(r);
    loop_free(r->loop);
    r->loop = NULL;
}

void rig_reload(struct rig *r, const char *lines)
{
    half_reset(&r->before);
    r->before = r->now;
    r->now = (struct half){ 0 };
    begin(r, lines);
    roster_freeze(r->before.roster, true);
}

/* ---- lists ---- */

/* Of "b*3": behind the name. */
static void read_marks(struct endpoint_spec *spec, struct slice marks)
{
    for (size_t i = 0; i < marks.len; i++) {
        uint32_t number = (uint32_t)strtoul(marks.data + i + 1, NULL, 10);
        switch (marks.data[i]) {
        case '*': spec->weight = number; break;
        case '=': spec->address.port = (uint16_t)number; break;
        case '+': spec->is_backup = true; break;
        case '?': spec->state = SOURCE_STARTING; break;
        case '!': spec->state = SOURCE_UNHEALTHY; break;
        case '-': spec->state = SOURCE_DRAINING; break;
        case '~': spec->must_listen = true; break;
        default: break; /* a digit */
        }
    }
    if (spec->state != SOURCE_READY) spec->reason = S("says the source");
}

size_t rig_specs(const char *list, struct endpoint_spec *specs, size_t most)
{
    struct slice rest = slice_of(list);
    size_t       count = 0;
    while (rest.len) {
        size_t                end = slice_find(rest, ' ');
        struct slice          word = slice_make(rest.data, end);
        struct endpoint_spec *spec = &specs[count++];
        assert_true(count <= most);
        *spec = (struct endpoint_spec){ .weight = 1 };
        spec->address = (struct address){ .family = ADDRESS_V4, .ip = { 127, 0, 0, 1 } };
        spec->address.port = (uint16_t)(PORT + (unsigned char)word.data[0]);
        spec->identity = slice_make(word.data, 1);
        read_marks(spec, slice_from(word, 1));
        rest = slice_from(rest, end < rest.len ? end + 1 : end);
    }
    return count;
}

void rig_update(struct rig *r, const char *list)
{
    struct endpoint_spec specs[SPECS_MAX];
    roster_update(r->now.roster, specs, rig_specs(list, specs, SPECS_MAX), NULL);
}

struct member *rig_member(struct rig *r, char name)
{
    LIST_EACH (it, &r->now.roster->members) {
        struct member *m = container_of(it, struct member, link);
        if (m->endpoint->identity[0] == name) return m;
    }
    return NULL;
}

const char *rig_members(struct rig *r)
{
    static char text[RIG_TEXT_MAX];
    size_t      len = 0;
    text[0] = 0;
    LIST_EACH (it, &r->now.roster->members) {
        const struct member *m = container_of(it, struct member, link);
        len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s:%s", len ? " " : "",
                                m->endpoint->identity, endpoint_state_name(m->state));
    }
    return text;
}

static size_t put_tier(char *to, size_t size, const struct endpoint_tier *tier)
{
    size_t len = 0;
    for (size_t i = 0; i < tier->count; i++) {
        len +=
            (size_t)snprintf(to + len, size - len, "%s%s", i ? " " : "", tier->items[i]->identity);
        if (tier->weights[i] != 1)
            len += (size_t)snprintf(to + len, size - len, "*%u", tier->weights[i]);
    }
    return len;
}

const char *rig_set(struct rig *r)
{
    static char                text[RIG_TEXT_MAX];
    const struct endpoint_set *set = atomic_load(&r->now.upstream->set);
    text[0] = 0;
    size_t len = put_tier(text, sizeof(text), &set->tiers[TIER_PRIMARY]);
    if (!set->tiers[TIER_BACKUP].count) return text;
    len += (size_t)snprintf(text + len, sizeof(text) - len, "%s+ ", len ? " " : "");
    put_tier(text + len, sizeof(text) - len, &set->tiers[TIER_BACKUP]);
    return text;
}

const char *rig_told(struct rig *r)
{
    static char text[RIG_TEXT_MAX];
    memcpy(text, r->states, sizeof(text));
    r->states[0] = 0;
    return text;
}

/* ---- time ---- */

/* Not loop_turn(): it would look at the real clock. */
void rig_turn(struct rig *r)
{
    while (!list_is_empty(&r->loop->jobs)) {
        struct job *j = container_of(r->loop->jobs.next, struct job, link);
        job_cancel(j);
        j->run(j);
    }
}

void rig_later(struct rig *r, uint64_t ms)
{
    while (ms) {
        uint64_t step_ms = ms < STEP_MS ? ms : STEP_MS;
        r->loop->clock.now_ms += step_ms;
        deadline_wheel_advance(r->loop);
        rig_turn(r);
        ms -= step_ms;
    }
}

void rig_pass(struct rig *r)
{
    for (size_t i = 0; i < r->retired_count; i++) roster_retired_free(r->retired[i]);
    r->retired_count = 0;
}

/* ---- what comes of checks and of traffic ---- */

void rig_judge(struct rig *r, char name, bool is_good)
{
    roster_judge(rig_member(r, name), is_good, is_good ? "200 OK" : "500 No", 1000);
    rig_turn(r);
}

void rig_fail(struct rig *r, char name, unsigned count)
{
    struct member *m = rig_member(r, name);
    uint32_t       most = r->now.upstream->settings->outlier_ejection.consecutive_failures;
    for (unsigned i = 0; i < count; i++) {
        uint32_t in_a_row = endpoint_note_failure(m->endpoint, r->loop->clock.now_ns);
        if (most && in_a_row >= most) roster_suspect(r->now.roster);
    }
    rig_turn(r);
}

void rig_succeed(struct rig *r, char name, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        endpoint_note_success(rig_member(r, name)->endpoint, 1000, r->loop->clock.now_ns);
}
