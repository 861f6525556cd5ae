/* SPDX-License-Identifier: Apache-2.0
 *
 * ${VAR} and ${VAR:-default} in values. "$${" is a plain "${"; an unset
 * variable without a default is an error at the value's place. Variables of a request
 * (template.h) stay: their names are not looked for in the environment.
 */
#pragma once

#include "conf/tree.h"

/* Replaces the node's text by a copy in the arena, if there is anything to expand, in template
 * form where any of that is left to say. False after reporting. */
bool conf_expand(struct conf_node *n, struct arena *a, struct conf_budget *budget,
                 struct conf_report *r);
