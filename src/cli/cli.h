/* SPDX-License-Identifier: Apache-2.0
 *
 * The command line: a table of commands, one file each.
 */
#pragma once

#include <stdbool.h>

/* The program. Returns the exit code. */
int cli_main(int argc, char **argv);

struct cli_command {
    const char *name;
    const char *arguments; /* of the usage line */
    const char *summary;   /* one line */
    const char *help;      /* options, each a line; may be NULL */
    /* argv[0] is the command's name. */
    int (*run)(const struct cli_command *command, int argc, char **argv);
};

extern const struct cli_command cli_run;
extern const struct cli_command cli_check;
extern const struct cli_command cli_reload;
extern const struct cli_command cli_status;
extern const struct cli_command cli_explain;
extern const struct cli_command cli_limits;
extern const struct cli_command cli_maintenance;
extern const struct cli_command cli_demo;
extern const struct cli_command cli_reference;
extern const struct cli_command cli_schema;
extern const struct cli_command cli_version;

/* One option of a command. A flag has `flag` set, the others take a value. */
struct cli_option {
    const char  *name;  /* "--json" */
    const char  *alias; /* "-c", or NULL */
    bool        *flag;
    const char **value;
};

enum cli_parse { CLI_GO_ON, CLI_HELPED, CLI_WRONG };

/* --help is every command's. Positional arguments are refused. Prints what is wrong. */
enum cli_parse cli_parse(const struct cli_command *command, int argc, char **argv,
                         const struct cli_option *options);
/* With positional arguments: they stand at argv + 1 afterwards, `word_count` of them. */
enum cli_parse cli_parse_words(const struct cli_command *command, int argc, char **argv,
                               const struct cli_option *options, int *word_count);
/* Exit code of a parse that does not go on. */
int  cli_parse_exit(enum cli_parse result);
void cli_print_help(const struct cli_command *command);

/* May this stream have colours? A terminal, and NO_COLOR unset. */
bool cli_has_color(int fd);
/* Writes all of it; an error on standard output is a runtime failure. */
struct buffer;
int cli_put(int fd, struct buffer *text, int exit_code);
