/* SPDX-License-Identifier: Apache-2.0
 *
 * Ready file, pid file, sd_notify. See announce.h.
 */
#include "control/announce.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "control/open_file.h"

void announce_systemd(const char *state)
{
    const char        *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    size_t             len = path ? strlen(path) : 0;
    if (len < 2 || len >= sizeof(to.sun_path)) return;
    memcpy(to.sun_path, path, len + 1);
    if (path[0] == '@') to.sun_path[0] = 0; /* abstract */
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return;
    socklen_t to_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
    (void)!sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&to, to_len);
    close(fd);
}

void announce_file(struct log *log, struct slice path, struct slice content)
{
    struct error e;
    if (path.len && !write_atomically(path.data, content, &e)) log_error(log, "%s", e.text);
}

void announce_pid(struct log *log, struct slice path)
{
    char text[32];
    int  len = snprintf(text, sizeof(text), "%d\n", (int)getpid());
    announce_file(log, path, slice_make(text, (size_t)len));
}
