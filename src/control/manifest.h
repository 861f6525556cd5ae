/* SPDX-License-Identifier: Apache-2.0
 *
 * What a configuration names: the files to read, the logs to write, the
 * addresses to bind. The supervisor does for the worker process what its
 * manifest has, and nothing else. Texts are compared byte by byte.
 */
#pragma once

#include "base/map.h"
#include "control/snapshot.h"

enum manifest_kind { MANIFEST_READ, MANIFEST_APPEND, MANIFEST_BIND, MANIFEST_KIND_COUNT };

struct manifest {
    struct snapshot  files; /* the configuration itself */
    struct map       names[MANIFEST_KIND_COUNT];
    struct arena     arena;
    struct settings *settings; /* NULL: the configuration has errors, or they were taken */
    bool             is_good;

    /* What the supervisor needs of the settings. */
    struct slice user, group, pid_file, error_log;
    uint64_t     shutdown_grace_ms;
};

/* Never NULL. With errors in the report it names the configuration's own files
 * only, so that the errors can be shown. */
struct manifest *manifest_load(const char *config_path, const struct conf_reader *reader,
                               struct conf_report *report);
void             manifest_free(struct manifest *m);

bool manifest_has(const struct manifest *m, enum manifest_kind kind, struct slice text);
bool manifest_has_pattern(const struct manifest *m, struct slice pattern);
/* The settings, now the caller's; NULL when they were taken before. */
struct settings *manifest_take_settings(struct manifest *m);
