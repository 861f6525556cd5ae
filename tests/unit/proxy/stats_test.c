/* SPDX-License-Identifier: Apache-2.0
 *
 * Counting, and the Prometheus text: read back by a parser that knows the
 * rules of the format, and by one thread while another one counts.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ctype.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/map.h"
#include "proxy/stats.h"

enum { WORKERS = 2, COUNTS = 20000 };

static const struct slice routes[] = {
    SLICE("_other"), SLICE("api"), { NULL, 0 }, SLICE("we\"ird\\na\nme")
};
static const struct slice        upstreams[] = { SLICE("_other"), SLICE("backend") };
static const struct series_names names = { routes, 4, upstreams, 2 };

static struct buffer print(struct worker_stats *const *workers, size_t count)
{
    const struct worker_stats *all[WORKERS];
    struct buffer              b = BUFFER_INIT;
    for (size_t i = 0; i < count; i++) all[i] = workers[i];
    stats_prometheus(all, count, &names, &b);
    return b;
}

static void assert_has(const struct buffer *b, const char *text)
{
    if (!strstr(b->data, text)) fail_msg("`%s` is not in\n%s", text, b->data);
}

static void buckets_have_inclusive_bounds(void **state)
{
    (void)state;
    static const struct {
        uint64_t us;
        unsigned bucket;
    } cases[] = { { 0, 0 },         { 1, 0 },         { 1000, 0 },       { 1001, 1 },
                  { 2000, 1 },      { 2001, 2 },      { 4000, 2 },       { 4001, 3 },
                  { 65536000, 16 }, { 65536001, 17 }, { UINT64_MAX, 17 } };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct histogram h = { 0 };
        histogram_add(&h, cases[i].us);
        for (unsigned b = 0; b <= HISTOGRAM_BOUND_COUNT; b++)
            assert_int_equal(counter_get(&h.buckets[b]), b == cases[i].bucket);
        assert_int_equal(counter_get(&h.sum_us), cases[i].us);
    }
}

static void workers_are_added_up(void **state)
{
    (void)state;
    struct worker_stats *w[] = { worker_stats_new(), worker_stats_new() };
    counter_add(&w[0]->connections_accepted, 3);
    counter_add(&w[1]->connections_accepted, 4);
    counter_move(&w[0]->connections_active, 2);
    counter_move(&w[1]->connections_active, 1);
    counter_move(&w[1]->connections_active, -1);
    counter_add(&w[0]->tls_resumed, 7);
    counter_add(&w[1]->upstream.reused, 9);
    counter_add(&w[0]->requests_invalid[stats_invalid_class(431)], 1);
    series_add(stats_route(w[0], 1), 200, 10, 1000, 1500);
    series_add(stats_route(w[1], 1), 204, 1, 0, 70000000);
    series_add(stats_route(w[1], 1), 0, 0, 0, 0);
    series_add(stats_route(w[1], 1), 999, 0, 0, 0);
    series_add(stats_route(w[0], 70000), 404, 0, 5, 10);
    series_add(stats_upstream(w[0], 1), 502, 0, 0, 3000);
    histogram_add(&stats_upstream(w[0], 1)->first_byte, 2500);
    struct buffer b = print(w, 2);
    assert_has(&b, "wharfgate_connections_accepted_total 7\n");
    assert_has(&b, "wharfgate_connections_active 2\n");
    assert_has(&b, "wharfgate_tls_handshakes_total{result=\"resumed\"} 7\n");
    assert_has(&b, "wharfgate_upstream_connections_reused_total 9\n");
    assert_has(&b, "wharfgate_requests_invalid_total{reason=\"too_large\"} 1\n");
    assert_has(&b, "wharfgate_requests_total{route=\"api\",code=\"2xx\"} 2\n");
    assert_has(&b, "wharfgate_requests_total{route=\"api\",code=\"none\"} 2\n");
    assert_has(&b, "wharfgate_requests_total{route=\"_other\",code=\"4xx\"} 1\n");
    assert_has(&b, "wharfgate_request_body_bytes_total{route=\"api\"} 11\n");
    assert_has(&b, "wharfgate_response_body_bytes_total{route=\"api\"} 1000\n");
    assert_has(&b, "wharfgate_request_duration_seconds_bucket{route=\"api\",le=\"0.001\"} 2\n");
    assert_has(&b, "wharfgate_request_duration_seconds_bucket{route=\"api\",le=\"0.002\"} 3\n");
    assert_has(&b, "wharfgate_request_duration_seconds_bucket{route=\"api\",le=\"65.536\"} 3\n");
    assert_has(&b, "wharfgate_request_duration_seconds_bucket{route=\"api\",le=\"+Inf\"} 4\n");
    assert_has(&b, "wharfgate_request_duration_seconds_sum{route=\"api\"} 70.001500\n");
    assert_has(&b, "wharfgate_request_duration_seconds_count{route=\"api\"} 4\n");
    assert_has(&b, "wharfgate_upstream_requests_total{upstream=\"backend\",code=\"5xx\"} 1\n");
    assert_has(&b, "wharfgate_upstream_first_byte_seconds_bucket{upstream=\"backend\","
                   "le=\"0.004\"} 1\n");
    /* What nobody has used has no series; what has no name is not shown. */
    assert_null(strstr(b.data, "we\\\"ird"));
    assert_null(strstr(b.data, "upstream=\"_other\""));
    buffer_reset(&b);
    worker_stats_free(w[0]);
    worker_stats_free(w[1]);
    worker_stats_free(NULL);
}

