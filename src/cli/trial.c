/* SPDX-License-Identifier: Apache-2.0
 *
 * Building without serving. See trial.h.
 */
#include "cli/trial.h"

#include <unistd.h>

void trial_open(struct trial *t, const char *path, struct conf_report *report)
{
    struct settings *s = conf_load_file(path, &conf_reader_direct, report);
    t->plan = NULL;
    t->is_begun = s != NULL;
    if (!s) return;
    log_init(&t->log, STDERR_FILENO, LOG_LEVEL_WARN);
    privileged_init(&t->direct, -1, NULL);
    plan_maker_init(&t->maker);
    t->maker.log = &t->log;
    t->maker.privileged = &t->direct;
    t->plan = plan_build(&t->maker, s, 1, report, &t->outcome);
}

void trial_close(struct trial *t)
{
    if (!t->is_begun) return;
    plan_free(t->plan);
    plan_outcome_reset(&t->outcome);
    plan_maker_reset(&t->maker);
}
