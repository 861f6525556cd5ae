/* SPDX-License-Identifier: Apache-2.0
 *
 * What conf/ itself needs of a report beside load.h: the texts of the files, so
 * that a problem can quote its line; secrets, which are masked there; hints; and quoting that keeps
 * a hostile file from writing to a terminal.
 */
#pragma once

#include "conf/load.h"

enum { CONF_PROBLEMS_MAX = 100 };

/* Takes over `text` (empty afterwards); it lives as long as the report. The
 * slice and the name are the report's. */
struct slice conf_report_source(struct conf_report *r, const char **name, struct buffer *text);
/* From `first` up to that line and column of the file stands a secret. */
void conf_report_hide(struct conf_report *r, const struct conf_place *first, uint32_t last_line,
                      uint32_t last_column);
/* As conf_report_add() of an error, with a hint (may be empty). */
void conf_report_error(struct conf_report *r, const struct conf_place *at, struct slice hint,
                       const char *format, ...) __attribute__((format(printf, 4, 5)));
/* In the order of the files and of their lines. */
void conf_report_sort(struct conf_report *r);

/* `text` between backticks, printable, cut when long; lies in the arena. */
const char *conf_quote(struct arena *a, struct slice text);
