/* SPDX-License-Identifier: Apache-2.0
 *
 * The look at a file's bytes before YAML sees them: what is not UTF-8 text of
 * plain lines is refused at its place, so that lines are counted the same way
 * by everyone who counts them.
 */
#pragma once

#include "conf/report.h"

/* False after reporting. */
bool conf_scan(const char *file, struct slice text, struct conf_report *r);
