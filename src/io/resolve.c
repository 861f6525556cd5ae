/* SPDX-License-Identifier: Apache-2.0
 *
 * Blocking name resolution. See resolve.h.
 */
#include "io/resolve.h"

#include <errno.h>
#include <netdb.h>
#include <unistd.h>

static bool explain(struct error *e, const char *host, int code)
{
    switch (code) {
    case EAI_NONAME:
    case EAI_NODATA: return error_set(e, "the name \"%s\" does not exist", host);
    case EAI_AGAIN:
        return error_set(e, "no name server answers for \"%s\" (see /etc/resolv.conf)", host);
    case EAI_SYSTEM: return error_set(e, "cannot resolve \"%s\": %s", host, strerror(errno));
    default: return error_set(e, "cannot resolve \"%s\": %s", host, gai_strerror(code));
    }
}

static bool has(const struct address *list, size_t count, const struct address *a)
{
    for (size_t i = 0; i < count; i++)
        if (address_eq(&list[i], a)) return true;
    return false;
}

bool address_resolve(const char *host, uint16_t port, struct address *list, size_t max,
                     size_t *count, struct error *e)
{
    const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG };
    struct addrinfo      *found = NULL;
    *count = 0;
    int code = getaddrinfo(host, NULL, &hints, &found);
    if (code != 0) return explain(e, host, code);
    for (const struct addrinfo *i = found; i && *count < max; i = i->ai_next) {
        struct address a;
        address_from_sockaddr(&a, i->ai_addr, i->ai_addrlen);
        a.port = port;
        if (a.family != ADDRESS_NONE && !has(list, *count, &a)) list[(*count)++] = a;
    }
    freeaddrinfo(found);
    if (*count) return true;
    return error_set(e, "the name \"%s\" has no address", host);
}

bool address_has_route(const struct address *a)
{
    struct sockaddr_storage sa;
    struct address          to = *a;
    if (a->family == ADDRESS_UNIX) return true;
    if (!to.port) to.port = 9; /* discard: none may be 0 */
    socklen_t len = address_to_sockaddr(&to, &sa);
    int       fd = socket(sa.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return errno != EAFNOSUPPORT;
    bool has_route = connect(fd, (struct sockaddr *)&sa, len) == 0 ||
                     (errno != ENETUNREACH && errno != EADDRNOTAVAIL && errno != EHOSTUNREACH);
    close(fd);
    return has_route;
}
