/* SPDX-License-Identifier: Apache-2.0
 *
 * What a fuzz target claims of every input: else the program ends there.
 */
#pragma once

#include <stdio.h>
#include <stdlib.h>

#define CHECK(claim)                                                                               \
    do {                                                                                           \
        if (!(claim)) {                                                                            \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #claim);                            \
            abort();                                                                               \
        }                                                                                          \
    } while (0)
