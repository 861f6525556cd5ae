/* SPDX-License-Identifier: Apache-2.0
 *
 * Which containers are an upstream's, at which address and port and in which
 * state, and what is said when they cannot be used.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "discovery/docker_pick.h"
#include "recorded.h"

static struct arena                     arena;
static const struct docker_surroundings nowhere;
static const struct docker_settings     app = { .label = SLICE("app") };

/* "" for a text that is unset. */
static const char *text_of(struct slice text)
{
    return arena_copy(&arena, text).data;
}

static struct docker_choice choose(const struct docker_container *c)
{
    struct docker_choice choice;
    docker_choose(c, false, &app, &nowhere, &arena, &choice);
    return choice;
}

static const char *address_of(const struct docker_choice *choice)
{
    static char text[ADDRESS_TEXT_MAX];
    address_format(&choice->address, text);
    return choice->is_usable ? text : "";
}

static void assert_quarantine(const struct docker_choice *choice, const char *why)
{
    assert_true(choice->is_member);
    assert_false(choice->is_usable);
    assert_true(choice->is_in_quarantine);
    assert_string_equal(text_of(choice->why), why);
}

static void assert_absent(const struct docker_choice *choice, const char *why)
{
    assert_true(choice->is_member);
    assert_false(choice->is_usable);
    assert_false(choice->is_in_quarantine);
    assert_string_equal(text_of(choice->why), why);
}

/* ---- what was recorded ---- */

static struct docker_choice choose_recorded(const char *file, const char *name,
                                            const struct docker_settings *upstream)
{
    struct recorded_list list = recorded_list(file, &arena);
    struct docker_choice choice;
    docker_choose(recorded_find(&list, name), false, upstream, &nowhere, &arena, &choice);
    return choice;
}

static void serves_a_compose_service(void **state)
{
    (void)state;
    static const struct docker_settings web = { .service = SLICE("web"), .project = SLICE("shop") };
    static const struct {
        const char       *name, *text, *reason;
        enum source_state state;
        uint32_t          weight;
    } rows[] = {
        { "web-1", "10.213.1.2:8000 web-1", "", SOURCE_READY, 1 },
        { "web-2", "10.213.1.3:8000 web-2", "", SOURCE_READY, 5 },
        { "web-3", "10.213.1.4:8000 web-3", "its HEALTHCHECK fails", SOURCE_UNHEALTHY, 1 },
        { "web-4", "10.213.1.5:8000 web-4", "its HEALTHCHECK has not passed yet", SOURCE_STARTING,
          1 },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct docker_choice c = choose_recorded("docker-20.10-list-1.41.json", rows[i].name, &web);
        assert_true(c.is_usable);
        assert_string_equal(text_of(c.text), rows[i].text);
        assert_string_equal(text_of(c.state_reason), rows[i].reason);
        assert_int_equal(c.state, rows[i].state);
        assert_int_equal(c.weight, rows[i].weight);
        assert_string_equal(text_of(c.network), "front");
        assert_string_equal(text_of(c.network_why), "the only one");
        assert_string_equal(text_of(c.port_why), "the only one exposed");
    }
    struct docker_choice exited = choose_recorded("docker-20.10-list-1.41.json", "exited", &web);
    assert_absent(&exited, "exited");
    assert_false(choose_recorded("docker-20.10-list-1.41.json", "oneoff", &web).is_member);
    assert_false(choose_recorded("docker-20.10-list-1.41.json", "two", &web).is_member);
}

