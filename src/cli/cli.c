/* SPDX-License-Identifier: Apache-2.0
 *
 * Finding and helping with commands. See cli.h.
 */
#include "cli/cli.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buffer.h"
#include "conf/nearest.h"
#include "control/gate.h"

static const struct cli_command *const commands[] = {
    &cli_run,         &cli_check, &cli_reload,    &cli_status, &cli_explain, &cli_limits,
    &cli_maintenance, &cli_demo,  &cli_reference, &cli_schema, &cli_version,
};

enum { COMMAND_COUNT = sizeof(commands) / sizeof(commands[0]) };

static void print_usage(FILE *to)
{
    fprintf(to, "Usage: wharfgate COMMAND [OPTION]...\n\n"
                "The gate where containers meet the internet: TLS in, routed, limited and\n"
                "balanced over replicas.\n\nCommands:\n");
    for (int i = 0; i < COMMAND_COUNT; i++)
        fprintf(to, "  %-11s %s\n", commands[i]->name, commands[i]->summary);
    fprintf(to, "\nwharfgate help COMMAND tells more.\n\n"
                "Exit codes: 0 ok, 1 it failed, 2 wrong usage, 3 the configuration has errors,\n"
                "4 the gateway cannot be reached.\n");
}

void cli_print_help(const struct cli_command *command)
{
    printf("Usage: wharfgate %s%s%s\n\n%s.\n", command->name, *command->arguments ? " " : "",
           command->arguments, command->summary);
    printf("\n%s  -h, --help           this text\n", command->help ? command->help : "");
}

static const struct cli_command *find_command(const char *name)
{
    for (int i = 0; i < COMMAND_COUNT; i++)
        if (strcmp(commands[i]->name, name) == 0) return commands[i];
    return NULL;
}

static int unknown_command(const char *name)
{
    struct nearest near;
    nearest_init(&near, slice_of(name));
    for (int i = 0; i < COMMAND_COUNT; i++) nearest_try(&near, slice_of(commands[i]->name));
    fprintf(stderr, "wharfgate: unknown command '%s'", name);
    if (near.best.len) fprintf(stderr, "; did you mean '%.*s'?", SLICE_ARG(near.best));
    fprintf(stderr, "\nwharfgate help lists the commands.\n");
    return EXIT_USAGE;
}

static int help(int argc, char **argv)
{
    if (argc < 2) {
        print_usage(stdout);
        return EXIT_OK;
    }
    const struct cli_command *command = find_command(argv[1]);
    if (!command) return unknown_command(argv[1]);
    cli_print_help(command);
    return EXIT_OK;
}

static bool is_help(const char *word)
{
    return strcmp(word, "help") == 0 || strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

int cli_main(int argc, char **argv)
{
    if (argc < 2) {
        print_usage(stderr);
        return EXIT_USAGE;
    }
    if (is_help(argv[1])) return help(argc - 1, argv + 1);
    bool                      is_version = strcmp(argv[1], "--version") == 0;
    const struct cli_command *command = find_command(is_version ? "version" : argv[1]);
    if (!command) return unknown_command(argv[1]);
    return command->run(command, argc - 1, argv + 1);
}

/* ---- options ---- */

static bool wrong(const struct cli_command *command, const char *what, const char *word)
{
    fprintf(stderr, "wharfgate %s: %s '%s'\nwharfgate help %s tells more.\n", command->name, what,
            word, command->name);
    return false;
}

/* "--name=value" or the next word. NULL: there is none. */
static const char *value_of(char **argv, int argc, int *i)
{
    const char *equals = strchr(argv[*i], '=');
    if (strncmp(argv[*i], "--", 2) == 0 && equals) return equals + 1;
    return *i + 1 < argc ? argv[++*i] : NULL;
}

static bool is_option(const struct cli_option *o, const char *word)
{
    size_t len = strcspn(word, "=");
    if (o->alias && strcmp(word, o->alias) == 0) return true;
    return strlen(o->name) == len && strncmp(word, o->name, len) == 0;
}

static const struct cli_option *find_option(const struct cli_option *options, const char *word)
{
    for (const struct cli_option *o = options; o->name; o++)
        if (is_option(o, word)) return o;
    return NULL;
}

/* Takes the option that argv[*i] is. False after saying what is wrong. */
static bool take_option(const struct cli_command *command, int argc, char **argv, int *i,
                        const struct cli_option *o)
{
    const char *word = argv[*i];
    if (o->flag) {
        if (strchr(word, '=')) return wrong(command, "no value belongs to", word);
        return *o->flag = true;
    }
    *o->value = value_of(argv, argc, i);
    return *o->value || wrong(command, "a value is missing after", word);
}

enum cli_parse cli_parse_words(const struct cli_command *command, int argc, char **argv,
                               const struct cli_option *options, int *word_count)
{
    int count = 0;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            cli_print_help(command);
            return CLI_HELPED;
        }
        const struct cli_option *o = find_option(options, argv[i]);
        if (!o && (!word_count || *argv[i] == '-')) {
            (void)wrong(command, "unknown option or argument", argv[i]);
            return CLI_WRONG;
        }
        if (!o)
            argv[1 + count++] = argv[i];
        else if (!take_option(command, argc, argv, &i, o))
            return CLI_WRONG;
    }
    if (word_count) *word_count = count;
    return CLI_GO_ON;
}

enum cli_parse cli_parse(const struct cli_command *command, int argc, char **argv,
                         const struct cli_option *options)
{
    return cli_parse_words(command, argc, argv, options, NULL);
}

int cli_parse_exit(enum cli_parse result)
{
    return result == CLI_HELPED ? EXIT_OK : EXIT_USAGE;
}

/* ---- output ---- */

bool cli_has_color(int fd)
{
    const char *no_color = getenv("NO_COLOR");
    return isatty(fd) && !(no_color && *no_color);
}

int cli_put(int fd, struct buffer *text, int exit_code)
{
    struct slice left = buffer_slice(text);
    while (left.len) {
        ssize_t n = write(fd, left.data, left.len);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) {
            fprintf(stderr, "wharfgate: cannot write: %s\n", strerror(errno));
            exit_code = EXIT_FAULT;
            break;
        }
        left = slice_from(left, (size_t)n);
    }
    buffer_reset(text);
    return exit_code;
}
