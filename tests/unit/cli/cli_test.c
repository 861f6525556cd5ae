/* SPDX-License-Identifier: Apache-2.0
 *
 * The command line: options, help, exit codes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "control/gate.h"

static const struct cli_command probe = { .name = "probe", .arguments = "", .summary = "Probes" };

struct parsed {
    bool        is_json;
    const char *file;
};

static enum cli_parse parse(struct parsed *to, const char *a, const char *b, const char *c)
{
    char *argv[] = { (char[]){ "probe" }, (char *)(uintptr_t)a, (char *)(uintptr_t)b,
                     (char *)(uintptr_t)c, NULL };
    const struct cli_option options[] = {
        { "--config", "-c", NULL, &to->file },
        { "--json", NULL, &to->is_json, NULL },
        { 0 },
    };
    int argc = 1;
    while (argv[argc]) argc++;
    *to = (struct parsed){ 0 };
    return cli_parse(&probe, argc, argv, options);
}

static void options_have_values(void **state)
{
    (void)state;
    struct parsed p;
    assert_int_equal(parse(&p, NULL, NULL, NULL), CLI_GO_ON);
    assert_int_equal(parse(&p, "-c", "f", "--json"), CLI_GO_ON);
    assert_string_equal(p.file, "f");
    assert_true(p.is_json);
    assert_int_equal(parse(&p, "--config=f=g", NULL, NULL), CLI_GO_ON);
    assert_string_equal(p.file, "f=g");
    assert_int_equal(parse(&p, "--config", "-", NULL), CLI_GO_ON);
    assert_string_equal(p.file, "-");
}

static void what_is_not_an_option_is_wrong(void **state)
{
    (void)state;
    struct parsed p;
    assert_int_equal(parse(&p, "-c", NULL, NULL), CLI_WRONG);
    assert_int_equal(parse(&p, "--json=yes", NULL, NULL), CLI_WRONG);
    assert_int_equal(parse(&p, "--con", "f", NULL), CLI_WRONG);
    assert_int_equal(parse(&p, "--jsonx", NULL, NULL), CLI_WRONG);
    assert_int_equal(parse(&p, "word", NULL, NULL), CLI_WRONG);
    assert_int_equal(parse(&p, "", NULL, NULL), CLI_WRONG);
}

static void help_ends_the_parsing(void **state)
{
    (void)state;
    struct parsed p;
    assert_int_equal(parse(&p, "--help", "--nonsense", NULL), CLI_HELPED);
    assert_int_equal(parse(&p, "-h", NULL, NULL), CLI_HELPED);
    assert_int_equal(cli_parse_exit(CLI_HELPED), EXIT_OK);
    assert_int_equal(cli_parse_exit(CLI_WRONG), EXIT_USAGE);
}

static int program(const char *a, const char *b, const char *c)
{
    char *argv[] = { (char[]){ "wharfgate" }, (char *)(uintptr_t)a, (char *)(uintptr_t)b,
                     (char *)(uintptr_t)c, NULL };
    int   argc = 1;
    while (argv[argc]) argc++;
    return cli_main(argc, argv);
}

static void exit_codes_are_as_documented(void **state)
{
    (void)state;
    assert_int_equal(program(NULL, NULL, NULL), EXIT_USAGE);
    assert_int_equal(program("help", NULL, NULL), EXIT_OK);
    assert_int_equal(program("help", "run", NULL), EXIT_OK);
    assert_int_equal(program("help", "rum", NULL), EXIT_USAGE);
    assert_int_equal(program("rum", NULL, NULL), EXIT_USAGE);
    assert_int_equal(program("run", "--help", NULL), EXIT_OK);
    assert_int_equal(program("run", "--nonsense", NULL), EXIT_USAGE);
    assert_int_equal(program("version", "--json", NULL), EXIT_OK);
    assert_int_equal(program("--version", NULL, NULL), EXIT_OK);
    assert_int_equal(program("schema", NULL, NULL), EXIT_OK);
    assert_int_equal(program("check", "-c", "/nonexistent.yaml"), EXIT_CONFIG);
    assert_int_equal(program("run", "-c", "/nonexistent.yaml"), EXIT_CONFIG);
    assert_int_equal(program("reload", "--socket", "/nonexistent.sock"), EXIT_UNREACHABLE);
    assert_int_equal(program("demo", "--http", "99999"), EXIT_USAGE);
    assert_int_equal(program("demo", "--http", "x"), EXIT_USAGE);
}

/* What commands print is not this test's output. */
static int silence(void **state)
{
    (void)state;
    int null = open("/dev/null", O_WRONLY);
    dup2(null, STDOUT_FILENO);
    close(null);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_have_values),
        cmocka_unit_test(what_is_not_an_option_is_wrong),
        cmocka_unit_test(help_ends_the_parsing),
        cmocka_unit_test(exit_codes_are_as_documented),
    };
    return cmocka_run_group_tests(tests, silence, NULL);
}
