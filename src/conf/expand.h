/* SPDX-License-Identifier: Apache-2.0
 *
 * ${VAR} and ${VAR:-default} in values. "$${" is a plain "${"; an unset
 * variable without a default is an error at the value's place.
 */
#pragma once

#include "conf/tree.h"

/* Replaces *text by a copy in the arena, if there is anything to expand. False
 * after reporting. */
bool conf_expand(struct slice *text, const struct conf_place *at, struct arena *a,
                 struct conf_budget *budget, struct conf_report *r);