static void says_of_recorded_ones_why_not(void **state)
{
    (void)state;
    static const struct {
        const char *file, *name, *why;
    } rows[] = {
        { "docker-20.10-list-1.41.json", "shared",
          "it is in the network of container "
          "\"35fa16bc4efeb5170154182a8d5c7c41c3c968bfaa20ca63cd4f843b9ac03ee3\" (network_mode): "
          "give "
          "the label to that one, and its port" },
        { "docker-20.10-list-1.41.json", "nonet",
          "it has no network (network_mode: none): put it into one" },
        { "docker-20.10-list-1.41.json", "paused",
          "it exposes several TCP ports (80, 81): say which with label wharfgate.port, or with "
          "`port` "
          "of the upstream" },
        { "docker-20.10-list-1.41.json", "published",
          "it exposes several TCP ports (80, 443, 500, 501, 502, 503, 504, 505, ...): say which "
          "with "
          "label wharfgate.port, or with `port` of the upstream" },
        { "docker-20.10-list-1.41.json", "labels",
          "label wharfgate.port=\"80a\": expected a number from 1 to 65535" },
        { "podman-4.3-list-1.41.json", "hostnet",
          "no network is listed of it: put it into one that the gateway reaches" },
        { "podman-4.3-list-1.41.json", "two",
          "it is in several networks (\"back\", \"front\"): say which with label "
          "wharfgate.network, or "
          "with `network` of the upstream" },
        { "podman-4.3-list-1.41.json", "web-1",
          "no TCP port of it is listed as exposed: say it with label wharfgate.port, or with "
          "`port` of "
          "the upstream" },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct recorded_list    list = recorded_list(rows[i].file, &arena);
        struct docker_container c = *recorded_find(&list, rows[i].name);
        struct docker_settings  any = { .label = SLICE("app") };
        struct docker_label     labels[8] = { { S("app"), S("") } };
        memcpy(labels + 1, c.labels, c.label_count * sizeof(labels[0]));
        c.labels = labels;
        c.label_count++;
        struct docker_choice choice;
        docker_choose(&c, false, &any, &nowhere, &arena, &choice);
        assert_quarantine(&choice, rows[i].why);
    }
}

static void reaches_the_host(void **state)
{
    (void)state;
    static const struct docker_settings by_label = { .label = SLICE("wharfgate.port=8088") };
    struct docker_choice c = choose_recorded("docker-20.10-list-1.41.json", "hostnet", &by_label);
    assert_string_equal(text_of(c.text), "127.0.0.1:8088 hostnet");
    assert_string_equal(text_of(c.network_why), "network_mode: host");
    assert_string_equal(text_of(c.port_why), "label wharfgate.port");
    /* Podman says the mode of every container. */
    struct docker_container podman =
        made_container("", FRONT, RUNS ",'HostConfig':{'NetworkMode':'host'}");
    c = choose(&podman);
    assert_string_equal(address_of(&c), "10.0.0.7:80");
}

/* ---- membership ---- */

static void belongs_by_labels(void **state)
{
    (void)state;
#define COMPOSE(service, project)                                                                  \
    "'com.docker.compose.service':'" service "','com.docker.compose.project':'" project "'"
    static const struct {
        struct docker_settings upstream;
        const char            *labels;
        bool                   is_member;
    } rows[] = {
        { { .label = SLICE("app") }, "", true },
        { { .label = SLICE("app=x") }, "", true },
        { { .label = SLICE("app=") }, "", false },
        { { .label = SLICE("app=xy") }, "", false },
        { { .label = SLICE("ap") }, "", false },
        { { .label = SLICE("empty") }, "'empty':''", true },
        { { .label = SLICE("empty=") }, "'empty':''", true },
        { { .label = SLICE("a=b=c") }, "'a':'b=c'", true },
        { { .service = SLICE("web") }, COMPOSE("web", "p"), true },
        { { .service = SLICE("we") }, COMPOSE("web", "p"), false },
        { { .service = SLICE("web") }, "", false },
        { { .service = SLICE("web"), .project = SLICE("p") }, COMPOSE("web", "p"), true },
        { { .service = SLICE("web"), .project = SLICE("q") }, COMPOSE("web", "p"), false },
        { { .label = SLICE("app"), .project = SLICE("q") }, COMPOSE("web", "p"), false },
        { { .label = SLICE("app") }, "'com.docker.compose.oneoff':'True'", false },
        { { .label = SLICE("app") }, "'com.docker.compose.oneoff':'False'", true },
        { { .network = SLICE("front") }, "", false },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct docker_container c = made_container(rows[i].labels, FRONT, RUNS);
        struct docker_choice    choice;
        docker_choose(&c, false, &rows[i].upstream, &nowhere, &arena, &choice);
        if (choice.is_member != rows[i].is_member) fail_msg("row %zu", i);
        assert_int_equal(choice.is_usable, rows[i].is_member);
        assert_false(choice.is_in_quarantine);
    }
}

