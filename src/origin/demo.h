/* SPDX-License-Identifier: Apache-2.0
 *
 * The demo's origins: a page that tells which replica answers, who asked, and
 * what arrived of the request.
 */
#pragma once

#include "proxy/filter.h"

/* Its config is the replica's name, a C string. */
extern const struct origin_ops origin_demo;
