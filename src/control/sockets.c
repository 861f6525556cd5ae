/* SPDX-License-Identifier: Apache-2.0
 *
 * Binding and keeping listening sockets. See sockets.h.
 */
#include "control/sockets.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/memory.h"
#include "io/address.h"
#include "io/listener.h"

enum { SOCKETS_PER_ADDRESS_MAX = 1024 };

struct socket_entry {
    struct list link;
    char       *key;
    char       *path; /* of a Unix socket in the file system, else NULL */
    uint16_t    port; /* as bound; 0: none */
    unsigned    count;
    int        *fds;
};

void sockets_init(struct socket_table *t)
{
    list_init(&t->entries);
}

static void free_entry(struct socket_entry *entry, bool unlinks)
{
    if (entry->path && unlinks) unlink(entry->path);
    for (unsigned i = 0; i < entry->count; i++) close(entry->fds[i]);
    list_remove(&entry->link);
    free(entry->key);
    free(entry->path);
    free(entry->fds);
    free(entry);
}

void sockets_reset(struct socket_table *t, bool unlinks)
{
    LIST_EACH_SAFE (it, &t->entries) {
        free_entry(container_of(it, struct socket_entry, link), unlinks);
    }
}

struct slice sockets_key(struct arena *a, struct slice listener, struct slice address)
{
    if (!slice_ends_with(address, S(":0"))) return address;
    return arena_printf(a, "%.*s %.*s", SLICE_ARG(listener), SLICE_ARG(address));
}

/* The address is what follows the last space. */
static struct slice address_of(const char *key)
{
    const char *space = strrchr(key, ' ');
    return slice_of(space ? space + 1 : key);
}

static struct socket_entry *find_entry(const struct socket_table *t, const char *key)
{
    LIST_EACH (it, &t->entries) {
        struct socket_entry *entry = container_of(it, struct socket_entry, link);
        if (strcmp(entry->key, key) == 0) return entry;
    }
    return NULL;
}

bool sockets_close(struct socket_table *t, const char *key)
{
    struct socket_entry *entry = find_entry(t, key);
    if (!entry) return false;
    free_entry(entry, true);
    return true;
}

/* /run/wharfgate and its like: made when missing, one level only. */
static void make_parent(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash || slash == path) return;
    char *parent = mem_slicedup(slice_make(path, (size_t)(slash - path)));
    (void)!mkdir(parent, 0755);
    free(parent);
}

static int bind_one(const struct address *a, struct error *e)
{
    if (a->family != ADDRESS_UNIX) return listener_bind(a, SOMAXCONN, true, e);
    if (a->path[0] != '@') make_parent(a->path);
    return listener_bind_unix(a, SOMAXCONN, 0600, e);
}

static bool has_port(const struct socket_table *t, uint16_t port)
{
    LIST_EACH (it, &t->entries) {
        if (container_of(it, struct socket_entry, link)->port == port) return true;
    }
    return false;
}

/* With SO_REUSEPORT another gateway of the same user could quietly share the
 * port. Without it bind(2) tells; not when we hold the port ourselves on
 * another address. */
static bool probe(const struct socket_table *t, const struct address *a, struct error *e)
{
    if (a->family == ADDRESS_UNIX || a->port == 0 || has_port(t, a->port)) return true;
    int fd = listener_bind(a, 1, false, e);
    if (fd < 0) return false;
    close(fd);
    return true;
}

/* The port that the kernel chose for port 0 is the one for all the others. */
static void learn_port(const struct socket_entry *entry, struct address *a)
{
    struct sockaddr_storage sa;
    socklen_t               len = sizeof(sa);
    struct address          bound;
    if (a->family == ADDRESS_UNIX || a->port || !entry->count) return;
    if (getsockname(entry->fds[0], (struct sockaddr *)&sa, &len) < 0) return;
    address_from_sockaddr(&bound, (struct sockaddr *)&sa, len);
    a->port = bound.port;
}

static bool grow(struct socket_entry *entry, struct address *a, unsigned total, struct error *e)
{
    if (entry->count < total) entry->fds = mem_realloc(entry->fds, total * sizeof(int));
    while (entry->count < total) {
        learn_port(entry, a);
        int fd = entry->count && a->family == ADDRESS_UNIX
                     ? fcntl(entry->fds[0], F_DUPFD_CLOEXEC, 0)
                     : bind_one(a, e);
        if (fd < 0) return false;
        entry->fds[entry->count++] = fd;
    }
    learn_port(entry, a);
    if (a->family != ADDRESS_UNIX) entry->port = a->port;
    return true;
}

/* Sockets that no worker will accept from must go: the kernel would hand them
 * connections. */
static void shrink(struct socket_entry *entry, unsigned total)
{
    while (entry->count > total) close(entry->fds[--entry->count]);
}

static struct socket_entry *new_entry(struct socket_table *t, const char *key,
                                      const struct address *a)
{
    struct socket_entry *entry = mem_zalloc(sizeof(*entry));
    entry->key = mem_strdup(key);
    if (a->family == ADDRESS_UNIX && a->path[0] != '@') entry->path = mem_strdup(a->path);
    list_append(&t->entries, &entry->link);
    return entry;
}

static bool ensure(struct socket_table *t, const char *key, unsigned total,
                   struct socket_entry **found, struct error *e)
{
    struct arena         arena;
    struct address       a;
    struct socket_entry *entry = find_entry(t, key);
    bool                 is_new = !entry, is_done = false;
    arena_init(&arena, NULL);
    if (!address_parse(&a, address_of(key), &arena, e)) goto out;
    if (is_new && !probe(t, &a, e)) goto out;
    if (is_new) entry = new_entry(t, key, &a);
    if (!grow(entry, &a, total, e)) {
        if (is_new) free_entry(entry, entry->count > 0);
        goto out;
    }
    shrink(entry, total);
    *found = entry;
    is_done = true;
out:
    arena_reset(&arena);
    return is_done;
}

bool sockets_bind(struct socket_table *t, const char *key, unsigned total, unsigned first,
                  unsigned count, int *fds, struct error *e)
{
    struct socket_entry *entry = NULL;
    if (total == 0 || total > SOCKETS_PER_ADDRESS_MAX || first > total || count > total - first)
        return error_set(e, "%u sockets for %s are too many", total, key);
    if (!ensure(t, key, total, &entry, e)) return false;
    memcpy(fds, entry->fds + first, count * sizeof(int));
    return true;
}
