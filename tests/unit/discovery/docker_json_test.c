/* SPDX-License-Identifier: Apache-2.0
 *
 * Containers out of the engine's JSON: what Docker and Podman really answered,
 * what newer engines leave out, and what is refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/buffer.h"
#include "discovery/docker_json.h"
#include "recorded.h"

static struct arena arena;

static void assert_slice(struct slice got, const char *expected)
{
    assert_string_equal(arena_copy(&arena, got).data, expected);
}

static const char *address_of(const struct address *a)
{
    static char text[ADDRESS_TEXT_MAX];
    if (!a->family) return "";
    address_format_ip(a, text);
    return text;
}

/* ---- lists ---- */

struct expected_container {
    const char        *name, *mode;
    enum docker_state  state;
    enum docker_health health;
    const char        *network, *ipv4, *ipv6; /* of the first one */
    size_t             networks;
    uint16_t           port; /* the first one */
    size_t             ports;
};

static void check_container(const struct docker_container *c, const struct expected_container *x)
{
    assert_int_equal(c->id.len, 64);
    assert_slice(c->network_mode, x->mode);
    assert_int_equal(c->state, x->state);
    assert_int_equal(c->health, x->health);
    assert_int_equal(c->network_count, x->networks);
    assert_int_equal(c->port_count, x->ports);
    if (x->ports) assert_int_equal(c->ports[0], x->port);
    if (!x->networks) return;
    assert_slice(c->networks[0].name, x->network);
    assert_string_equal(address_of(&c->networks[0].ipv4), x->ipv4);
    assert_string_equal(address_of(&c->networks[0].ipv6), x->ipv6);
}

static void check_list(const char *file, const struct expected_container *rows, size_t count)
{
    struct recorded_list list = recorded_list(file, &arena);
    assert_int_equal(list.count, count);
    for (size_t i = 0; i < count; i++)
        check_container(recorded_find(&list, rows[i].name), &rows[i]);
}

#define WEB1 "35fa16bc4efeb5170154182a8d5c7c41c3c968bfaa20ca63cd4f843b9ac03ee3"

static void reads_what_docker_lists(void **state)
{
    (void)state;
    static const struct expected_container rows[] = {
        { "web-1", "front", DOCKER_RUNNING, DOCKER_HEALTH_NONE, "front", "10.213.1.2", "", 1, 8000,
          1 },
        { "web-2", "front", DOCKER_RUNNING, DOCKER_HEALTHY, "front", "10.213.1.3", "", 1, 8000, 1 },
        { "web-3", "front", DOCKER_RUNNING, DOCKER_UNHEALTHY, "front", "10.213.1.4", "", 1, 8000,
          1 },
        { "web-4", "front", DOCKER_RUNNING, DOCKER_HEALTH_STARTING, "front", "10.213.1.5", "", 1,
          8000, 1 },
        { "paused", "front", DOCKER_PAUSED, DOCKER_HEALTH_NONE, "front", "10.213.1.6", "", 1, 80,
          2 },
        { "exited", "front", DOCKER_EXITED, DOCKER_HEALTH_NONE, "front", "", "", 1, 0, 0 },
        { "created", "front", DOCKER_CREATED, DOCKER_HEALTH_NONE, "front", "", "", 1, 0, 0 },
        { "two", "front", DOCKER_RUNNING, DOCKER_HEALTH_NONE, "back", "10.213.2.2", "fd00:213::2",
          2, 80, 1 },
        { "hostnet", "host", DOCKER_RUNNING, DOCKER_HEALTH_NONE, "host", "", "", 1, 0, 0 },
        { "nonet", "none", DOCKER_RUNNING, DOCKER_HEALTH_NONE, "none", "", "", 1, 0, 0 },
        { "shared", "container:" WEB1, DOCKER_RUNNING, DOCKER_HEALTH_NONE, "", "", "", 0, 0, 0 },
        { "published", "front", DOCKER_RUNNING, DOCKER_HEALTH_NONE, "front", "10.213.1.8", "", 1,
          80, 23 },
        { "restarting", "front", DOCKER_RESTARTING, DOCKER_HEALTH_NONE, "front", "", "", 1, 0, 0 },
        { "labels", "back", DOCKER_RUNNING, DOCKER_HEALTH_NONE, "back", "10.213.2.3", "fd00:213::3",
          1, 0, 0 },
        { "oneoff", "front", DOCKER_RUNNING, DOCKER_HEALTH_NONE, "front", "10.213.1.10", "", 1, 0,
          0 },
        { "nul", "front", DOCKER_RUNNING, DOCKER_HEALTH_NONE, "front", "10.213.1.9", "", 1, 0, 0 },
    };
    check_list("docker-20.10-list-1.41.json", rows, sizeof(rows) / sizeof(rows[0]));
}

