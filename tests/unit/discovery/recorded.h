/* SPDX-License-Identifier: Apache-2.0
 *
 * What real engines answered: tests/unit/discovery/recorded/; and containers that
 * are made up.
 */
#pragma once

#include "discovery/docker_json.h"

struct recorded_list {
    struct docker_container *items;
    size_t                   count;
};

/* The text of the file, or what fails the test. */
struct slice         recorded_text(const char *name, struct arena *arena);
struct recorded_list recorded_list(const char *name, struct arena *arena);
/* That one must be there. */
const struct docker_container *recorded_find(const struct recorded_list *list, const char *name);

/* Made from members of its JSON, with ' for ": it has the id c1, the name web, the label app=x. */
struct docker_container made_container(const char *labels, const char *networks, const char *more);
/* Frees what that one is made of. */
void made_forget(void);

#define PORT80 "{'PrivatePort':80,'Type':'tcp'}"
#define RUNS "'State':'running','Ports':[" PORT80 "]"
#define FRONT "'front':{'NetworkID':'n1','IPAddress':'10.0.0.7'}"
#define BACK "'back':{'NetworkID':'n2','IPAddress':'10.0.1.7','GlobalIPv6Address':'fd00::7'}"
