/* SPDX-License-Identifier: Apache-2.0
 *
 * Which containers make one route, whose labels count, who comes first, and how long a route
 * outlives its containers.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "discovery/docker_private.h"
#include "discovery/docker_route.h"

enum { HOLD_MS = 600000 };

struct rig {
    struct docker_known  known;
    struct docker_groups groups;
    struct log           log;
    struct buffer        list;
    struct arena         arena; /* of parts */
    uint64_t             now_ms;
    struct conf_part    *parts;
    size_t               count;
};

static int open_rig(void **state)
{
    static struct rig r;
    r = (struct rig){ .list = BUFFER_INIT, .now_ms = 1000 };
    log_init(&r.log, open("/dev/null", O_WRONLY), LOG_LEVEL_DEBUG);
    docker_known_init(&r.known);
    docker_groups_init(&r.groups, &r.log);
    r.groups.hold_ms = HOLD_MS;
    arena_init(&r.arena, NULL);
    *state = &r;
    return 0;
}

static int close_rig(void **state)
{
    struct rig *r = *state;
    docker_groups_reset(&r->groups);
    docker_known_reset(&r->known);
    buffer_reset(&r->list);
    arena_reset(&r->arena);
    close(r->log.fd);
    return 0;
}

/* `labels`: members of the object, with ' for ". */
static void add(struct rig *r, const char *id, int created, const char *state, const char *labels)
{
    buffer_printf(&r->list,
                  "%c{'Id':'%s','Names':['/n%s'],'Created':%d,'State':'%s','Labels':{%s}}",
                  r->list.len ? ',' : '[', id, id, created, state, labels);
}

static void look(struct rig *r)
{
    struct error e = { "" };
    buffer_put_char(&r->list, r->list.len ? ']' : '[');
    if (r->list.len == 1) buffer_put_char(&r->list, ']');
    for (size_t i = 0; i < r->list.len; i++)
        if (r->list.data[i] == '\'') r->list.data[i] = '"';
    if (!docker_known_list(&r->known, buffer_slice(&r->list), &e)) fail_msg("%s", e.text);
    r->list.len = 0;
    docker_groups_look(&r->groups, &r->known, r->now_ms);
}

/* All that is offered, but those whose name is `refused`. */
static void settle(struct rig *r, const char *refused)
{
    arena_reset(&r->arena);
    r->count = docker_groups_offer(&r->groups, &r->arena, &r->parts);
    for (size_t i = 0; i < r->count; i++) {
        bool is_first = !i || !slice_eq(r->parts[i].name, r->parts[i - 1].name);
        if (slice_eq(r->parts[i].name, slice_of(refused)))
            r->parts[i].refusal = S("no");
        else
            r->parts[i].is_taken = is_first;
    }
    docker_groups_settle(&r->groups, r->parts);
}

static void assert_names(struct rig *r, const char *names)
{
    struct buffer text = BUFFER_INIT;
    for (size_t i = 0; i < r->groups.count; i++)
        buffer_printf(&text, "%s%s", i ? " " : "", r->groups.items[i]->name);
    buffer_put_char(&text, '\0');
    assert_string_equal(text.data, names);
    buffer_reset(&text);
}

#define ON "'wharfgate.enable':'true'"
#define SHOP "'com.docker.compose.project':'shop'"
#define WEB SHOP ",'com.docker.compose.service':'web'"
#define BLOG SHOP ",'com.docker.compose.service':'blog'"
#define A ",'wharfgate.host':'a.example'"

static void containers_that_make_one_route(void **state)
{
    struct rig *r = *state;
    add(r, "a1", 10, "running", WEB "," ON ",'wharfgate.host':'B.example, a.example ,a.example'");
    add(r, "a2", 11, "paused",
        WEB "," ON ",'wharfgate.host':'a.example,b.example',"
            "'wharfgate.path':'/','wharfgate.port':'7'");
    add(r, "a3", 12, "running", WEB "," ON ",'wharfgate.host':'a.example'");
    add(r, "a4", 13, "running", WEB "," ON A ",'wharfgate.path':'/x'");
    add(r, "b1", 14, "running", ON A);
    add(r, "b2", 15, "restarting", ON A ",'com.docker.compose.project':'alone'");
    add(r, "b3", 16, "running", ON A ",'wharfgate.path':'/p?/~'");
    /* None of these. */
    add(r, "c1", 1, "running", WEB A);
    add(r, "c2", 1, "running", WEB A ",'wharfgate.enable':'false'");
    add(r, "c3", 1, "running", WEB A ",'wharfgate.enable':'yes'");
    add(r, "c4", 1, "running", WEB "," ON);
    add(r, "c5", 1, "running", WEB "," ON A ",'com.docker.compose.oneoff':'True'");
    add(r, "c6", 1, "created", WEB "," ON A);
    add(r, "c7", 1, "exited", WEB "," ON A);
    look(r);
    assert_names(r, "docker:shop/web docker:shop/web#2 docker:shop/web#3 docker:a.example "
                    "docker:a.example/p_/_");
    assert_int_equal(r->groups.items[0]->container_count, 2);
    assert_int_equal(r->groups.items[3]->container_count, 2);
    assert_true(slice_eq(docker_route_hosts(r->groups.items[0]->key), S("a.example,b.example")));
    assert_true(slice_eq(docker_route_path(r->groups.items[1]->key), S("/")));
    assert_true(slice_eq(docker_route_path(r->groups.items[2]->key), S("/x")));
    /* Membership is by the same text. */
    struct docker_settings u = { .group = r->groups.items[0]->key };
    assert_true(docker_is_member(docker_known_find(&r->known, S("a1")), &u));
    assert_false(docker_is_member(docker_known_find(&r->known, S("a3")), &u));
    assert_false(docker_is_member(docker_known_find(&r->known, S("c1")), &u));
}

