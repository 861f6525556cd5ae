/* SPDX-License-Identifier: Apache-2.0
 *
 * The way of lines from workers to a file: whole, counted, never waited for.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buffer.h"
#include "proxy/access_log.h"

enum { WAIT_MS = 20000, THREADS = 4, LINES_EACH = 20000 };

static const struct clock noon = {
    .iso_seconds = "2026-11-21T12:20:00",
    .log_date = "21/Nov/2026:12:20:00 +0000",
};

struct fixture {
    struct log         errors;
    int                errors_fd;
    struct access_log *log;
};

static int memory_file(void)
{
    int fd = memfd_create("log", MFD_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

/* The log owns what it is given; the test keeps looking through `fd`. */
static int lend(int fd)
{
    int other = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    assert_true(other >= 0);
    return other;
}

static void fixture_open(struct fixture *f, int fd, unsigned ring_count, size_t ring_bytes)
{
    struct error e = { "" };
    f->errors_fd = memory_file();
    log_init(&f->errors, f->errors_fd, LOG_LEVEL_INFO);
    f->log = access_log_new(&(struct access_log_options){ .fd = fd,
                                                          .name = "test",
                                                          .format = LOG_FORMAT_COMBINED,
                                                          .ring_count = ring_count,
                                                          .ring_bytes = ring_bytes,
                                                          .log = &f->errors },
                            &e);
    assert_non_null(f->log);
}

static void fixture_close(struct fixture *f)
{
    access_log_free(f->log);
    close(f->errors_fd);
}

static struct buffer content(int fd)
{
    struct stat   st;
    struct buffer b = BUFFER_INIT;
    assert_int_equal(fstat(fd, &st), 0);
    char *to = buffer_reserve(&b, (size_t)st.st_size);
    assert_int_equal(pread(fd, to, (size_t)st.st_size, 0), st.st_size);
    b.len = (size_t)st.st_size;
    to[b.len] = '\0';
    return b;
}

static unsigned count_of(const char *text, const char *what)
{
    unsigned n = 0;
    for (; (text = strstr(text, what)); text += strlen(what)) n++;
    return n;
}

static bool put(struct access_log *l, unsigned ring, const char *target)
{
    struct access_record r = { .client = S("c"),
                               .method = S("GET"),
                               .target = slice_of(target),
                               .protocol = S("HTTP/1.1"),
                               .status = 200 };
    return access_log_write(access_log_ring(l, ring), &noon, &r);
}

#define LINE(target)                                                                               \
    "c - - [21/Nov/2026:12:20:00 +0000] \"GET " target " HTTP/1.1\" 200 0 \"-\" \"-\"\n"

static void lines_arrive_and_the_end_flushes(void **state)
{
    (void)state;
    int            fd = memory_file();
    struct fixture f;
    fixture_open(&f, lend(fd), 2, 0);
    assert_true(put(f.log, 0, "/a"));
    assert_true(access_log_flush(f.log, WAIT_MS));
    struct buffer b = content(fd);
    assert_string_equal(b.data, LINE("/a"));
    buffer_reset(&b);
    assert_true(put(f.log, 1, "/b"));
    assert_true(access_log_write(NULL, &noon, NULL));
    fixture_close(&f);
    b = content(fd);
    assert_string_equal(b.data, LINE("/a") LINE("/b"));
    buffer_reset(&b);
    close(fd);
}

/* Without a flush: the writer looks by itself. */
static void lines_arrive_unasked(void **state)
{
    (void)state;
    int            ends[2];
    struct fixture f;
    assert_int_equal(pipe(ends), 0);
    fixture_open(&f, ends[1], 1, 0);
    char text[sizeof(LINE("/a")) + 1];
    for (int i = 0; i < 3; i++) {
        assert_true(put(f.log, 0, "/a"));
        assert_int_equal(read(ends[0], text, sizeof(text)), sizeof(LINE("/a")) - 1);
    }
    fixture_close(&f);
    close(ends[0]);
}

/* ---- several workers and a small ring ---- */

struct producer {
    struct access_log *log;
    unsigned           index;
    uint64_t           dropped;
};

static void *produce(void *arg)
{
    struct producer *p = arg;
    for (unsigned i = 0; i < LINES_EACH; i++) {
        char target[32];
        snprintf(target, sizeof(target), "/%u/%u", p->index, i);
        if (!put(p->log, p->index, target)) p->dropped++;
    }
    return NULL;
}