static void series_stay_where_they_are(void **state)
{
    (void)state;
    struct worker_stats *w = worker_stats_new();
    struct series       *first = stats_route(w, 5);
    for (uint32_t id = 0; id < STATS_SERIES_MAX; id += 97) assert_non_null(stats_route(w, id));
    assert_ptr_equal(stats_route(w, 5), first);
    assert_ptr_equal(stats_route(w, STATS_SERIES_MAX), stats_route(w, STATS_SERIES_OTHER));
    assert_ptr_not_equal(stats_route(w, 1), stats_upstream(w, 1));
    worker_stats_free(w);
}

/* ---- the format's rules (text format 0.0.4) ---- */

struct parser {
    const char *at;
    char        family[128], type[16];
    struct map  families, samples;
    double      last_bucket;
    char       *texts[8192];
    size_t      text_count;
};

static struct slice keep(struct parser *p, const char *from, size_t len)
{
    assert_true(p->text_count < 8192);
    p->texts[p->text_count] = strndup(from, len);
    return slice_make(p->texts[p->text_count++], len);
}

static size_t name_length(const char *s)
{
    size_t n = 0;
    while (isalpha((unsigned char)s[n]) || s[n] == '_' || s[n] == ':' ||
           (n && isdigit((unsigned char)s[n])))
        n++;
    return n;
}

static const char *past_labels(const char *s)
{
    for (bool is_first = true; *s != '}'; is_first = false) {
        if (!is_first) assert_int_equal(*s++, ',');
        size_t n = name_length(s);
        assert_true(n > 0);
        assert_memory_equal(s + n, "=\"", 2);
        for (s += n + 2; *s != '"'; s++) {
            assert_true(*s && *s != '\n');
            if (*s == '\\') assert_non_null(strchr("\\\"n", *++s));
        }
        s++;
    }
    return s + 1;
}

static void parse_comment(struct parser *p)
{
    char   name[128], type[16];
    size_t n = strcspn(p->at, "\n");
    if (sscanf(p->at, "# HELP %127s", name) == 1) {
        assert_true(n > strlen("# HELP ") + strlen(name) + 1);
        snprintf(p->family, sizeof(p->family), "%s", name);
        /* A family stands in one piece. */
        assert_null(map_put(&p->families, keep(p, name, strlen(name)), p));
        p->type[0] = '\0';
    } else {
        assert_int_equal(sscanf(p->at, "# TYPE %127s %15s", name, type), 2);
        assert_string_equal(name, p->family);
        assert_string_equal(p->type, "");
        snprintf(p->type, sizeof(p->type), "%s", type);
        bool is_counter = strcmp(type, "counter") == 0;
        assert_true(is_counter || strcmp(type, "gauge") == 0 || strcmp(type, "histogram") == 0);
        /* The convention that promtool checks. */
        const char *total = strstr(name, "_total");
        assert_int_equal(is_counter, total && total[6] == '\0');
    }
    p->at += n + 1;
}

