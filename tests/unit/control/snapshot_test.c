/* SPDX-License-Identifier: Apache-2.0
 *
 * A configuration's texts remembered: loaded again although the files are gone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "control/snapshot.h"

struct shelf {
    const char *content; /* NULL: the file is gone */
    unsigned    read_count;
};

static bool shelf_read(void *arg, const char *path, size_t max_bytes, struct buffer *to,
                       struct error *e)
{
    struct shelf *s = arg;
    (void)max_bytes;
    s->read_count++;
    if (!s->content) return error_set(e, "%s is gone", path);
    buffer_puts(to, s->content);
    return true;
}

static bool shelf_glob(void *arg, const char *pattern, void (*found)(void *, const char *),
                       void *to, struct error *e)
{
    (void)arg;
    (void)pattern;
    (void)e;
    found(to, "/a");
    found(to, "/b");
    return true;
}

static void count_path(void *to, const char *path)
{
    (void)path;
    ++*(int *)to;
}

static void what_was_read_can_be_read_again(void **state)
{
    (void)state;
    struct shelf             shelf = { .content = "one" };
    struct conf_reader       inner = { shelf_read, shelf_glob, &shelf };
    struct snapshot          s;
    struct snapshot_recorder recorder = { &s, &inner };
    struct conf_reader       recording = snapshot_record(&recorder);
    struct buffer            text = BUFFER_INIT;
    struct error             e;
    int                      found = 0;
    snapshot_init(&s);
    assert_true(snapshot_is_empty(&s));
    buffer_puts(&text, "before ");
    assert_true(recording.read(recording.arg, "/a", 100, &text, &e));
    assert_true(recording.glob(recording.arg, "/*", count_path, &found, &e));
    assert_string_equal(text.data, "before one");
    shelf.content = NULL;
    struct conf_reader replaying = snapshot_replay(&s);
    buffer_reset(&text);
    assert_true(replaying.read(replaying.arg, "/a", 100, &text, &e));
    assert_string_equal(text.data, "one");
    assert_true(replaying.glob(replaying.arg, "/*", count_path, &found, &e));
    assert_int_equal(found, 4);
    assert_false(replaying.read(replaying.arg, "/b", 100, &text, &e));
    assert_false(replaying.read(replaying.arg, "/a", 2, &text, &e));
    assert_false(replaying.glob(replaying.arg, "/b*", count_path, &found, &e));
    assert_int_equal(shelf.read_count, 1);
    buffer_reset(&text);
    snapshot_reset(&s);
}

static void a_file_that_is_gone_is_remembered_by_name(void **state)
{
    (void)state;
    struct shelf             shelf = { .content = NULL };
    struct conf_reader       inner = { shelf_read, shelf_glob, &shelf };
    struct snapshot          s, moved;
    struct snapshot_recorder recorder = { &s, &inner };
    struct conf_reader       recording = snapshot_record(&recorder);
    struct buffer            text = BUFFER_INIT;
    struct error             e;
    snapshot_init(&s);
    snapshot_init(&moved);
    assert_false(recording.read(recording.arg, "/a", 100, &text, &e));
    assert_false(snapshot_is_empty(&s));
    snapshot_move(&moved, &s);
    assert_true(snapshot_is_empty(&s));
    assert_false(snapshot_is_empty(&moved));
    snapshot_reset(&moved);
    snapshot_reset(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_read_can_be_read_again),
        cmocka_unit_test(a_file_that_is_gone_is_remembered_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