static void reads_the_oldest_version(void **state)
{
    (void)state;
    static const struct expected_container rows[] = {
        { "web-1", "front", DOCKER_RUNNING, DOCKER_HEALTH_NONE, "front", "10.213.1.2", "", 1, 8000,
          1 },
        { "web-2", "front", DOCKER_RUNNING, DOCKER_HEALTHY, "front", "10.213.1.3", "", 1, 8000, 1 },
        { "web-3", "front", DOCKER_RUNNING, DOCKER_UNHEALTHY, "front", "10.213.1.4", "", 1, 8000,
          1 },
        { "created", "front", DOCKER_CREATED, DOCKER_HEALTH_NONE, "front", "", "", 1, 0, 0 },
    };
    check_list("docker-20.10-list-1.24.json", rows, sizeof(rows) / sizeof(rows[0]));
}

static void reads_what_podman_lists(void **state)
{
    (void)state;
    static const struct expected_container rows[] = {
        { "web-1", "", DOCKER_RUNNING, DOCKER_HEALTH_NONE, "front", "10.214.1.23", "", 1, 0, 0 },
        { "shared", "", DOCKER_RUNNING, DOCKER_HEALTH_NONE, "front", "10.214.1.23", "", 1, 0, 0 },
        { "two", "", DOCKER_RUNNING, DOCKER_HEALTH_NONE, "back", "10.214.2.4", "", 2, 0, 0 },
        { "hostnet", "", DOCKER_RUNNING, DOCKER_HEALTH_NONE, "", "", "", 0, 0, 0 },
        { "nonet", "", DOCKER_RUNNING, DOCKER_HEALTH_NONE, "", "", "", 0, 0, 0 },
        { "created", "", DOCKER_CREATED, DOCKER_HEALTH_NONE, "front", "", "", 1, 0, 0 },
        { "paused", "", DOCKER_PAUSED, DOCKER_HEALTH_NONE, "front", "10.214.1.28", "", 1, 0, 0 },
        { "exited", "", DOCKER_EXITED, DOCKER_HEALTH_NONE, "front", "", "", 1, 0, 0 },
        { "published", "", DOCKER_RUNNING, DOCKER_HEALTH_NONE, "front", "10.214.1.30", "", 1, 80,
          1 },
        { "inpod", "", DOCKER_RUNNING, DOCKER_HEALTH_NONE, "front", "10.214.1.31", "", 1, 0, 0 },
        { "18fbc40cee1b-infra", "", DOCKER_RUNNING, DOCKER_HEALTH_NONE, "front", "10.214.1.31", "",
          1, 0, 0 },
    };
    static const struct expected_container stopping[] = {
        { "web-2", "", DOCKER_STOPPING, DOCKER_HEALTH_NONE, "front", "10.214.1.24", "", 1, 0, 0 },
    };
    check_list("podman-4.3-list-1.41.json", rows, sizeof(rows) / sizeof(rows[0]));
    check_list("podman-4.3-list-stopping.json", stopping, 1);
}