/* Control characters, quotes, the text of a configuration: a value stays a value, and a name is
 * plain and short. */
static void hostile_labels(void **state)
{
    struct rig *r = *state;
    add(r, "a1", 1, "running",
        ON ",'com.docker.compose.service':'x\\ny: {}\\u001b[2J','com.docker.compose.project':"
           "'../../\\u0000${HOME}','wharfgate.host':'a\\n  evil: 1','wharfgate.path':'*a',"
           "'wharfgate.rate_limit':'&x, y','wharfgate.balance':'{a: b}'");
    add(r, "a2", 2, "running",
        ON A ",'com.docker.compose.service':"
             "'0123456789012345678901234567890123456789012345678901234567890123456789'");
    look(r);
    const char *first = r->groups.items[0]->name;
    assert_true(slice_starts_with(slice_of(first), S("docker:../../")));
    for (const char *c = first; *c; c++) assert_true(*c > ' ' && *c < 0x7f && *c != '$');
    assert_true(strlen(r->groups.items[1]->name) <= DOCKER_ROUTE_NAME_MAX);
    settle(r, "");
    const struct conf_node *route = r->parts[0].route;
    assert_int_equal(route->count, 4); /* name, upstream, match, rate_limit: no others */
    const struct conf_node *match = conf_node_get(route, "match");
    assert_int_equal(match->count, 2);
    assert_string_equal(conf_node_get(match, "host")->items[0]->text.data, "a\n  evil: 1");
    assert_string_equal(conf_node_get(match, "path")->text.data, "*a");
    const struct conf_node *limits = conf_node_get(route, "rate_limit");
    assert_int_equal(limits->count, 2);
    assert_string_equal(limits->items[0]->text.data, "&x");
    assert_string_equal(limits->items[1]->text.data, "y");
    assert_false(limits->items[0]->is_plain);
    assert_string_equal(conf_node_get(r->parts[0].upstream, "balance")->text.data, "{a: b}");
}

static void what_is_too_much_makes_none(void **state)
{
    struct rig   *r = *state;
    struct buffer labels = BUFFER_INIT;
    buffer_puts(&labels, ON ",'wharfgate.host':'a0");
    for (int i = 1; i < DOCKER_ROUTE_HOST_MAX; i++) buffer_printf(&labels, ",a%d", i);
    add(r, "a1", 1, "running", arena_printf(&r->arena, "%s'", labels.data).data);
    add(r, "a2", 1, "running", arena_printf(&r->arena, "%s,z'", labels.data).data);
    buffer_puts(&labels, "','wharfgate.path':'/");
    for (int i = 0; i < DOCKER_ROUTE_BYTES_MAX; i++) buffer_put_char(&labels, 'x');
    add(r, "a3", 1, "running", arena_printf(&r->arena, "%s'", labels.data).data);
    look(r);
    assert_int_equal(r->groups.count, 1);
    assert_string_equal(docker_route_why_none(docker_known_find(&r->known, S("a1"))), "");
    assert_string_equal(docker_route_why_none(docker_known_find(&r->known, S("a2"))),
                        "wharfgate.host has more than 64 hosts");
    assert_string_equal(docker_route_why_none(docker_known_find(&r->known, S("a3"))),
                        "its labels of a route are longer than 16384 bytes");
    buffer_reset(&labels);
}

static void the_oldest_comes_first_for_good(void **state)
{
    struct rig *r = *state;
    add(r, "b", 20, "running", BLOG "," ON A);
    add(r, "c", 10, "running", WEB "," ON A);
    add(r, "d", 10, "running", ON A);
    look(r);
    assert_names(r, "docker:shop/web docker:a.example docker:shop/blog"); /* then by id */
    /* Its replacement is the youngest of all. */
    add(r, "b", 20, "running", BLOG "," ON A);
    add(r, "d", 10, "running", ON A);
    add(r, "e", 90, "running", WEB "," ON A);
    look(r);
    assert_names(r, "docker:shop/web docker:a.example docker:shop/blog");
}

