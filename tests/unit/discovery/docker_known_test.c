/* SPDX-License-Identifier: Apache-2.0
 *
 * What events say of containers, and how long it holds against a list that lags
 * behind them.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buffer.h"
#include "discovery/docker_private.h"

enum { DRAIN_MS = 30000 };

/* As GET /containers/json has it, with what is not looked at left out. */
#define CONTAINER(id, state, status)                                                               \
    "{\"Id\":\"" id "\",\"Names\":[\"/" id "\"],\"State\":\"" state "\",\"Status\":\"" status      \
    "\",\"Labels\":{\"com.docker.compose.service\":\"web\"},\"Ports\":[],\"HostConfig\":"          \
    "{\"NetworkMode\":\"net\"},\"NetworkSettings\":{\"Networks\":{\"net\":{\"NetworkID\":\"n1\","  \
    "\"IPAddress\":\"10.0.0.7\"}}}}"

static void take(struct docker_known *k, const char *json)
{
    struct error e = { "" };
    if (!docker_known_list(k, slice_of(json), &e)) fail_msg("%s", e.text);
}

static enum docker_effect tell(struct docker_known *k, enum docker_action action, int signal_number)
{
    const struct docker_event e = { .action = action, .id = S("a"), .signal = signal_number };
    return docker_known_event(k, &e, 1000);
}

static const struct docker_note *note(const struct docker_known *k)
{
    return map_get(&k->notes, S("a"));
}

static void the_dead_stay_dead_while_the_list_lags(void **state)
{
    struct docker_known k;
    (void)state;
    docker_known_init(&k);
    take(&k, "[" CONTAINER("a", "running", "Up 2 minutes") "]");
    assert_int_equal(tell(&k, DOCKER_ACTION_DIE, 0), DOCKER_OVER);
    assert_int_equal(tell(&k, DOCKER_ACTION_DIE, 0), DOCKER_NOTHING);
    take(&k, "[" CONTAINER("a", "running", "Up 2 minutes") "]");
    assert_true(note(&k)->is_dead);
    /* It is started again: what the list says counts again. */
    assert_int_equal(tell(&k, DOCKER_ACTION_START, 0), DOCKER_RELIST);
    assert_false(note(&k)->is_dead);
    take(&k, "[" CONTAINER("a", "running", "Up 1 second") "]");
    assert_null(note(&k));
    /* A list without it ends the note as well. */
    tell(&k, DOCKER_ACTION_DIE, 0);
    take(&k, "[]");
    assert_null(note(&k));
    docker_known_reset(&k);
}

static void signals_that_end_and_others(void **state)
{
    static const struct {
        int                number;
        enum docker_effect effect;
    } cases[] = {
        { SIGTERM, DOCKER_OVER },   { SIGKILL, DOCKER_OVER },    { SIGQUIT, DOCKER_OVER },
        { SIGINT, DOCKER_OVER },    { SIGWINCH, DOCKER_OVER },   { 0, DOCKER_OVER },
        { SIGHUP, DOCKER_NOTHING }, { SIGUSR1, DOCKER_NOTHING }, { SIGUSR2, DOCKER_NOTHING },
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct docker_known k;
        docker_known_init(&k);
        take(&k, "[" CONTAINER("a", "running", "Up") "]");
        assert_int_equal(tell(&k, DOCKER_ACTION_KILL, cases[i].number), cases[i].effect);
        docker_known_reset(&k);
    }
}

/* Told to stop, and running on: draining for so long, whatever lists say; then it is as listed. */
static void draining_has_an_end(void **state)
{
    struct docker_known k;
    bool                has_changed = false;
    (void)state;
    docker_known_init(&k);
    take(&k, "[" CONTAINER("a", "running", "Up") "]");
    tell(&k, DOCKER_ACTION_KILL, SIGTERM);
    take(&k, "[" CONTAINER("a", "running", "Up") "]");
    assert_int_equal(note(&k)->killed_ms, 1000);
    assert_int_equal(docker_known_expire(&k, 2000, DRAIN_MS, &has_changed), 1000 + DRAIN_MS);
    assert_false(has_changed);
    assert_int_equal(docker_known_expire(&k, 1000 + DRAIN_MS, DRAIN_MS, &has_changed), 0);
    assert_true(has_changed);
    assert_int_equal(note(&k)->killed_ms, 0);
    docker_known_reset(&k);
}