static void finds_labels(void **state)
{
    (void)state;
    struct recorded_list           list = recorded_list("docker-20.10-list-1.41.json", &arena);
    const struct docker_container *web = recorded_find(&list, "web-1");
    const struct docker_container *odd = recorded_find(&list, "labels");
    const struct docker_container *nul = recorded_find(&list, "nul");
    assert_int_equal(web->label_count, 4);
    assert_slice(docker_label_value(web, S("com.docker.compose.service")), "web");
    assert_slice(docker_label_value(web, S("com.docker.compose.container-number")), "1");
    assert_null(docker_label_value(web, S("com.docker.compose")).data);
    assert_null(docker_label_value(web, S("")).data);
    assert_slice(docker_label_value(odd, S("odd")), "a\"b\\c é ☃");
    assert_non_null(docker_label_value(odd, S("empty")).data);
    assert_int_equal(docker_label_value(odd, S("empty")).len, 0);
    assert_slice(docker_label_value(nul, S("nul")), "a\xef\xbf\xbd"
                                                    "b");
    assert_slice(docker_label_value(nul, S("k\xef\xbf\xbdy")), "v");
    assert_null(docker_label_value(nul, S("k")).data);
}

static bool parse(const char *json, struct docker_container **items, size_t *count, struct error *e)
{
    e->text[0] = '\0';
    return docker_parse_list(slice_of(json), &arena, items, count, e);
}

static const struct docker_container *parse_one(const char *json)
{
    struct docker_container *items;
    size_t                   count;
    struct error             e;
    if (!parse(json, &items, &count, &e)) fail_msg("%s: %s", json, e.text);
    assert_int_equal(count, 1);
    return items;
}

static void sorts_by_name(void **state)
{
    (void)state;
    const struct docker_container *c =
        parse_one("[{\"Id\":\"a\",\"Labels\":{\"m\":\"1\",\"z\":\"2\",\"a\":\"3\",\"ab\":\"4\"},"
                  "\"NetworkSettings\":{\"Networks\":{\"q\":{},\"b\":{}}}}]");
    assert_slice(c->labels[0].name, "a");
    assert_slice(c->labels[1].name, "ab");
    assert_slice(docker_label_value(c, S("a")), "3");
    assert_slice(docker_label_value(c, S("m")), "1");
    assert_slice(docker_label_value(c, S("z")), "2");
    assert_slice(c->networks[0].name, "b");
}

static void bears_what_is_missing(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "[{\"Id\":\"a\"}]",
        "[{\"Id\":\"a\",\"Names\":null,\"Ports\":null,\"Labels\":null,\"HostConfig\":null,"
        "\"NetworkSettings\":null,\"State\":null,\"Status\":null,\"Health\":null}]",
        "[{\"Id\":\"a\",\"Names\":[],\"Ports\":[{}],\"Labels\":{},\"HostConfig\":{},"
        "\"NetworkSettings\":{},\"State\":\"new\",\"Health\":{}}]",
        "[{\"Id\":\"a\",\"NetworkSettings\":{\"Networks\":null},\"More\":[1,2.5,true]}]",
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct docker_container *c = parse_one(rows[i]);
        assert_slice(c->id, "a");
        assert_int_equal(c->name.len + c->network_mode.len, 0);
        assert_int_equal(c->label_count + c->network_count + c->port_count, 0);
        assert_int_equal(c->state, DOCKER_STATE_UNKNOWN);
        assert_int_equal(c->health, DOCKER_HEALTH_NONE);
        assert_false(c->is_cut);
    }
    struct docker_container *items;
    size_t                   count = 7;
    struct error             e;
    assert_true(parse(" [] ", &items, &count, &e) && count == 0);
}

