/* SPDX-License-Identifier: Apache-2.0
 *
 * libcurl's multi interface on a loop: its sockets, its timer. What the transfers
 * say is for the owner (http_client.c) to read.
 */
#pragma once

#include <curl/curl.h>

#include "io/loop.h"

struct http_channel;

/* `on_step` comes after whatever libcurl has done, never from within its callbacks, nor from
 * within curl_multi_add_handle() and the like: a transfer may be added or removed there. The
 * channel may not be freed there. */
struct http_channel *http_channel_new(struct loop *l, void (*on_step)(void *arg), void *arg);
/* When no transfer is left. Accepts NULL. */
void   http_channel_free(struct http_channel *c);
CURLM *http_channel_multi(const struct http_channel *c);
