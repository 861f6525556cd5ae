/* SPDX-License-Identifier: Apache-2.0
 *
 * Compression of responses: chooses a coding that the client takes, tells so in the head
 * and puts an encoder between the body and the client. Leaves alone what must not be
 * changed, and what gains nothing. docs/design/responses.md is the page.
 */
#pragma once

#include "proxy/filter.h"

struct compress_config;

/* Its config is a struct compress_config. */
extern const struct filter_ops filter_compress;

/* In that arena, keeping `s`; NULL: it is off. */
const struct compress_config *compress_config_new(const struct compress_settings *s,
                                                  struct arena                   *a);
/* "zstd 3, br 2, gzip 1; from 1024 bytes" */
struct slice compress_text(const struct compress_config *config, struct arena *a);
