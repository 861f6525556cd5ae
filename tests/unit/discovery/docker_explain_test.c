/* SPDX-License-Identifier: Apache-2.0
 *
 * Finding a container by a person's word for it, and why it is no replica.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "discovery/docker_explain.h"
#include "discovery/docker_private.h"

#define CONTAINER(id, name, labels)                                                                \
    "{\"Id\":\"" id "\",\"Names\":[\"/" name "\"],\"State\":\"running\",\"Status\":\"Up\","        \
    "\"Labels\":{" labels "}}"
#define LIST                                                                                       \
    "[" CONTAINER("abc1", "web-1", "\"com.docker.compose.service\":\"web\"") "," CONTAINER(        \
        "abc2", "abc",                                                                             \
        "\"com.docker.compose.service\":\"web\",\"com.docker.compose.project\":"                   \
        "\"shop\"") "," CONTAINER("def3", "abc1", "\"role\":\"x\"") "]"

static void open_list(struct docker *d)
{
    struct error e;
    *d = (struct docker){ 0 };
    docker_known_init(&d->known);
    assert_true(docker_known_list(&d->known, S(LIST), &e));
}

static void found_by_name_id_and_beginning(void **state)
{
    struct docker       d;
    struct docker_found found;
    (void)state;
    open_list(&d);
    assert_int_equal(docker_find(&d, S("web-1"), &found), 1);
    assert_true(slice_eq(found.container.id, S("abc1")));
    assert_false(found.is_gone);
    /* A name goes before the beginning of an id. */
    assert_int_equal(docker_find(&d, S("abc"), &found), 1);
    assert_true(slice_eq(found.container.id, S("abc2")));
    assert_int_equal(docker_find(&d, S("de"), &found), 1);
    assert_true(slice_eq(found.container.id, S("def3")));
    assert_int_equal(docker_find(&d, S("ab"), &found), 2);
    assert_int_equal(docker_find(&d, S("web"), &found), 0);
    docker_known_reset(&d.known);
}

static void what_events_said_counts(void **state)
{
    struct docker             d;
    struct docker_found       found;
    const struct docker_event kill = { .action = DOCKER_ACTION_KILL, .id = S("abc1") };
    const struct docker_event die = { .action = DOCKER_ACTION_DIE, .id = S("abc1") };
    (void)state;
    open_list(&d);
    (void)docker_known_event(&d.known, &kill, 1000);
    assert_int_equal(docker_find(&d, S("web-1"), &found), 1);
    assert_true(found.is_killed && !found.is_gone);
    (void)docker_known_event(&d.known, &die, 1000);
    assert_int_equal(docker_find(&d, S("web-1"), &found), 1);
    assert_true(found.is_gone);
    docker_known_reset(&d.known);
}

static void tells(struct docker *d, struct slice word, const struct docker_settings *s,
                  const char *why)
{
    struct arena        a;
    struct docker_found found;
    arena_init(&a, NULL);
    assert_int_equal(docker_find(d, word, &found), 1);
    struct slice got = docker_why_no_member(&found.container, s, &a);
    if (!slice_eq(got, slice_of(why))) fail_msg("%.*s", SLICE_ARG(got));
    arena_reset(&a);
}

static void why_it_is_no_replica(void **state)
{
    const struct docker_settings web = { .service = S("web") }, api = { .service = S("api") };
    const struct docker_settings shop = { .service = S("web"), .project = S("shop") };
    const struct docker_settings bank = { .service = S("web"), .project = S("bank") };
    const struct docker_settings role = { .label = S("role=y") };
    struct docker                d;
    (void)state;
    open_list(&d);
    tells(&d, S("web-1"), &web, "");
    tells(&d, S("web-1"), &api, "its compose service is web, not api");
    tells(&d, S("web-1"), &shop, "it has no compose project, and shop is asked for");
    tells(&d, S("abc2"), &shop, "");
    tells(&d, S("abc2"), &bank, "its compose project is shop, not bank");
    tells(&d, S("def3"), &role, "it does not have the label role=y");
    docker_known_reset(&d.known);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(found_by_name_id_and_beginning),
        cmocka_unit_test(what_events_said_counts),
        cmocka_unit_test(why_it_is_no_replica),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
