/* SPDX-License-Identifier: Apache-2.0
 *
 * Datagrams with descriptors between supervisor and worker process. See wire.h.
 */
#include "control/wire.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum { HEAD_BYTES = offsetof(struct wire_message, text) };

union ancillary {
    struct cmsghdr align;
    char           room[CMSG_SPACE(WIRE_FDS_MAX * sizeof(int))];
};

void wire_init(struct wire_message *m, enum wire_kind kind, uint32_t number)
{
    memset(m, 0, HEAD_BYTES);
    m->kind = kind;
    m->number = number;
    m->text[0] = 0;
    m->fd_count = 0;
}

void wire_set_text(struct wire_message *m, struct slice text)
{
    m->text_bytes = (uint32_t)(text.len < WIRE_TEXT_MAX ? text.len : WIRE_TEXT_MAX);
    if (m->text_bytes) memcpy(m->text, text.data, m->text_bytes);
    m->text[m->text_bytes] = 0;
}

static enum wire_result result_of_errno(void)
{
    if (errno == EAGAIN) return WIRE_NOTHING;
    return errno == EPIPE || errno == ECONNRESET ? WIRE_CLOSED : WIRE_BROKEN;
}

enum wire_result wire_send(int fd, const struct wire_message *m, int flags)
{
    struct wire_message head = *m;
    struct iovec        iov = { .iov_base = &head, .iov_len = HEAD_BYTES + m->text_bytes };
    struct msghdr       msg = { .msg_iov = &iov, .msg_iovlen = 1 };
    union ancillary     extra;
    if (m->fd_count) {
        memset(&extra, 0, sizeof(extra));
        msg.msg_control = &extra;
        msg.msg_controllen = CMSG_SPACE(m->fd_count * sizeof(int));
        struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(m->fd_count * sizeof(int));
        memcpy(CMSG_DATA(c), m->fds, m->fd_count * sizeof(int));
    }
    ssize_t n;
    do n = sendmsg(fd, &msg, flags | MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n < 0 ? result_of_errno() : WIRE_OK;
}

static void take_fds(struct msghdr *msg, struct wire_message *m)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
        size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
            if (m->fd_count < WIRE_FDS_MAX)
                m->fds[m->fd_count++] = fd;
            else
                close(fd);
        }
    }
}

enum wire_result wire_receive(int fd, struct wire_message *m, int flags)
{
    struct iovec    iov = { .iov_base = m, .iov_len = HEAD_BYTES + WIRE_TEXT_MAX };
    union ancillary extra;
    struct msghdr   msg = {
          .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &extra, .msg_controllen = sizeof(extra)
    };
    m->fd_count = 0;
    ssize_t n;
    do n = recvmsg(fd, &msg, flags | MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n < 0) return result_of_errno();
    if (n == 0) return WIRE_CLOSED;
    take_fds(&msg, m);
    bool is_whole = !(msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) && n >= (ssize_t)HEAD_BYTES &&
                    m->text_bytes == (size_t)n - HEAD_BYTES;
    if (!is_whole) {
        wire_close_fds(m);
        return WIRE_BROKEN;
    }
    m->text[m->text_bytes] = 0;
    return WIRE_OK;
}

void wire_close_fds(struct wire_message *m)
{
    for (uint32_t i = 0; i < m->fd_count; i++) close(m->fds[i]);
    m->fd_count = 0;
}

int wire_memfd(struct slice content)
{
    int fd = memfd_create("wharfgate", MFD_CLOEXEC);
    if (fd < 0) return -1;
    for (size_t at = 0; at < content.len;) {
        ssize_t n = write(fd, content.data + at, content.len - at);
        if (n <= 0) {
            close(fd);
            return -1;
        }
        at += (size_t)n;
    }
    lseek(fd, 0, SEEK_SET);
    return fd;
}
