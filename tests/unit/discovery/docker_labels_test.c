/* SPDX-License-Identifier: Apache-2.0
 *
 * Labels that are ours: what they do, what is said of bad values and of misspelt
 * names.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "conf/load.h"
#include "discovery/docker_labels.h"
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

static void bad_labels_are_quarantined(void **state)
{
    (void)state;
    static const struct {
        const char *label, *why;
    } rows[] = {
        { "'wharfgate.port':'80a'", "wharfgate.port=\"80a\": expected a number from 1 to 65535" },
        { "'wharfgate.port':'0'", "wharfgate.port=\"0\": expected a number from 1 to 65535" },
        { "'wharfgate.port':'65536'",
          "wharfgate.port=\"65536\": expected a number from 1 to 65535" },
        { "'wharfgate.port':''", "wharfgate.port=\"\": expected a number from 1 to 65535" },
        { "'wharfgate.port':'4294967376'",
          "wharfgate.port=\"4294967376\": expected a number from 1 to 65535" },
        { "'wharfgate.weight':'0'", "wharfgate.weight=\"0\": expected a number from 1 to 1000" },
        { "'wharfgate.weight':'1001'",
          "wharfgate.weight=\"1001\": expected a number from 1 to 1000" },
        { "'wharfgate.weight':'-1'", "wharfgate.weight=\"-1\": expected a number from 1 to 1000" },
        { "'wharfgate.enable':'no'", "wharfgate.enable=\"no\": expected true or false" },
        { "'wharfgate.backup':'1'", "wharfgate.backup=\"1\": expected true or false" },
        { "'wharfgate.network':''", "wharfgate.network=\"\": expected the name of a network" },
        { "'wharfgate.port':'8\\u001b[2J'",
          "wharfgate.port=\"8\\u001b[2J\": expected a number from 1 to 65535" },
        { "'wharfgate.enable':'"
          "0123456789012345678901234567890123456789012345678901234567890123456789'",
          "wharfgate.enable=\"0123456789012345678901234567890123456789012345678901234567890123\"..."
          ": expected "
          "true or false" },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct docker_container c = made_container(rows[i].label, FRONT, RUNS);
        struct docker_choice    choice = choose(&c);
        assert_quarantine(&choice, arena_printf(&arena, "label %s", rows[i].why).data);
    }
}

static void labels_are_acted_on(void **state)
{
    (void)state;
    struct docker_container c =
        made_container("'wharfgate.weight':'1000','wharfgate.backup':'true'", FRONT, RUNS);
    struct docker_choice choice = choose(&c);
    assert_true(choice.is_usable);
    assert_int_equal(choice.weight, 1000);
    assert_true(choice.is_backup);
    c = made_container("'wharfgate.enable':'True','wharfgate.host':''", FRONT, RUNS);
    choice = choose(&c);
    assert_true(choice.is_usable);
    assert_int_equal(choice.weight, 1);
    assert_false(choice.is_backup);
    c = made_container("'wharfgate.enable':'false','wharfgate.port':'x'", FRONT, RUNS);
    choice = choose(&c);
    assert_absent(&choice, "taken out by label wharfgate.enable");
    c = made_container("", FRONT, RUNS);
    c.is_cut = true;
    choice = choose(&c);
    assert_quarantine(&choice, "it has more than 1024 labels or 64 networks: not all were read");
}

/* ---- misspelt labels ---- */

static void note(void *arg, struct slice label, struct slice meant)
{
    struct slice *noted = arg;
    *noted = arena_printf(&arena, "%.*s%.*s>%.*s ", SLICE_ARG(*noted), SLICE_ARG(label),
                          SLICE_ARG(meant));
}

static void hints_at_misspelt_labels(void **state)
{
    (void)state;
    static const struct {
        const char *label, *meant; /* NULL: not misspelt */
    } rows[] = {
        { "wharfgat.port", "wharfgate.port" },
        { "wharfgate.prot", "wharfgate.port" },
        { "Wharfgate.Port", "wharfgate.port" },
        { "wharfgate.weigth", "wharfgate.weight" },
        { "wharfgate.enabled", "wharfgate.enable" },
        { "wharfgate.hosts", "wharfgate.host" },
        { "whrafgate.network", "wharfgate.network" },
        { "wharfgate_port", "wharfgate.port" },
        { "wharfgate.health-path", "wharfgate.health.path" },
        { "wharfgate.ratelimit", "wharfgate.rate_limit" },
        { "wharfgate.frobnicate", "" },
        { "wharfgate.", "" },
        { "wharfgate", "" },
        { "wharfgates.x", "" },
        { "app", NULL },
        { "traefik.port", NULL },
        { "wharfie.port", NULL },
        { "wharf.port", NULL },
        { "com.docker.compose.service", NULL },
        { "", NULL },
        { ".port", NULL },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct docker_label     label = { slice_of(rows[i].label), S("1") };
        struct docker_container c = { .labels = &label, .label_count = 1 };
        struct slice            noted = S("");
        docker_check_labels(&c, note, &noted);
        struct slice expected = S("");
        if (rows[i].meant) note(&expected, label.name, slice_of(rows[i].meant));
        assert_string_equal(text_of(noted), text_of(expected));
    }
    for (size_t i = 0; i < DOCKER_LABEL_COUNT; i++) {
        struct docker_label     label = { docker_label_rows[i].name, S("1") };
        struct docker_container c = { .labels = &label, .label_count = 1 };
        struct slice            noted = S("");
        docker_check_labels(&c, note, &noted);
        assert_int_equal(noted.len, 0);
        assert_true(slice_starts_with(label.name, S("wharfgate.")));
        assert_true(docker_label_rows[i].key || strlen(docker_label_rows[i].expected));
    }
}

/* The documentation says of each label what the table does. */
static void labels_are_documented(void **state)
{
    struct buffer text = BUFFER_INIT;
    struct error  e = { "" };
    const char   *top = getenv("top_srcdir");
    (void)state;
    const char *path = arena_printf(&arena, "%s/docs/operations.md", top ? top : ".").data;
    if (!conf_reader_direct.read(NULL, path, 1 << 20, &text, &e)) fail_msg("%s", e.text);
    for (size_t i = 0; i < DOCKER_LABEL_COUNT; i++) {
        const struct docker_label_row *row = &docker_label_rows[i];
        struct slice line = arena_printf(&arena, "\n| `%s` | %s |\n", row->name.data, row->doc);
        if (!memmem(text.data, text.len, line.data, line.len)) fail_msg("no %s", line.data + 1);
    }
    buffer_reset(&text);
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
        cmocka_unit_test_teardown(bad_labels_are_quarantined, forget),
        cmocka_unit_test_teardown(labels_are_acted_on, forget),
        cmocka_unit_test_teardown(hints_at_misspelt_labels, forget),
        cmocka_unit_test_teardown(labels_are_documented, forget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
