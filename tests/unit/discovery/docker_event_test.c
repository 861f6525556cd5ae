/* SPDX-License-Identifier: Apache-2.0
 *
 * Events out of the engine's JSON, and its version: what Docker and Podman really told, and what
 * is refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "discovery/docker_json.h"
#include "recorded.h"

static struct arena arena;

static void assert_slice(struct slice got, const char *expected)
{
    assert_string_equal(arena_copy(&arena, got).data, expected);
}

struct expected_event {
    enum docker_action action;
    const char        *name; /* of it; of a network's: none, but Podman's */
    int                signal, exit_code;
    enum docker_health health;
};

static void check_event(struct slice line, const struct expected_event *x)
{
    struct docker_event event;
    struct error        e = { "" };
    if (!docker_parse_event(line, &arena, &event, &e))
        fail_msg("%.*s: %s", SLICE_ARG(line), e.text);
    assert_int_equal(event.action, x->action);
    assert_slice(event.name, x->name);
    assert_int_equal(event.id.len, 64);
    assert_int_equal(event.signal, x->signal);
    assert_int_equal(event.exit_code, x->exit_code);
    assert_int_equal(event.health, x->health);
    assert_true(event.time_nano > 1795659979000000000);
}

/* What is of no interest is in the recording, not in `rows`. */
static void check_events(const char *file, const struct expected_event *rows, size_t count)
{
    struct slice text = recorded_text(file, &arena);
    size_t       at = 0;
    while (text.len) {
        size_t              len = slice_find(text, '\n');
        struct docker_event event;
        struct error        e = { "" };
        struct slice        line = slice_make(text.data, len);
        text = slice_from(text, len + (len < text.len));
        assert_true(docker_parse_event(line, &arena, &event, &e));
        if (event.action == DOCKER_ACTION_OTHER) continue;
        assert_true(at < count);
        check_event(line, &rows[at++]);
    }
    assert_int_equal(at, count);
}

static void reads_what_docker_tells(void **state)
{
    (void)state;
    static const struct expected_event rows[] = {
        { DOCKER_ACTION_CHANGE, "", 0, -1, 0 }, /* connect of web-1 */
        { DOCKER_ACTION_START, "web-1", 0, -1, 0 },
        { DOCKER_ACTION_CHANGE, "", 0, -1, 0 }, /* connect of web-4 */
        { DOCKER_ACTION_HEALTH, "web-2", 0, -1, DOCKER_HEALTHY },
        { DOCKER_ACTION_START, "web-4", 0, -1, 0 },
        { DOCKER_ACTION_HEALTH, "web-3", 0, -1, DOCKER_UNHEALTHY },
        { DOCKER_ACTION_START, "paused", 0, -1, 0 },
        { DOCKER_ACTION_PAUSE, "paused", 0, -1, 0 },
        { DOCKER_ACTION_START, "exited", 0, -1, 0 },
        { DOCKER_ACTION_DIE, "exited", 0, 0, 0 },
        { DOCKER_ACTION_CHANGE, "", 0, -1, 0 }, /* connect of two */
        { DOCKER_ACTION_START, "two", 0, -1, 0 },
        { DOCKER_ACTION_CHANGE, "", 0, -1, 0 }, /* connect of two */
        { DOCKER_ACTION_KILL, "web-1", 1, -1, 0 },
        { DOCKER_ACTION_PAUSE, "web-1", 0, -1, 0 },
        { DOCKER_ACTION_UNPAUSE, "web-1", 0, -1, 0 },
        { DOCKER_ACTION_CHANGE, "", 0, -1, 0 }, /* disconnect of two, told twice */
        { DOCKER_ACTION_CHANGE, "", 0, -1, 0 },
        { DOCKER_ACTION_CHANGE, "", 0, -1, 0 }, /* connect of two */
        { DOCKER_ACTION_CHANGE, "zwei", 0, -1, 0 },
        { DOCKER_ACTION_CHANGE, "zwei", 0, -1, 0 },
        { DOCKER_ACTION_KILL, "web-4", 15, -1, 0 },
        { DOCKER_ACTION_KILL, "web-4", 9, -1, 0 },
        { DOCKER_ACTION_DIE, "web-4", 0, 137, 0 },
        { DOCKER_ACTION_CHANGE, "", 0, -1, 0 }, /* disconnect of web-4 */
        { DOCKER_ACTION_STOP, "web-4", 0, -1, 0 },
        { DOCKER_ACTION_CHANGE, "", 0, -1, 0 }, /* connect of web-4 */
        { DOCKER_ACTION_START, "web-4", 0, -1, 0 },
        { DOCKER_ACTION_CHANGE, "web-4", 0, -1, 0 }, /* restart */
        { DOCKER_ACTION_KILL, "web-1", 15, -1, 0 },
        { DOCKER_ACTION_KILL, "web-1", 9, -1, 0 },
        { DOCKER_ACTION_DIE, "web-1", 0, 137, 0 },
        { DOCKER_ACTION_CHANGE, "", 0, -1, 0 }, /* disconnect of web-1 */
        { DOCKER_ACTION_STOP, "web-1", 0, -1, 0 },
        { DOCKER_ACTION_DESTROY, "web-1", 0, -1, 0 },
    };
    check_events("docker-20.10-events-1.41.json", rows, sizeof(rows) / sizeof(rows[0]));
}

