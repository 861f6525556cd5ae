/* SPDX-License-Identifier: Apache-2.0
 *
 * `user` and `group` of the configuration, and giving up rights for good.
 */
#pragma once

#include <sys/types.h>

#include "base/error.h"
#include "base/slice.h"

struct credentials {
    uid_t uid;
    gid_t gid;
    bool  is_set; /* false: stay who we are */
};

/* Looks the names up. Without a group it is the user's own; without both nothing
 * is set. */
bool credentials_find(struct credentials *c, struct slice user, struct slice group,
                      struct error *e);
/* As root becomes that user, irrevocably; anyone else stays who he is. Afterwards no
 * exec can gain rights either. */
bool credentials_take(const struct credentials *c, struct error *e);