static void check_lines(const struct buffer *b, uint64_t want)
{
    long     last[THREADS] = { -1, -1, -1, -1 };
    uint64_t seen = 0;
    for (char *at = b->data; *at; seen++) {
        unsigned thread, number;
        char     rebuilt[160];
        char    *end = strchr(at, '\n');
        assert_non_null(end);
        assert_int_equal(
            sscanf(at, "c - - [21/Nov/2026:12:20:00 +0000] \"GET /%u/%u", &thread, &number), 2);
        snprintf(rebuilt, sizeof(rebuilt), LINE("/%u/%u"), thread, number);
        assert_int_equal(strlen(rebuilt), end + 1 - at);
        assert_memory_equal(at, rebuilt, strlen(rebuilt));
        assert_true(thread < THREADS && (long)number > last[thread]);
        last[thread] = number;
        at = end + 1;
    }
    assert_int_equal(seen, want);
}

static void workers_do_not_tear_each_others_lines(void **state)
{
    (void)state;
    int             fd = memory_file();
    struct fixture  f;
    struct producer producers[THREADS];
    pthread_t       threads[THREADS];
    fixture_open(&f, lend(fd), THREADS, 4096);
    for (unsigned i = 0; i < THREADS; i++) {
        producers[i] = (struct producer){ f.log, i, 0 };
        assert_int_equal(pthread_create(&threads[i], NULL, produce, &producers[i]), 0);
    }
    uint64_t dropped = 0;
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        dropped += producers[i].dropped;
    }
    assert_true(access_log_flush(f.log, WAIT_MS));
    struct access_log_counts counts = access_log_count(f.log);
    assert_int_equal(counts.dropped, dropped);
    assert_int_equal(counts.lost, 0);
    assert_int_equal(counts.written + counts.dropped, THREADS * LINES_EACH);
    struct buffer b = content(fd);
    check_lines(&b, counts.written);
    buffer_reset(&b);
    fixture_close(&f);
    close(fd);
}

/* ---- sinks that do not take it ---- */

static void a_blocked_pipe_only_fills_the_ring(void **state)
{
    (void)state;
    int            ends[2];
    struct fixture f;
    assert_int_equal(pipe(ends), 0);
    /* Full to the brim, so that the writer waits at its first byte. */
    int flags = fcntl(ends[1], F_GETFL);
    fcntl(ends[1], F_SETFL, flags | O_NONBLOCK);
    while (write(ends[1], "x", 1) == 1) continue;
    fcntl(ends[1], F_SETFL, flags);
    fixture_open(&f, ends[1], 1, 4096);
    unsigned taken = 0;
    while (put(f.log, 0, "/a")) taken++;
    assert_true(taken > 4096 / 100 && taken <= 4096 / (sizeof(LINE("/a")) - 1));
    assert_false(put(f.log, 0, "/b"));
    assert_int_equal(access_log_count(f.log).dropped, 2);
    assert_false(access_log_flush(f.log, 10));
    uint64_t start = clock_mono_ns();
    fixture_close(&f);
    assert_true(clock_mono_ns() - start < (uint64_t)WAIT_MS * 1000000);
    close(ends[0]);
}

static void a_reader_that_left_is_told_once(void **state)
{
    (void)state;
    int            ends[2], fd = memory_file();
    struct fixture f;
    assert_int_equal(pipe(ends), 0);
    close(ends[0]);
    fixture_open(&f, ends[1], 1, 0);
    for (int i = 0; i < 3; i++) {
        assert_true(put(f.log, 0, "/lost"));
        assert_true(access_log_flush(f.log, WAIT_MS));
    }
    assert_int_equal(access_log_count(f.log).lost, 3);
    assert_int_equal(access_log_count(f.log).written, 0);
    access_log_reopen(f.log, lend(fd));
    assert_true(put(f.log, 0, "/kept"));
    assert_true(access_log_flush(f.log, WAIT_MS));
    struct buffer b = content(fd), errors = content(f.errors_fd);
    assert_string_equal(b.data, LINE("/kept"));
    assert_int_equal(count_of(errors.data, "access log test: Broken pipe"), 1);
    assert_int_equal(count_of(errors.data, "\n"), 1);
    buffer_reset(&b);
    buffer_reset(&errors);
    fixture_close(&f);
    close(fd);
}

static void a_full_disk_keeps_what_the_ring_holds(void **state)
{
    (void)state;
    int            fd = memory_file();
    struct fixture f;
    fixture_open(&f, open("/dev/full", O_WRONLY | O_CLOEXEC), 1, 4096);
    unsigned taken = 0;
    while (put(f.log, 0, "/a")) {
        taken++;
        access_log_flush(f.log, 1);
    }
    access_log_reopen(f.log, lend(fd));
    assert_true(access_log_flush(f.log, WAIT_MS));
    struct buffer b = content(fd), errors = content(f.errors_fd);
    assert_int_equal(count_of(b.data, LINE("/a")), taken);
    assert_int_equal(count_of(errors.data, "No space left on device"), 1);
    assert_int_equal(access_log_count(f.log).lost, 0);
    buffer_reset(&b);
    buffer_reset(&errors);
    fixture_close(&f);
    close(fd);
}