/* ---- network ---- */

static void network_in_order(void **state)
{
    (void)state;
    const struct docker_container gateway = made_container("", "'edge':{'NetworkID':'n2'}", RUNS);
    const struct docker_container blank = made_container("", "'edge':{'NetworkID':''}", RUNS);
    const struct docker_container bridge = made_container("", "'edge':{'NetworkID':'n9'}", RUNS);
    static const struct docker_settings in_front = { .label = SLICE("app"),
                                                     .network = SLICE("front") };
    const struct {
        const char                    *labels, *networks;
        const struct docker_settings  *upstream;
        const struct docker_container *self;
        struct slice                   network; /* of discovery */
        const char                    *address, *why;
    } rows[] = {
        { "'wharfgate.network':'back'", FRONT "," BACK, &in_front, NULL, S("front"), "10.0.1.7:80",
          "label wharfgate.network" },
        { "", FRONT "," BACK, &in_front, &gateway, S("back"), "10.0.0.7:80",
          "`network` of the upstream" },
        { "", FRONT "," BACK, &app, &gateway, S("front"), "10.0.0.7:80",
          "`network` of discovery.docker" },
        { "", FRONT "," BACK, &app, &gateway, S("other"), "10.0.1.7:80",
          "the gateway is in it too" },
        { "", FRONT, &app, &gateway, S("other"), "10.0.0.7:80", "the only one" },
        { "", FRONT "," BACK, &app, &bridge, S(""), "", "" },
        { "", "'a':{'IPAddress':'10.0.0.1'},'b':{'IPAddress':'10.0.0.2'}", &app, &gateway, S(""),
          "", "" },
        { "", "'a':{'IPAddress':'10.0.0.1'},'b':{'IPAddress':'10.0.0.2'}", &app, &blank, S(""), "",
          "" },
        { "", "'six':{'GlobalIPv6Address':'fd00::7'}", &app, NULL, S(""), "[fd00::7]:80",
          "the only one" },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct docker_container    c = made_container(rows[i].labels, rows[i].networks, RUNS);
        struct docker_surroundings around = { rows[i].self, rows[i].network, NULL };
        struct docker_choice       choice;
        docker_choose(&c, false, rows[i].upstream, &around, &arena, &choice);
        assert_string_equal(address_of(&choice), rows[i].address);
        assert_string_equal(text_of(choice.network_why), rows[i].why);
        assert_int_equal(choice.is_in_quarantine, !*rows[i].address);
    }
}

static void a_network_that_it_is_not_in(void **state)
{
    (void)state;
    static const struct docker_settings other = { .label = SLICE("app"), .network = SLICE("b\n") };
    struct docker_container c = made_container("'wharfgate.network':'bakc'", FRONT "," BACK, RUNS);
    struct docker_choice    choice = choose(&c);
    assert_quarantine(&choice, "it is not in network \"bakc\" (label wharfgate.network), but in: "
                               "\"back\", \"front\"");
    c = made_container("", FRONT, RUNS);
    docker_choose(&c, false, &other, &nowhere, &arena, &choice);
    assert_quarantine(
        &choice,
        "it is not in network \"b\\u000a\" (`network` of the upstream), but in: \"front\"");
}

/* ---- port ---- */

static void port_in_order(void **state)
{
    (void)state;
    static const struct docker_settings with_port = { .label = SLICE("app"), .port = 9000 };
    struct docker_container             c = made_container("'wharfgate.port':'8080'", FRONT, RUNS);
    struct docker_choice                choice;
    docker_choose(&c, false, &with_port, &nowhere, &arena, &choice);
    assert_int_equal(choice.address.port, 8080);
    assert_string_equal(text_of(choice.port_why), "label wharfgate.port");
    c = made_container("", FRONT, RUNS);
    docker_choose(&c, false, &with_port, &nowhere, &arena, &choice);
    assert_int_equal(choice.address.port, 9000);
    assert_string_equal(text_of(choice.port_why), "`port` of the upstream");
    c = made_container("", FRONT,
                       "'State':'running','Ports':[{'PrivatePort':53,'Type':'udp'}," PORT80
                       "," PORT80 "]");
    choice = choose(&c);
    assert_int_equal(choice.address.port, 80);
    assert_string_equal(text_of(choice.port_why), "the only one exposed");
}