static void refuses(void **state)
{
    (void)state;
    static const struct {
        const char *json, *says;
    } rows[] = {
        { "", "no JSON" },
        { "[", "no JSON" },
        { "[] []", "no JSON" },
        { "{\"message\":\"page not found\"}", "expected an array" },
        { "null", "no JSON" },
        { "[null]", "a container: expected an object" },
        { "[{}]", "without Id" },
        { "[{\"Id\":\"\"}]", "without Id" },
        { "[{\"Id\":7}]", "Id: expected a string, not a number" },
        { "[{\"Id\":\"a\",\"Names\":\"/a\"}]", "Names: expected an array" },
        { "[{\"Id\":\"a\",\"Names\":[1]}]", "Names: expected a string" },
        { "[{\"Id\":\"a\",\"State\":{}}]", "State: expected a string" },
        { "[{\"Id\":\"a\",\"Status\":false}]", "Status: expected a string, not false" },
        { "[{\"Id\":\"a\",\"Health\":\"x\"}]", "Health: expected an object" },
        { "[{\"Id\":\"a\",\"Labels\":[]}]", "Labels: expected an object" },
        { "[{\"Id\":\"a\",\"Labels\":{\"a\":1}}]", "Labels: expected a string" },
        { "[{\"Id\":\"a\",\"Ports\":{}}]", "Ports: expected an array" },
        { "[{\"Id\":\"a\",\"Ports\":[80]}]", "Ports: expected an object" },
        { "[{\"Id\":\"a\",\"Ports\":[{\"PrivatePort\":65536}]}]", "not a port" },
        { "[{\"Id\":\"a\",\"Ports\":[{\"PrivatePort\":-1}]}]", "not a port" },
        { "[{\"Id\":\"a\",\"Ports\":[{\"PrivatePort\":80.5}]}]", "not a fraction" },
        { "[{\"Id\":\"a\",\"HostConfig\":[]}]", "HostConfig: expected an object" },
        { "[{\"Id\":\"a\",\"NetworkSettings\":{\"Networks\":[]}}]",
          "Networks: expected an object" },
        { "[{\"Id\":\"a\",\"NetworkSettings\":{\"Networks\":{\"n\":1}}}]",
          "Networks: expected an object" },
        { "[{\"Id\":\"a\",\"NetworkSettings\":{\"Networks\":{\"n\":{\"IPAddress\":\"10.0.0\"}}}}]",
          "IPAddress: not an IP address" },
        { "[{\"Id\":\"a\",\"NetworkSettings\":{\"Networks\":{\"n\":{\"IPAddress\":\"::1\"}}}}]",
          "IPAddress: not an IP address" },
        { "[{\"Id\":\"\xff\"}]", "no JSON" },
        { "[{\"Id\":\"\xed\xa0\x80\"}]", "no JSON" },
        { "[{\"Id\":\"\\ud800\"}]", "no JSON" },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct docker_container *items;
        size_t                   count;
        struct error             e;
        if (parse(rows[i].json, &items, &count, &e)) fail_msg("%s: accepted", rows[i].json);
        if (!strstr(e.text, rows[i].says)) fail_msg("%s: %s", rows[i].json, e.text);
        assert_null(items);
        assert_int_equal(count, 0);
    }
    struct docker_container *items;
    size_t                   count;
    struct error             e;
    assert_false(docker_parse_list(S("[]\0"), &arena, &items, &count, &e));
    assert_false(docker_parse_list((struct slice){ 0 }, &arena, &items, &count, &e));
}

static void tells_health(void **state)
{
    (void)state;
    static const struct {
        const char        *members;
        enum docker_health health;
    } rows[] = {
        { "\"Status\":\"Up 2 minutes (healthy)\"", DOCKER_HEALTHY },
        { "\"Status\":\"Up 2 minutes (unhealthy)\"", DOCKER_UNHEALTHY },
        { "\"Status\":\"Up 2 minutes (health: starting)\"", DOCKER_HEALTH_STARTING },
        { "\"Status\":\"Up 2 minutes (Paused)\"", DOCKER_HEALTH_NONE },
        { "\"Status\":\"Up (healthy) 2 minutes\"", DOCKER_HEALTH_NONE },
        { "\"Status\":\"Up\",\"Health\":{\"Status\":\"unhealthy\",\"FailingStreak\":3}",
          DOCKER_UNHEALTHY },
        { "\"Status\":\"Up (healthy)\",\"Health\":{\"Status\":\"none\"}", DOCKER_HEALTH_NONE },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct slice json = arena_printf(&arena, "[{\"Id\":\"a\",%s}]", rows[i].members);
        assert_int_equal(parse_one(json.data)->health, rows[i].health);
    }
}

static void passes_over_links_and_no_addresses(void **state)
{
    (void)state;
    const struct docker_container *c =
        parse_one("[{\"Id\":\"a\",\"Names\":[\"/other/alias\",\"/"
                  "own\"],\"NetworkSettings\":{\"Networks\":{\"n\":"
                  "{\"IPAddress\":\"0.0.0.0\",\"GlobalIPv6Address\":\"::\"}}}}]");
    assert_slice(c->name, "own");
    assert_int_equal(c->networks[0].ipv4.family, ADDRESS_NONE);
    assert_int_equal(c->networks[0].ipv6.family, ADDRESS_NONE);
    /* A backslash that is itself escaped begins no escape. */
    c = parse_one("[{\"Id\":\"\\\\u0000\\u0000\"}]");
    assert_slice(c->id, "\\u0000\xef\xbf\xbd");
}

