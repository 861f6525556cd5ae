/* SPDX-License-Identifier: Apache-2.0
 *
 * Giving up rights. See credentials.h.
 */
#include "control/credentials.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <unistd.h>

bool credentials_find(struct credentials *c, struct slice user, struct slice group, struct error *e)
{
    *c = (struct credentials){ .uid = geteuid(), .gid = getegid() };
    if (user.len) {
        const struct passwd *found = getpwnam(user.data);
        if (!found) return error_set(e, "user: there is no user %s", user.data);
        c->uid = found->pw_uid;
        c->gid = found->pw_gid;
        c->is_set = true;
    }
    if (group.len) {
        const struct group *found = getgrnam(group.data);
        if (!found) return error_set(e, "group: there is no group %s", group.data);
        c->gid = found->gr_gid;
        c->is_set = true;
    }
    return true;
}

static bool become(const struct credentials *c, struct error *e)
{
    if (setgroups(1, &c->gid) < 0 || setgid(c->gid) < 0 || setuid(c->uid) < 0)
        return error_set(e, "cannot become user %u, group %u: %s", c->uid, c->gid, strerror(errno));
    if (c->uid != 0 && setuid(0) == 0)
        return error_set(e, "root could be taken back after becoming user %u", c->uid);
    return true;
}

bool credentials_take(const struct credentials *c, struct error *e)
{
    if (c->is_set && geteuid() == 0 && !become(c, e)) return false;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return error_set(e, "PR_SET_NO_NEW_PRIVS: %s", strerror(errno));
    return true;
}