static void a_route_outlives_its_containers(void **state)
{
    struct rig *r = *state;
    add(r, "w", 10, "running", WEB "," ON A);
    add(r, "b", 20, "running", BLOG "," ON A);
    look(r);
    settle(r, "");
    assert_false(docker_groups_are_news(&r->groups));
    assert_int_equal(docker_groups_due(&r->groups, r->now_ms), 0);
    add(r, "b", 20, "running", BLOG "," ON A);
    look(r);
    assert_names(r, "docker:shop/web docker:shop/blog");
    assert_int_equal(r->groups.items[0]->container_count, 0);
    assert_false(docker_groups_are_news(&r->groups)); /* it comes and goes without a plan */
    assert_int_equal(docker_groups_due(&r->groups, r->now_ms), 1000 + DOCKER_YIELD_MS);
    /* After a while others go first, */
    r->now_ms += DOCKER_YIELD_MS;
    docker_groups_look(&r->groups, &r->known, r->now_ms);
    assert_names(r, "docker:shop/blog docker:shop/web");
    assert_true(docker_groups_are_news(&r->groups));
    assert_false(docker_groups_are_news(&r->groups)); /* told once */
    assert_int_equal(docker_groups_due(&r->groups, r->now_ms), 1000 + HOLD_MS);
    settle(r, "");
    assert_int_equal(r->count, 2);
    /* it is back in time, */
    add(r, "b", 20, "running", BLOG "," ON A);
    add(r, "x", 99, "running", WEB "," ON A);
    look(r);
    assert_names(r, "docker:shop/web docker:shop/blog");
    add(r, "b", 20, "running", BLOG "," ON A);
    look(r);
    /* and it is not. */
    r->now_ms += HOLD_MS;
    docker_groups_look(&r->groups, &r->known, r->now_ms);
    assert_names(r, "docker:shop/blog");
    assert_int_equal(docker_groups_due(&r->groups, r->now_ms), 0);
}

static void containers_that_disagree(void **state)
{
    struct rig *r = *state;
    add(r, "a", 1, "running", WEB "," ON A ",'wharfgate.rate_limit':'x','wharfgate.weight':'1'");
    add(r, "b", 2, "running", WEB "," ON A ",'wharfgate.rate_limit':'x','wharfgate.weight':'2'");
    look(r);
    settle(r, "");
    assert_int_equal(r->count, 1);
    assert_null(r->groups.items[0]->clash);
    add(r, "a", 1, "running", WEB "," ON A ",'wharfgate.rate_limit':'x'");
    add(r, "c", 3, "running", WEB "," ON A);
    look(r);
    assert_false(docker_groups_are_news(&r->groups)); /* nothing comes of it */
    assert_string_equal(r->groups.items[0]->clash,
                        "its containers disagree in wharfgate.rate_limit (na: \"x\", nc: not set): "
                        "that of na, the oldest, counts");
    /* Where the oldest one's are refused, the next one's count, and it is named. */
    settle(r, "");
    assert_int_equal(r->count, 2);
    r->parts[0].is_taken = false;
    r->parts[0].refusal = S("bad");
    r->parts[1].is_taken = true;
    docker_groups_settle(&r->groups, r->parts);
    assert_true(r->groups.items[0]->is_taken);
    assert_null(r->groups.items[0]->clash);
    assert_string_equal(docker_group_donor(&r->groups, r->groups.items[0])->container, "nc");
    assert_string_equal(map_get(&r->groups.refused, docker_known_find(&r->known, S("a"))->route),
                        "bad");
    assert_false(docker_groups_are_news(&r->groups));
    /* One that is refused as a whole. */
    settle(r, "docker:shop/web");
    assert_false(r->groups.items[0]->is_taken);
    assert_null(docker_group_donor(&r->groups, r->groups.items[0]));
    assert_false(docker_groups_are_news(&r->groups));
    /* One with other labels is news. */
    add(r, "d", 4, "running", WEB "," ON A ",'wharfgate.rate_limit':'y'");
    add(r, "a", 1, "running", WEB "," ON A ",'wharfgate.rate_limit':'x'");
    look(r);
    assert_true(docker_groups_are_news(&r->groups));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(containers_that_make_one_route, open_rig, close_rig),
        cmocka_unit_test_setup_teardown(hostile_labels, open_rig, close_rig),
        cmocka_unit_test_setup_teardown(what_is_too_much_makes_none, open_rig, close_rig),
        cmocka_unit_test_setup_teardown(the_oldest_comes_first_for_good, open_rig, close_rig),
        cmocka_unit_test_setup_teardown(a_route_outlives_its_containers, open_rig, close_rig),
        cmocka_unit_test_setup_teardown(containers_that_disagree, open_rig, close_rig),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
