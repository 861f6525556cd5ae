/* SPDX-License-Identifier: Apache-2.0
 *
 * Making an upstream from its settings. See upstream.h.
 */
#include "upstream/upstream.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/random.h"
#include "conf/types.h"
#include "io/digest.h"

static const char machine_id_path[] = "/etc/machine-id";

static bool make_tls(struct upstream *u, const struct upstream_build *b, struct error *e)
{
    if (!b->tls) return true;
    u->tls = mem_zalloc((b->worker_count + 1) * sizeof(*u->tls));
    for (unsigned i = 0; i <= b->worker_count; i++)
        if (!(u->tls[i] = tls_client_new(b->tls, e))) return false;
    return true;
}

/* machine-id(5): not to be shown as it is, but a key may be made from it. */
static size_t read_machine_id(char *to, size_t size)
{
    int fd = open(machine_id_path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return 0;
    ssize_t got = read(fd, to, size);
    close(fd);
    return got > 0 ? (size_t)got : 0;
}

/* What cookies are signed with. Without a secret and a machine's id they hold as long as
 * the upstream. */
static void make_secret(struct balance_config *c)
{
    char         id[64];
    struct slice from = c->settings->secret;
    if (c->settings->algorithm != BALANCE_STICKY) return;
    if (!from.len) from = slice_make(id, read_machine_id(id, sizeof(id)));
    if (from.len)
        digest_hmac_sha256(c->secret, from, S("wharfgate sticky"));
    else
        random_secret(c->secret, sizeof(c->secret));
}

static uint32_t retry_bits(const struct upstream_settings *s)
{
    const uint32_t preset =
        1u << RETRY_CONNECT | 1u << RETRY_RESET | 1u << RETRY_TIMEOUT | 1u << RETRY_MALFORMED;
    uint32_t bits = s->retry_on.count ? 0 : preset;
    for (size_t i = 0; i < s->retry_on.count; i++)
        if (!slice_eq(s->retry_on.items[i], S("off"))) bits |= conf_retry_bit(s->retry_on.items[i]);
    return bits;
}

static uint32_t share(uint32_t limit, unsigned worker_count)
{
    return (limit + worker_count - 1) / worker_count;
}

/* A copy of its own, and of it at hand what each request asks for. */
static void take_settings(struct upstream *u, const struct upstream_settings *s)
{
    struct upstream_settings *own = arena_alloc(&u->arena, sizeof(*own));
    *own = *s;
    own->name = arena_copy(&u->arena, s->name);
    own->fingerprint = slice_make("", 0);
    conf_own(&conf_upstream_section, own, &u->arena);
    u->settings = own;
    u->name = own->name.data;
    u->balance = balance_algorithms[own->balance.algorithm];
    u->balance_config.settings = &own->balance;
    u->balance_config.upstream = own->name;
    u->proxy_protocol = own->proxy_protocol;
    u->protocol = own->protocol;
    u->idle_count_max = own->keep_alive_connections;
    u->retries = own->retries;
    u->retry_on = retry_bits(own);
    u->host = own->host;
    u->connection_max = share(own->limits.connections, u->worker_count);
    u->endpoint_connection_max = share(own->limits.connections_per_server, u->worker_count);
    conf_split_key(own->balance.key, &u->key, &u->key_name);
    make_secret(&u->balance_config);
}

struct upstream *upstream_new(const struct upstream_settings *s, const struct upstream_build *b,
                              struct error *e)
{
    size_t           peer_bytes = (b->worker_count + 1) * sizeof(struct upstream_peer);
    struct upstream *u = mem_zalloc_aligned(alignof(struct upstream), sizeof(*u));
    arena_init(&u->arena, NULL);
    u->worker_count = b->worker_count;
    u->slot = b->slot;
    u->series = b->series;
    u->keep_alive_ms = b->keep_alive_ms;
    u->limits = b->limits;
    u->peers = mem_zalloc_aligned(alignof(struct upstream_peer), peer_bytes);
    u->load = mem_zalloc_aligned(alignof(struct upstream_load), sizeof(*u->load));
    u->load->ref_count = 1;
    take_settings(u, s);
    atomic_init(&u->set, endpoint_set_new(u->balance, &u->balance_config, NULL, 0));
    if (make_tls(u, b, e)) return u;
    upstream_free(u);
    return NULL;
}

static void load_unref(struct upstream_load *l)
{
    if (--l->ref_count == 0) free(l);
}

void upstream_take_over(struct upstream *u, const struct upstream *previous)
{
    load_unref(u->load);
    u->load = previous->load;
    u->load->ref_count++;
}

void upstream_free(struct upstream *u)
{
    if (!u) return;
    for (unsigned i = 0; u->tls && i <= u->worker_count; i++) tls_client_unref(u->tls[i]);
    free(u->tls);
    endpoint_set_free(atomic_load(&u->set));
    free(u->peers);
    load_unref(u->load);
    arena_reset(&u->arena);
    free(u);
}
