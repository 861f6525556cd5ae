/* SPDX-License-Identifier: Apache-2.0
 *
 * Why an HTTP call failed, in words for people: libcurl's codes and texts, without
 * its ports that there are not, its numbers and its names of functions.
 */
#pragma once

#include <curl/curl.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct http_trouble {
    CURL       *easy;
    CURLcode    code;
    const char *place;           /* of the server: "10.0.0.2:2376", "/run/docker.sock" */
    const char *text;            /* CURLOPT_ERRORBUFFER's */
    const char *ca, *cert, *key; /* files; may be NULL */
    uint64_t    connect_ms, total_ms;
    bool        is_unix;
    bool        has_head;
};

void http_trouble_tell(const struct http_trouble *t, struct error *e);
