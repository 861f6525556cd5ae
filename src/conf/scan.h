/* SPDX-License-Identifier: Apache-2.0
 *
 * The look at a file's bytes before YAML sees them: what is not UTF-8 text of
 * plain lines is refused at its place, so that lines are counted the same way
 * by everyone who counts them.
 */
#pragma once

#include "conf/report.h"

/* Bytes of the UTF-8 character at the front; 0 when it is none, or one that no
 * file may hold (a control character, but for tab and line feed). */
size_t conf_character(const char *text, size_t len);

/* False after reporting. */
bool conf_scan(const char *file, struct slice text, struct conf_report *r);