/* Ended meanwhile, as the list has it: the order to stop is done with. */
static void an_order_that_was_followed(void **state)
{
    struct docker_known k;
    (void)state;
    docker_known_init(&k);
    take(&k, "[" CONTAINER("a", "running", "Up") "]");
    tell(&k, DOCKER_ACTION_KILL, SIGTERM);
    take(&k, "[" CONTAINER("a", "exited", "Exited (0)") "]");
    assert_null(note(&k));
    docker_known_reset(&k);
}

static void health_and_pause_count_at_once_and_until_the_list(void **state)
{
    struct docker_known k;
    (void)state;
    docker_known_init(&k);
    take(&k, "[" CONTAINER("a", "running", "Up (healthy)") "]");
    const struct docker_event sick = { .action = DOCKER_ACTION_HEALTH,
                                       .id = S("a"),
                                       .health = DOCKER_UNHEALTHY };
    assert_int_equal(docker_known_event(&k, &sick, 1), DOCKER_CHANGED);
    assert_true(note(&k)->has_health);
    assert_int_equal(note(&k)->health, DOCKER_UNHEALTHY);
    assert_int_equal(tell(&k, DOCKER_ACTION_PAUSE, 0), DOCKER_CHANGED);
    assert_int_equal(tell(&k, DOCKER_ACTION_UNPAUSE, 0), DOCKER_RELIST);
    assert_int_equal(tell(&k, DOCKER_ACTION_CHANGE, 0), DOCKER_RELIST);
    take(&k, "[" CONTAINER("a", "running", "Up (unhealthy)") "]");
    assert_null(note(&k));
    docker_known_reset(&k);
}

static void a_bad_list_changes_nothing(void **state)
{
    struct docker_known k;
    struct error        e = { "" };
    (void)state;
    docker_known_init(&k);
    take(&k, "[" CONTAINER("a", "running", "Up") "]");
    assert_false(docker_known_list(&k, S("{\"message\":\"no\"}"), &e));
    assert_true(e.text[0]);
    assert_int_equal(k.count, 1);
    docker_known_reset(&k);
}

/* ---- parts of the list ---- */

struct told {
    char text[256];
};

static void on_part(void *arg, const struct docker_container *c, bool is_new)
{
    struct told *t = arg;
    size_t       len = strlen(t->text);
    snprintf(t->text + len, sizeof(t->text) - len, "%s%.*s%s ", is_new ? "+" : "", SLICE_ARG(c->id),
             c->state == DOCKER_RUNNING ? "" : "-");
}

/* Asks for `a` and `b`; what was told of. */
static struct told take_part(struct docker_known *k, const char *json)
{
    static char       a[] = "a", b[] = "b";
    struct docker_ask ask = { .asked = { a, b }, .asked_count = 2 };
    struct told       t = { "" };
    struct error      e = { "" };
    if (!docker_known_part(k, slice_of(json), &ask, on_part, &t, &e)) fail_msg("%s", e.text);
    return t;
}

static void a_part_tells_what_is_otherwise(void **state)
{
    struct docker_known k;
    (void)state;
    docker_known_init(&k);
    take(&k, "[" CONTAINER("a", "running", "Up") "," CONTAINER("c", "running", "Up") "]");
    const char *both =
        "[" CONTAINER("a", "running", "Up 1 second") "," CONTAINER("b", "running", "Up") "]";
    assert_string_equal(take_part(&k, both).text, "+b ");
    assert_string_equal(take_part(&k, both).text, "");
    assert_int_equal(k.count, 3);
    /* Not in the answer: gone; `c` was not asked for. */
    assert_string_equal(take_part(&k, "[" CONTAINER("b", "running", "Up (unhealthy)") "]").text,
                        "a- b ");
    assert_int_equal(k.gone_count, 1);
    assert_string_equal(take_part(&k, both).text, "a b ");
    assert_int_equal(k.gone_count, 0);
    assert_true(docker_known_find(&k, S("c"))->state == DOCKER_RUNNING);
    docker_known_reset(&k);
}