static void reads_what_podman_tells(void **state)
{
    (void)state;
    static const struct expected_event rows[] = {
        { DOCKER_ACTION_START, "web-1", 0, -1, 0 },
        { DOCKER_ACTION_START, "web-2", 0, -1, 0 },
        { DOCKER_ACTION_START, "web-4", 0, -1, 0 },
        { DOCKER_ACTION_HEALTH, "web-2", 0, -1, DOCKER_HEALTH_STARTING },
        { DOCKER_ACTION_KILL, "web-1", 0, -1, 0 }, /* it does not tell the signal */
        { DOCKER_ACTION_PAUSE, "web-4", 0, -1, 0 },
        { DOCKER_ACTION_UNPAUSE, "web-4", 0, -1, 0 },
        { DOCKER_ACTION_CHANGE, "", 0, -1, 0 },      /* disconnect of two */
        { DOCKER_ACTION_CHANGE, "", 0, -1, 0 },      /* connect of two */
        { DOCKER_ACTION_CHANGE, "web-4", 0, -1, 0 }, /* restart, told first */
        { DOCKER_ACTION_DIE, "web-4", 0, 137, 0 },
        { DOCKER_ACTION_START, "web-4", 0, -1, 0 },
        { DOCKER_ACTION_DIE, "web-2", 0, 137, 0 }, /* a stop, without kill */
        { DOCKER_ACTION_DESTROY, "web-2", 0, -1, 0 },
    };
    check_events("podman-4.3-events-1.41.json", rows, sizeof(rows) / sizeof(rows[0]));
}

static void network_events_name_the_container(void **state)
{
    (void)state;
    struct docker_event event;
    struct error        e = { "" };
    assert_true(docker_parse_event(
        S("{\"Type\":\"network\",\"Action\":\"connect\",\"Actor\":{\"ID\":\"net\",\"Attributes\":"
          "{\"container\":\"c1\",\"name\":\"front\",\"type\":\"bridge\"}}}"),
        &arena, &event, &e));
    assert_slice(event.id, "c1");
    assert_int_equal(event.action, DOCKER_ACTION_CHANGE);
    assert_true(docker_parse_event(
        S("{\"Type\":\"network\",\"Action\":\"disconnect\",\"Actor\":{\"ID\":\"c1\"}}"), &arena,
        &event, &e));
    assert_slice(event.id, "c1");
    assert_int_equal(event.action, DOCKER_ACTION_CHANGE);
    assert_true(
        docker_parse_event(S("{\"Type\":\"network\",\"Action\":\"destroy\"}"), &arena, &event, &e));
    assert_int_equal(event.action, DOCKER_ACTION_OTHER);
}

#define EVENT(members) "{\"Type\":\"container\",\"Actor\":{\"ID\":\"c1\"}," members "}"

