/* SPDX-License-Identifier: Apache-2.0
 *
 * Files beneath a folder: what opens, what is kept and for how long.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "origin/file_cache.h"

static char                    root[] = "/tmp/wharfgate-files-XXXXXX";
static struct file_cache_rules rules;
static struct file_cache       cache;

static void make(const char *name, const char *text)
{
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

/* The tests stand in the root. */
static int begin(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(root));
    assert_int_equal(chdir(root), 0);
    assert_int_equal(mkdir("sub", 0755), 0);
    make("a.txt", "one");
    make("sub/b.txt", "two");
    return 0;
}

static int forget(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st, (void)kind, (void)ftw;
    return remove(path);
}

static int end(void **state)
{
    (void)state;
    assert_int_equal(chdir("/"), 0);
    return nftw(root, forget, 8, FTW_DEPTH | FTW_PHYS);
}

static int setup(void **state)
{
    (void)state;
    rules = (struct file_cache_rules){ .root = root, .most = 4 };
    file_cache_init(&cache, &rules);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    file_cache_reset(&cache);
    return 0;
}

static struct open_file *get(const char *path, uint64_t now_ms)
{
    struct open_file *f = NULL;
    assert_int_equal(file_cache_open(&cache, slice_of(path), now_ms, &f), FILE_OPEN);
    return f;
}

static enum file_result result(const char *path)
{
    struct open_file *f = NULL;
    enum file_result  r = file_cache_open(&cache, slice_of(path), 1, &f);
    if (f) outq_file_unref(&f->file);
    return r;
}

static void give(struct open_file *f)
{
    outq_file_unref(&f->file);
}

static void opens_beneath_the_root_only(void **state)
{
    (void)state;
    assert_int_equal(symlink("sub/b.txt", "inside"), 0);
    assert_int_equal(symlink("../a.txt", "sub/inside"), 0);
    assert_int_equal(symlink("/etc/passwd", "absolute"), 0);
    assert_int_equal(symlink("../../etc/passwd", "sub/up"), 0);
    assert_int_equal(symlink("..", "parent"), 0);
    assert_int_equal(symlink("/proc/self/root", "magic"), 0);
    assert_int_equal(symlink("loop", "loop"), 0);
    assert_int_equal(mkfifo("pipe", 0644), 0);
    assert_int_equal(result("a.txt"), FILE_OPEN);
    assert_int_equal(result("inside"), FILE_OPEN);
    assert_int_equal(result("sub/inside"), FILE_OPEN);
    assert_int_equal(result("sub"), FILE_IS_FOLDER);
    const char *missing[] = {
        "none", "a.txt/x", "absolute",      "sub/up",     "parent/etc/passwd", "magic/etc/passwd",
        "loop", "pipe",    "../etc/passwd", "/etc/passwd"
    };
    for (size_t i = 0; i < sizeof(missing) / sizeof(missing[0]); i++)
        if (result(missing[i]) != FILE_MISSING) fail_msg("%s", missing[i]);
}

static void what_is_known_of_a_file(void **state)
{
    (void)state;
    const struct timespec times[2] = { { 784111777, 0 }, { 784111777, 0 } };
    assert_int_equal(utimensat(AT_FDCWD, "a.txt", times, 0), 0);
    struct open_file *f = get("a.txt", 1);
    assert_int_equal(f->size, 3);
    assert_int_equal(f->modified_s, 784111777);
    assert_string_equal(f->modified, "Sun, 06 Nov 1994 08:49:37 GMT");
    assert_string_equal(f->etag, "\"ae1b981bc490a00-3\"");
    give(f);
}

static void a_file_is_believed_for_a_second(void **state)
{
    (void)state;
    struct open_file *f = get("a.txt", 1), *same = get("a.txt", 1000);
    assert_ptr_equal(f, same);
    make("new", "new one");
    assert_int_equal(rename("new", "a.txt"), 0);
    struct open_file *old = get("a.txt", 1000), *fresh = get("a.txt", 1001);
    assert_ptr_equal(old, f);
    assert_int_equal(fresh->size, 7);
    char text[3]; /* who has it goes on with what it was */
    assert_int_equal(pread(f->file.fd, text, 3, 0), 3);
    assert_memory_equal(text, "one", 3);
    give(f), give(same), give(old), give(fresh);
    make("a.txt", "one");
}