static void a_part_that_lags_raises_no_dead(void **state)
{
    struct docker_known k;
    (void)state;
    docker_known_init(&k);
    const char *running = "[" CONTAINER("a", "running", "Up") "]";
    take(&k, running);
    assert_int_equal(tell(&k, DOCKER_ACTION_DIE, 0), DOCKER_OVER);
    assert_string_equal(take_part(&k, running).text, "");
    assert_true(note(&k)->is_dead);
    /* Started: nobody's, until the list has it. */
    assert_int_equal(tell(&k, DOCKER_ACTION_DIE, 0), DOCKER_NOTHING);
    assert_int_equal(tell(&k, DOCKER_ACTION_START, 0), DOCKER_RELIST);
    assert_int_equal(docker_known_find(&k, S("a"))->state, DOCKER_EXITED);
    assert_string_equal(take_part(&k, running).text, "a ");
    docker_known_reset(&k);
}

static void the_same_list_again(void **state)
{
    struct docker_known k;
    (void)state;
    docker_known_init(&k);
    const char *list = "[" CONTAINER("a", "running", "Up 2 hours") "]";
    assert_false(docker_known_is_same(&k, slice_of(list)));
    take(&k, list);
    assert_true(docker_known_is_same(&k, slice_of(list)));
    assert_false(docker_known_is_same(&k, S("[]")));
    take_part(&k, list); /* b is not there, nor was it */
    assert_false(docker_known_is_same(&k, slice_of(list)));
    take(&k, list);
    tell(&k, DOCKER_ACTION_PAUSE, 0); /* until a list says otherwise */
    assert_false(docker_known_is_same(&k, slice_of(list)));
    docker_known_reset(&k);
}

/* ---- the snapshot ---- */

static void a_snapshot_is_read_as_it_was_written(void **state)
{
    char          path[] = "/tmp/wharfgate-snapshot-XXXXXX";
    struct buffer list = BUFFER_INIT;
    struct error  e = { "" };
    int64_t       at_us = 0;
    (void)state;
    assert_non_null(mkdtemp(path));
    struct buffer file = BUFFER_INIT;
    buffer_printf(&file, "%s/docker", path);
    assert_true(docker_snapshot_save(file.data, S("[1,\n2]"), 1234567, &e));
    assert_true(docker_snapshot_save(file.data, S("[3,\n4]"), 1234568, &e));
    assert_true(docker_snapshot_load(file.data, &list, &at_us, &e));
    assert_string_equal(list.data, "[3,\n4]");
    assert_int_equal(at_us, 1234568);
    buffer_reset(&list);
    /* Not ours, of another version, gone; and a folder that is not there. */
    static const char *const bad[] = { "", "x", "wharfgate docker snapshot 2 1\n[]",
                                       "wharfgate docker snapshot\n[]" };
    for (size_t i = 0; i < 4; i++) {
        FILE *f = fopen(file.data, "w");
        fputs(bad[i], f);
        fclose(f);
        assert_false(docker_snapshot_load(file.data, &list, &at_us, &e));
        buffer_reset(&list);
    }
    unlink(file.data);
    assert_false(docker_snapshot_load(file.data, &list, &at_us, &e));
    rmdir(path);
    assert_false(docker_snapshot_save(file.data, S("[]"), 1, &e));
    assert_non_null(strstr(e.text, "No such file"));
    buffer_reset(&file);
    buffer_reset(&list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_dead_stay_dead_while_the_list_lags),
        cmocka_unit_test(signals_that_end_and_others),
        cmocka_unit_test(draining_has_an_end),
        cmocka_unit_test(an_order_that_was_followed),
        cmocka_unit_test(health_and_pause_count_at_once_and_until_the_list),
        cmocka_unit_test(a_bad_list_changes_nothing),
        cmocka_unit_test(a_part_tells_what_is_otherwise),
        cmocka_unit_test(a_part_that_lags_raises_no_dead),
        cmocka_unit_test(the_same_list_again),
        cmocka_unit_test(a_snapshot_is_read_as_it_was_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
