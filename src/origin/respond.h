/* SPDX-License-Identifier: Apache-2.0
 *
 * `respond:` of a route: a fixed status, body and fields from the configuration.
 */
#pragma once

#include "proxy/filter.h"

/* Its config is a struct respond_settings. */
extern const struct origin_ops origin_respond;