static void a_file_that_was_short_is_opened_anew(void **state)
{
    (void)state;
    struct open_file *f = get("a.txt", 1);
    f->file.is_short = true;
    struct open_file *fresh = get("a.txt", 1);
    assert_ptr_not_equal(f, fresh);
    give(f), give(fresh);
}

static void the_last_used_are_kept(void **state)
{
    (void)state;
    char name[16];
    for (int i = 0; i < 6; i++) {
        snprintf(name, sizeof(name), "many%d", i);
        make(name, "x");
        give(get(name, 1));
        give(get("a.txt", 1)); /* is used again and again */
        assert_true(cache.fd_count <= rules.most);
    }
    assert_int_equal(cache.fd_count, 4);
    assert_int_equal(cache.files.count, 4);
    assert_non_null(map_get(&cache.files, S("a.txt")));
    assert_non_null(map_get(&cache.files, S("many5")));
    assert_null(map_get(&cache.files, S("many2")));
    assert_true(file_cache_expire(&cache, 10000, 10000));
    assert_false(file_cache_expire(&cache, 10001, 10000));
    assert_int_equal(cache.fd_count, 0);
}

static void nothing_is_kept_where_nothing_may_be(void **state)
{
    (void)state;
    rules.most = 0;
    struct open_file *f = get("a.txt", 1);
    assert_int_equal(cache.fd_count, 0);
    assert_int_equal(f->file.ref_count, 1);
    give(f);
}

static void coded_files_lie_beside(void **state)
{
    (void)state;
    rules.codings[rules.coding_count++] = CODING_BR;
    rules.codings[rules.coding_count++] = CODING_ZSTD;
    rules.codings[rules.coding_count++] = CODING_GZIP;
    make("a.txt.gz", "gz");
    make("a.txt.br", "br");
    struct open_file *f = get("a.txt", 1);
    assert_int_equal(f->coded[0]->coding, CODING_BR);
    assert_null(f->coded[1]);
    assert_int_equal(f->coded[2]->coding, CODING_GZIP);
    assert_non_null(strstr(f->coded[2]->etag, "-gzip\""));
    assert_int_equal(cache.fd_count, 3);
    give(f);
    unlink("a.txt.gz");
    unlink("a.txt.br");
}

static void the_root_may_be_turned_elsewhere(void **state)
{
    (void)state;
    assert_int_equal(mkdir("one", 0755) | mkdir("two", 0755), 0);
    make("one/x", "1");
    make("two/x", "22");
    assert_int_equal(symlink("one", "now"), 0);
    rules.root = "now";
    give(get("x", 1));
    assert_int_equal(unlink("now") | symlink("two", "now"), 0);
    struct open_file *f = get("x", 500);
    assert_int_equal(f->size, 1);
    give(f);
    f = get("x", 1001);
    assert_int_equal(f->size, 2);
    give(f);
    unlink("now");
    assert_int_equal(file_cache_open(&cache, S("x"), 3000, &f), FILE_MISSING);
}

static void a_root_is_checked(void **state)
{
    (void)state;
    char why[200];
    assert_true(file_cache_check(&rules, why, sizeof(why)));
    rules.root = "a.txt";
    assert_false(file_cache_check(&rules, why, sizeof(why)));
    assert_string_equal(why, "Not a directory");
    rules.root = "none";
    assert_false(file_cache_check(&rules, why, sizeof(why)));
    assert_string_equal(why, "No such file or directory");
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(opens_beneath_the_root_only),
        T(what_is_known_of_a_file),
        T(a_file_is_believed_for_a_second),
        T(a_file_that_was_short_is_opened_anew),
        T(the_last_used_are_kept),
        T(nothing_is_kept_where_nothing_may_be),
        T(coded_files_lie_beside),
        T(the_root_may_be_turned_elsewhere),
        T(a_root_is_checked),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