static void knows_actions(void **state)
{
    (void)state;
    static const struct {
        const char        *json;
        enum docker_action action;
        enum docker_health health;
    } rows[] = {
        { "\x1e" EVENT("\"Action\":\"die\"") "\n", DOCKER_ACTION_DIE, 0 }, /* json-seq */
        { EVENT("\"status\":\"die\""), DOCKER_ACTION_DIE, 0 },
        { "{\"status\":\"die\",\"id\":\"c1\"}", DOCKER_ACTION_DIE, 0 },
        { EVENT("\"Action\":\"exec_create: kill\""), DOCKER_ACTION_OTHER, 0 },
        { EVENT("\"Action\":\"exec_die\""), DOCKER_ACTION_OTHER, 0 },
        { EVENT("\"Action\":\"Kill\""), DOCKER_ACTION_OTHER, 0 },
        { EVENT("\"Action\":\"health_status: healthy\""), DOCKER_ACTION_HEALTH, DOCKER_HEALTHY },
        { EVENT("\"Action\":\"health_status: starting\""), DOCKER_ACTION_HEALTH,
          DOCKER_HEALTH_STARTING },
        { EVENT("\"Action\":\"health_status: sick\""), DOCKER_ACTION_CHANGE, 0 },
        { EVENT("\"Action\":\"health_status\""), DOCKER_ACTION_CHANGE, 0 },
        { EVENT("\"Action\":\"health_status\",\"HealthStatus\":\"unhealthy\""),
          DOCKER_ACTION_HEALTH, DOCKER_UNHEALTHY },
        { "{\"Action\":\"health_status\",\"Actor\":{\"ID\":\"c1\",\"Attributes\":{\"health_"
          "status\":\"healthy\"}}}",
          DOCKER_ACTION_HEALTH, DOCKER_HEALTHY },
        { "{\"Type\":\"image\",\"Action\":\"remove\",\"Actor\":{\"ID\":\"c1\"}}",
          DOCKER_ACTION_OTHER, 0 },
        { "{\"Type\":\"container\",\"Action\":\"prune\",\"Actor\":{}}", DOCKER_ACTION_OTHER, 0 },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct docker_event event;
        struct error        e = { "" };
        if (!docker_parse_event(slice_of(rows[i].json), &arena, &event, &e))
            fail_msg("%s: %s", rows[i].json, e.text);
        if (event.action != rows[i].action || event.health != rows[i].health)
            fail_msg("%s: %d %d", rows[i].json, event.action, event.health);
        if (event.action != DOCKER_ACTION_OTHER) assert_slice(event.id, "c1");
    }
}

static void refuses_events(void **state)
{
    (void)state;
    static const struct {
        const char *json, *says;
    } rows[] = {
        { "", "no JSON" },
        { "\x1e", "no JSON" },
        { "[]", "an event: expected an object" },
        { "{}", "without Action" },
        { "{\"Action\":1}", "Action: expected a string" },
        { "{\"Action\":\"die\"}", "does not name" },
        { "{\"Action\":\"die\",\"Actor\":[]}", "Actor: expected an object" },
        { EVENT("\"Action\":\"die\",\"timeNano\":\"1\""), "timeNano: expected a number" },
        { "{\"Action\":\"kill\",\"Actor\":{\"ID\":\"a\",\"Attributes\":{\"signal\":9}}}",
          "signal: expected a string" },
        { "{\"Action\":\"die\",\"Actor\":{\"ID\":\"a\"}}{", "no JSON" },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct docker_event event;
        struct error        e = { "" };
        if (docker_parse_event(slice_of(rows[i].json), &arena, &event, &e))
            fail_msg("%s: accepted", rows[i].json);
        if (!strstr(e.text, rows[i].says)) fail_msg("%s: %s", rows[i].json, e.text);
        assert_null(event.id.data);
    }
}

static void odd_numbers_are_not_told(void **state)
{
    (void)state;
    static const char *const signals[] = { "", "SIGTERM", "-9", "65", "9 ", "999999999999" };
    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
        struct docker_event event;
        struct error        e;
        struct slice        json = arena_printf(
                   &arena,
                   "{\"Action\":\"kill\",\"Actor\":{\"ID\":\"a\",\"Attributes\":{\"signal\":\"%s\"}},"
                          "\"timeNano\":-1}",
                   signals[i]);
        assert_true(docker_parse_event(json, &arena, &event, &e));
        assert_int_equal(event.signal, 0);
        assert_int_equal(event.time_nano, 0);
    }
}

static void reads_versions(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        unsigned    version;
    } rows[] = {
        { "1.24", 124 }, { "1.41", 141 }, { "1.52", 152 }, { "2.0", 200 }, { "1.9", 109 },
        { "", 0 },       { "1", 0 },      { "1.", 0 },     { ".4", 0 },    { "1.41 ", 0 },
        { "1.x", 0 },    { "1.100", 0 },  { "-1.4", 0 },   { "1.4.1", 0 }, { "1.99999999999", 0 },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_int_equal(docker_parse_version(slice_of(rows[i].text)), rows[i].version);
    assert_int_equal(docker_parse_version((struct slice){ 0 }), 0);
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
        cmocka_unit_test_teardown(reads_what_docker_tells, forget),
        cmocka_unit_test_teardown(reads_what_podman_tells, forget),
        cmocka_unit_test_teardown(network_events_name_the_container, forget),
        cmocka_unit_test_teardown(knows_actions, forget),
        cmocka_unit_test_teardown(refuses_events, forget),
        cmocka_unit_test_teardown(odd_numbers_are_not_told, forget),
        cmocka_unit_test_teardown(reads_versions, forget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
