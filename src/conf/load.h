/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading a configuration: files -> YAML tree with positions -> typed, checked
 * settings. Finds every error in one go. No thread of its own; nothing global.
 */
#pragma once

#include "base/buffer.h"
#include "base/error.h"
#include "conf/settings.h"

/* How files are read: directly, or through the supervisor. */
struct conf_reader {
    /* Appends the file's content (at most `max_bytes`) to *to. False and *e on failure. */
    bool (*read)(void *arg, const char *path, size_t max_bytes, struct buffer *to, struct error *e);
    /* Expands a pattern of include: into sorted paths, calling `found` for each. */
    bool (*glob)(void *arg, const char *pattern, void (*found)(void *to, const char *path),
                 void *to, struct error *e);
    void *arg;
};

/* The plain one: open(2) and glob(3). */
extern const struct conf_reader conf_reader_direct;

enum conf_severity { CONF_ERROR, CONF_WARNING };

struct conf_problem {
    enum conf_severity severity;
    struct conf_place  at;
    struct slice       message; /* one line: what is wrong, expected and got */
    struct slice       hint;    /* "did you mean `upstreams`?", or empty */
    struct slice       source;  /* the offending line; never a secret's */
    uint32_t           caret;   /* where in `source` the fault is, in characters from 1 */
};

/* Where errors of later stages (a certificate, a name that does not resolve) go too. */
struct conf_report {
    struct arena         arena;
    struct conf_problem *problems;
    size_t               count;
    size_t               error_count; /* all of them; only the first hundred are kept */
    struct conf_source  *sources;     /* texts of the files, for the quoted lines */
};

void conf_report_init(struct conf_report *r);
void conf_report_reset(struct conf_report *r);
void conf_report_add(struct conf_report *r, enum conf_severity severity,
                     const struct conf_place *at, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* As a person reads it: file:line:column: error: message, the line, a caret. */
void conf_report_print(const struct conf_report *r, struct buffer *to, bool has_color);
/* As an array of objects, for --json and the admin socket. */
void conf_report_json(const struct conf_report *r, struct buffer *to);

/* Never NULL with r->error_count == 0; NULL otherwise. Free with settings_free(). */
struct settings *conf_load_file(const char *path, const struct conf_reader *reader,
                                struct conf_report *r);
/* Also with errors: what has one, or could not be read for one, has its default. For
 * finding things, not for serving. Never NULL. */
struct settings *conf_load_readable(const char *path, const struct conf_reader *reader,
                                    struct conf_report *r);
/* The same as conf_load_file() from memory; `name` stands for the file's. */
struct settings *conf_load_text(const char *name, struct slice text,
                                const struct conf_reader *reader, struct conf_report *r);
void             settings_free(struct settings *s);

/* Warns of each setting of `next` that only a restart would change. */
void conf_report_restart(const struct settings *running, const struct settings *next,
                         struct conf_report *r);

/* Are names looked up in the same way? */
bool conf_same_dns(const struct dns_settings *a, const struct dns_settings *b);

/* Generated from the tables: docs/reference.md, the JSON Schema. */
void conf_emit_reference(struct buffer *to);
void conf_emit_schema(struct buffer *to);
