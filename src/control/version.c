/* SPDX-License-Identifier: Apache-2.0
 *
 * The version. See version.h.
 */
#include "config.h"

#include "control/version.h"

const char wharfgate_version[] = PACKAGE_VERSION;