/* ---- bounds ---- */

static void put_many(struct buffer *b, size_t count, const char *format)
{
    for (size_t i = 0; i < count; i++) {
        if (i) buffer_put_char(b, ',');
        for (const char *c = format; *c; c++)
            if (*c == '#')
                buffer_printf(b, "%zu", i);
            else
                buffer_put_char(b, *c);
    }
}

static const struct docker_container *parse_many(size_t labels, size_t networks, size_t ports)
{
    struct buffer b = BUFFER_INIT;
    buffer_puts(&b, "[{\"Id\":\"a\",\"Labels\":{");
    put_many(&b, labels, "\"l#\":\"v\"");
    buffer_puts(&b, "},\"NetworkSettings\":{\"Networks\":{");
    put_many(&b, networks, "\"n#\":{}");
    buffer_puts(&b, "}},\"Ports\":[");
    put_many(&b, ports,
             "{\"PrivatePort\":6#,\"Type\":\"tcp\"},{\"PrivatePort\":6#,\"Type\":\"tcp\"}");
    buffer_puts(&b, "]}]");
    buffer_put_char(&b, '\0');
    const struct docker_container *c = parse_one(b.data);
    buffer_reset(&b);
    return c;
}

static void bounds_what_a_container_has(void **state)
{
    (void)state;
    const struct docker_container *c = parse_many(DOCKER_LABEL_MAX, DOCKER_NETWORK_MAX, 1);
    assert_false(c->is_cut);
    assert_int_equal(c->label_count, DOCKER_LABEL_MAX);
    assert_int_equal(c->network_count, DOCKER_NETWORK_MAX);
    assert_int_equal(c->port_count, 1);
    c = parse_many(DOCKER_LABEL_MAX + 1, 1, 100);
    assert_true(c->is_cut);
    assert_int_equal(c->label_count, DOCKER_LABEL_MAX);
    assert_int_equal(c->port_count, DOCKER_PORT_MAX);
    for (size_t i = 1; i < c->port_count; i++) assert_true(c->ports[i - 1] < c->ports[i]);
    assert_int_equal(c->ports[0], 60);
    c = parse_many(1, DOCKER_NETWORK_MAX + 1, 0);
    assert_true(c->is_cut);
    assert_int_equal(c->network_count, DOCKER_NETWORK_MAX);
}

static void bounds_the_list(void **state)
{
    (void)state;
    struct buffer            b = BUFFER_INIT;
    struct docker_container *items;
    size_t                   count;
    struct error             e;
    buffer_puts(&b, "[");
    put_many(&b, DOCKER_CONTAINER_MAX + 1, "{\"Id\":\"#\"}");
    buffer_puts(&b, "]");
    assert_false(docker_parse_list(buffer_slice(&b), &arena, &items, &count, &e));
    assert_string_equal(e.text, "more than 65536 containers");
    buffer_reset(&b);
}

static int forget(void **state)
{
    (void)state;
    arena_reset(&arena);
    return 0;
}

int main(void)
{
    arena_init(&arena, NULL);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(reads_what_docker_lists, forget),
        cmocka_unit_test_teardown(reads_the_oldest_version, forget),
        cmocka_unit_test_teardown(reads_what_podman_lists, forget),
        cmocka_unit_test_teardown(finds_labels, forget),
        cmocka_unit_test_teardown(sorts_by_name, forget),
        cmocka_unit_test_teardown(bears_what_is_missing, forget),
        cmocka_unit_test_teardown(refuses, forget),
        cmocka_unit_test_teardown(tells_health, forget),
        cmocka_unit_test_teardown(passes_over_links_and_no_addresses, forget),
        cmocka_unit_test_teardown(bounds_what_a_container_has, forget),
        cmocka_unit_test_teardown(bounds_the_list, forget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
