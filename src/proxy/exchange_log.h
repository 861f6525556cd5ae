/* SPDX-License-Identifier: Apache-2.0
 *
 * What is told of an exchange that has ended: a line in the access log, counts
 * by route.
 */
#pragma once

struct exchange;

void exchange_log(struct exchange *x);