/* ---- state ---- */

static void state_of_the_endpoint(void **state)
{
    (void)state;
    static const struct {
        const char       *state, *status;
        bool              is_killed;
        enum source_state expected;
        const char       *reason;
    } rows[] = {
        { "running", "Up", false, SOURCE_READY, "" },
        { "running", "Up (healthy)", false, SOURCE_READY, "" },
        { "running", "Up (health: starting)", false, SOURCE_STARTING,
          "its HEALTHCHECK has not passed yet" },
        { "running", "Up (unhealthy)", false, SOURCE_UNHEALTHY, "its HEALTHCHECK fails" },
        { "paused", "Up (Paused)", false, SOURCE_UNHEALTHY, "paused" },
        { "paused", "Up (Paused)", true, SOURCE_DRAINING, "stopping" },
        { "running", "Up (unhealthy)", true, SOURCE_DRAINING, "stopping" },
        { "stopping", "Stopping", false, SOURCE_DRAINING, "stopping" },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct slice more = arena_printf(&arena, "'Ports':[" PORT80 "],'State':'%s','Status':'%s'",
                                         rows[i].state, rows[i].status);
        struct docker_container c = made_container("", FRONT, more.data);
        struct docker_choice    choice;
        docker_choose(&c, rows[i].is_killed, &app, &nowhere, &arena, &choice);
        assert_true(choice.is_usable);
        assert_int_equal(choice.state, rows[i].expected);
        assert_string_equal(text_of(choice.state_reason), rows[i].reason);
    }
}

static void those_that_are_not_there(void **state)
{
    (void)state;
    static const struct {
        const char *state, *why;
    } rows[] = {
        { "created", "created and not started" },
        { "restarting", "restarting" },
        { "removing", "being removed" },
        { "exited", "exited" },
        { "dead", "dead" },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct slice            more = arena_printf(&arena, "'State':'%s'", rows[i].state);
        struct docker_container c = made_container("'wharfgate.port':'x'", FRONT, more.data);
        struct docker_choice    choice = choose(&c);
        assert_absent(&choice, rows[i].why);
    }
    struct docker_container c = made_container("", FRONT, "'State':'melting'");
    struct docker_choice    choice = choose(&c);
    assert_quarantine(&choice, "the daemon tells a state of it that is not known");
    c = made_container("", "'front':{'NetworkID':'n1','IPAddress':''}", RUNS);
    choice = choose(&c);
    assert_absent(&choice, "no address in its network yet");
}

static void identity_is_container_network_and_address(void **state)
{
    (void)state;
    struct docker_container c = made_container("", FRONT, RUNS);
    struct docker_choice    choice = choose(&c);
    assert_string_equal(text_of(choice.identity), "c1/n1/10.0.0.7:80");
    assert_string_equal(text_of(choice.text), "10.0.0.7:80 web");
    c.name = (struct slice){ 0 };
    choice = choose(&c);
    assert_string_equal(text_of(choice.text), "10.0.0.7:80");
}

static int forget(void **state)
{
    (void)state;
    arena_reset(&arena);
    made_forget();
    return 0;
}

int main(void)
{
    arena_init(&arena, NULL);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(serves_a_compose_service, forget),
        cmocka_unit_test_teardown(says_of_recorded_ones_why_not, forget),
        cmocka_unit_test_teardown(reaches_the_host, forget),
        cmocka_unit_test_teardown(belongs_by_labels, forget),
        cmocka_unit_test_teardown(network_in_order, forget),
        cmocka_unit_test_teardown(a_network_that_it_is_not_in, forget),
        cmocka_unit_test_teardown(port_in_order, forget),
        cmocka_unit_test_teardown(state_of_the_endpoint, forget),
        cmocka_unit_test_teardown(those_that_are_not_there, forget),
        cmocka_unit_test_teardown(identity_is_container_network_and_address, forget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
