/* SPDX-License-Identifier: Apache-2.0
 *
 * The program's version, as configure.ac has it.
 */
#pragma once

extern const char wharfgate_version[];
