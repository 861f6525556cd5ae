/* SPDX-License-Identifier: Apache-2.0
 *
 * What `wharfgate explain` asks: which listener, route, filters, upstream and
 * endpoint a request would meet and why not others, or what is known of a
 * container. An answer is JSON; nothing is changed or counted by it. For a plan
 * that serves and one that was only built. Control thread only; bounded by the
 * size of the configuration.
 */
#pragma once

#include "discovery/docker.h"
#include "proxy/plan.h"

/* What is asked about. */
struct explain_world {
    const struct plan   *plan;
    const struct docker *docker;     /* NULL: no containers are known */
    bool                 is_running; /* endpoints are known; else as configured */
};

/* `query`: "url=..." or "container=...", and for a URL "method=", "header=" (any number of
 * "Name: value") and "client=" (an IP address), percent-encoded. Returns the status that says
 * what came of it: 200; 400, the question is wrong; 404, there is no such container; with
 * {"error":"..."} in place of an answer. */
unsigned explain_answer(const struct explain_world *w, struct slice query, struct buffer *to);