/* The file may grow to `bytes`: the kernel takes a part of a line, then none. */
static void limit_files(rlim_t bytes)
{
    struct rlimit limit = { bytes, RLIM_INFINITY };
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void lines_dropped_meanwhile_are_told(void **state)
{
    (void)state;
    int            fd = memory_file();
    struct fixture f;
    fixture_open(&f, lend(fd), 1, 4096);
    limit_files(250);
    while (put(f.log, 0, "/a")) access_log_flush(f.log, 1);
    for (int i = 0; i < 2; i++) assert_false(put(f.log, 0, "/a"));
    limit_files(RLIM_INFINITY);
    struct buffer errors = content(f.errors_fd);
    while (!strstr(errors.data, "written again")) {
        buffer_reset(&errors);
        access_log_flush(f.log, 1);
        errors = content(f.errors_fd);
    }
    assert_non_null(strstr(errors.data, "written again, 3 lines were lost"));
    buffer_reset(&errors);
    fixture_close(&f);
    close(fd);
}

static void fill_to_a_cut_line(struct fixture *f, int fd)
{
    fixture_open(f, lend(fd), 6, 0);
    limit_files(250);
    /* The second ring is cut, when the writer finds all at once. */
    for (unsigned ring = 0; ring < 6; ring++)
        for (int i = 0; i < 2; i++) assert_true(put(f->log, ring, "/a"));
    struct stat st = { 0 };
    while (st.st_size < 250) {
        access_log_flush(f->log, 1);
        assert_int_equal(fstat(fd, &st), 0);
    }
}

static void a_cut_line_is_finished_first(void **state)
{
    (void)state;
    int            fd = memory_file();
    struct fixture f;
    fill_to_a_cut_line(&f, fd);
    limit_files(RLIM_INFINITY);
    assert_true(access_log_flush(f.log, WAIT_MS));
    struct buffer b = content(fd);
    assert_int_equal(count_of(b.data, LINE("/a")), 12);
    assert_int_equal(b.len, 12 * (sizeof(LINE("/a")) - 1));
    buffer_reset(&b);
    fixture_close(&f);
    close(fd);
}

static void a_new_file_begins_with_a_whole_line(void **state)
{
    (void)state;
    int            fd = memory_file(), next = memory_file();
    struct fixture f;
    fill_to_a_cut_line(&f, fd);
    access_log_reopen(f.log, lend(next));
    /* Until the writer has changed over, the old file takes nothing. */
    while (access_log_count(f.log).lost == 0) access_log_flush(f.log, 1);
    limit_files(RLIM_INFINITY);
    assert_true(access_log_flush(f.log, WAIT_MS));
    struct buffer old = content(fd), b = content(next);
    unsigned      whole = count_of(old.data, LINE("/a"));
    assert_int_equal(b.len % (sizeof(LINE("/a")) - 1), 0);
    assert_int_equal(count_of(b.data, LINE("/a")) + whole + access_log_count(f.log).lost, 12);
    assert_int_equal(access_log_count(f.log).lost, 1);
    buffer_reset(&old);
    buffer_reset(&b);
    fixture_close(&f);
    close(fd);
    close(next);
}

static void opens_by_name(void **state)
{
    (void)state;
    struct error e = { "" };
    char         dir[] = "/tmp/access_log_test.XXXXXX", path[64];
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/access.log", dir);
    int fd = access_log_open(path, &e);
    assert_true(fd > 2);
    assert_int_equal(write(fd, "a", 1), 1);
    close(fd);
    fd = access_log_open(path, &e);
    assert_int_equal(write(fd, "b", 1), 1);
    struct stat st;
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_size, 2);
    assert_int_equal(st.st_mode & 07, 0);
    close(fd);
    unlink(path);
    rmdir(dir);
    assert_int_equal(access_log_open(path, &e), -1);
    assert_non_null(strstr(e.text, path));
    fd = access_log_open("stdout", &e);
    assert_true(fd > 2);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_arrive_and_the_end_flushes),
        cmocka_unit_test(lines_arrive_unasked),
        cmocka_unit_test(workers_do_not_tear_each_others_lines),
        cmocka_unit_test(a_blocked_pipe_only_fills_the_ring),
        cmocka_unit_test(a_reader_that_left_is_told_once),
        cmocka_unit_test(a_full_disk_keeps_what_the_ring_holds),
        cmocka_unit_test(lines_dropped_meanwhile_are_told),
        cmocka_unit_test(a_cut_line_is_finished_first),
        cmocka_unit_test(a_new_file_begins_with_a_whole_line),
        cmocka_unit_test(opens_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
