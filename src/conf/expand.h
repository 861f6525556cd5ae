/* SPDX-License-Identifier: Apache-2.0
 *
 * ${VAR} and ${VAR:-default} in values. "$${" is a plain "${"; an unset
 * variable without a default is an error at the value's place.
 */
#pragma once

#include "conf/tree.h"

/* `raw` itself when there is nothing to do, else a copy in the arena. After an
 * error, what could be made of it. */
struct slice conf_expand(struct slice raw, const struct conf_place *at, struct arena *a,
                         struct conf_budget *budget, struct conf_report *r);