static void parse_sample(struct parser *p)
{
    size_t      name_len = name_length(p->at), family_len = strlen(p->family);
    const char *name = p->at, *suffix = p->at + family_len, *s = p->at + name_len;
    assert_memory_equal(name, p->family, family_len);
    if (*s == '{') s = past_labels(s + 1);
    assert_int_equal(*s, ' ');
    /* The same series only once. */
    assert_null(map_put(&p->samples, keep(p, name, (size_t)(s - name)), p));
    char  *end;
    double value = strtod(s, &end);
    assert_int_equal(*end, '\n');
    assert_true(value >= 0);
    bool is_bucket = strncmp(suffix, "_bucket{", 8) == 0;
    if (strcmp(p->type, "histogram") != 0) assert_int_equal(name_len, family_len);
    if (is_bucket) {
        if (strstr(name, "le=\"0.001\"") && strstr(name, "le=\"0.001\"") < s) p->last_bucket = 0;
        assert_true(value >= p->last_bucket);
        p->last_bucket = value;
    } else if (strncmp(suffix, "_count", 6) == 0) {
        assert_true(value == p->last_bucket);
    }
    p->at = end + 1;
}

static void check_format(const char *text)
{
    struct parser *p = calloc(1, sizeof(*p));
    p->at = text;
    map_init(&p->families);
    map_init(&p->samples);
    while (*p->at) {
        if (*p->at == '#')
            parse_comment(p);
        else
            parse_sample(p);
    }
    assert_true(p->families.count > 20);
    map_reset(&p->families);
    map_reset(&p->samples);
    for (size_t i = 0; i < p->text_count; i++) free(p->texts[i]);
    free(p);
}

static void text_keeps_the_rules(void **state)
{
    (void)state;
    struct worker_stats *w = worker_stats_new();
    series_add(stats_route(w, 1), 200, 10, 1000, 1500);
    series_add(stats_route(w, 3), 200, 10, 1000, 150000);
    series_add(stats_upstream(w, 1), 200, 10, 1000, 150000);
    struct buffer b = print(&w, 1), again = print(&w, 1);
    check_format(b.data);
    assert_string_equal(b.data, again.data);
    assert_has(&b, "{route=\"we\\\"ird\\\\na\\nme\",code=\"2xx\"} 1\n");
    /* For a look by promtool. */
    const char *path = getenv("STATS_TEST_OUTPUT");
    FILE       *f = path ? fopen(path, "w") : NULL;
    if (f) {
        assert_int_equal(fwrite(b.data, 1, b.len, f), b.len);
        fclose(f);
    }
    buffer_reset(&b);
    buffer_reset(&again);
    worker_stats_free(w);
}

/* ---- reading while counting ---- */

static void *count(void *arg)
{
    struct worker_stats *w = arg;
    for (uint32_t i = 0; i < COUNTS; i++) {
        counter_add(&w->connections_accepted, 1);
        series_add(stats_route(w, i % 4000), 200, 1, 1, i);
    }
    return NULL;
}

static void control_reads_while_workers_count(void **state)
{
    (void)state;
    struct worker_stats *w[WORKERS];
    pthread_t            threads[WORKERS];
    for (size_t i = 0; i < WORKERS; i++) {
        w[i] = worker_stats_new();
        assert_int_equal(pthread_create(&threads[i], NULL, count, w[i]), 0);
    }
    for (int i = 0; i < 20; i++) {
        struct buffer b = print(w, WORKERS);
        assert_has(&b, "# TYPE wharfgate_requests_total counter\n");
        buffer_reset(&b);
    }
    for (size_t i = 0; i < WORKERS; i++) pthread_join(threads[i], NULL);
    char want[64];
    snprintf(want, sizeof(want), "wharfgate_connections_accepted_total %d\n", WORKERS * COUNTS);
    struct buffer b = print(w, WORKERS);
    assert_has(&b, want);
    buffer_reset(&b);
    for (size_t i = 0; i < WORKERS; i++) worker_stats_free(w[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(buckets_have_inclusive_bounds),     cmocka_unit_test(workers_are_added_up),
        cmocka_unit_test(series_stay_where_they_are),        cmocka_unit_test(text_keeps_the_rules),
        cmocka_unit_test(control_reads_while_workers_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
