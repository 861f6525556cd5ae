/* SPDX-License-Identifier: Apache-2.0
 *
 * TLS contexts of a plan's listeners: one SSL context a worker, kept from the
 * plans before where settings and files are the same.
 */
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/memory.h"
#include "control/plan_parts.h"

enum { REMIND_DAYS = 14, DAY_S = 24 * 60 * 60 };

struct tls_contexts {
    struct crew        *crew; /* NULL: they never met a worker */
    unsigned            count;
    struct tls_server **servers;
};

static void unref_server(struct worker *w, void *server)
{
    (void)w;
    tls_server_unref(server);
}

/* Connections count references on the worker's thread without atomics. */
static void free_contexts(struct registry_item *item, void *arg)
{
    struct tls_contexts *c = item->object;
    (void)arg;
    for (unsigned i = 0; i < c->count; i++) {
        if (c->crew)
            crew_do(c->crew, i, unref_server, c->servers[i]);
        else
            tls_server_unref(c->servers[i]);
    }
    free(c->servers);
    free(c);
}

static bool make_own(struct build *b, const struct conf_place *at)
{
    char         host[HOST_NAME_MAX + 1] = "localhost";
    struct error e;
    if (b->maker->own_cert.len) return true;
    (void)gethostname(host, sizeof(host) - 1);
    const char *names[] = { "localhost", "127.0.0.1", "::1", host };
    size_t      count = strcmp(host, "localhost") == 0 || strlen(host) > 63 ? 3 : 4;
    if (tls_make_self_signed(names, count, &b->maker->own_cert, &b->maker->own_key, &e))
        return true;
    conf_report_add(b->report, CONF_ERROR, at, "%s", e.text);
    return false;
}

static bool read_certificate(struct build *b, const struct certificate_settings *s,
                             struct tls_certificate_pem *to)
{
    to->cert_name = s->cert.data;
    to->key_name = s->key.len ? s->key.data : s->cert.data;
    to->key = to->ocsp = slice_make("", 0);
    bool is_read = build_read(b, &s->at, s->cert, &to->cert);
    if (is_read) expiries_note(&b->outcome->certificates, to->cert_name, to->cert);
    if (s->key.len) is_read &= build_read(b, &s->at, s->key, &to->key);
    if (s->ocsp.len) is_read &= build_read(b, &s->at, s->ocsp, &to->ocsp);
    return is_read;
}

static bool read_certificates(struct build *b, const struct listener_tls_settings *s,
                              struct tls_certificate_pem *to, size_t *count)
{
    bool is_read = true;
    *count = 0;
    for (size_t i = 0; i < s->certificate_count; i++)
        is_read &= read_certificate(b, &s->certificates[i], &to[(*count)++]);
    if (s->is_self_signed && make_own(b, &s->at))
        to[(*count)++] = (struct tls_certificate_pem){
            .cert_name = "self_signed",
            .cert = buffer_slice(&b->maker->own_cert),
            .key_name = "self_signed",
            .key = buffer_slice(&b->maker->own_key),
            .ocsp = { "", 0 },
        };
    return is_read && b->report->error_count == 0;
}

static void report_warnings(struct build *b, const struct conf_place *at, struct buffer *lines)
{
    buffer_put_char(lines, '\n');
    for (char *line = lines->data, *end; (end = strchr(line, '\n')); line = end + 1) {
        *end = 0;
        if (*line) conf_report_add(b->report, CONF_WARNING, at, "%s", line);
    }
    buffer_reset(lines);
}

/* Which certificates are at fault: each is tried alone. */
static void report_store(struct build *b, const struct listener_tls_settings *s,
                         const struct tls_server_settings *all, const struct error *whole)
{
    size_t before = b->report->error_count;
    for (size_t i = 0; i < s->certificate_count; i++) {
        struct tls_server_settings one = *all;
        struct error               e;
        one.certificates = &all->certificates[i];
        one.certificate_count = 1;
        one.may_be_expired = &all->may_be_expired[i];
        one.client_ca = slice_make("", 0);
        one.client_auth = TLS_CLIENT_NONE;
        struct tls_store *store = tls_store_new(&one, NULL, &e);
        if (!store) conf_report_add(b->report, CONF_ERROR, &s->certificates[i].at, "%s", e.text);
        tls_store_free(store);
    }
    if (b->report->error_count == before)
        conf_report_add(b->report, CONF_ERROR, &s->at, "%s", whole->text);
}

static void make_key(const struct tls_server_settings *s, struct buffer *key)
{
    buffer_printf(key, "%d %d %d %d", (int)s->profile, (int)s->client_auth, s->has_tickets,
                  s->offers_h2);
    build_key_content(key, s->client_ca);
    for (size_t i = 0; i < s->certificate_count; i++) {
        build_key_content(key, s->certificates[i].cert);
        build_key_content(key, s->certificates[i].key);
        build_key_content(key, s->certificates[i].ocsp);
    }
}

static struct tls_contexts *make_contexts(struct build *b, const struct listener_tls_settings *s,
                                          struct tls_store *store)
{
    struct tls_contexts    *c = mem_zalloc(sizeof(*c));
    struct tls_ticket_keys *keys = s->tickets ? b->maker->ticket_keys : NULL;
    struct error            e;
    c->crew = b->maker->crew;
    c->count = b->maker->worker_count;
    c->servers = mem_zalloc(c->count * sizeof(*c->servers));
    for (unsigned i = 0; i < c->count; i++) {
        c->servers[i] = tls_server_new(store, keys, &e);
        if (c->servers[i]) continue;
        conf_report_add(b->report, CONF_ERROR, &s->at, "%s", e.text);
        while (i) tls_server_unref(c->servers[--i]);
        free(c->servers);
        free(c);
        return NULL;
    }
    return c;
}

/* What has aged since it was made. False: it may not be served any more. */
static bool remind(struct build *b, const struct listener_tls_settings *s,
                   const struct tls_server_settings *settings)
{
    for (size_t i = 0; i < s->certificate_count; i++) {
        const struct tls_certificate_pem *pem = &settings->certificates[i];
        const struct conf_place          *at = &s->certificates[i].at;
        int64_t                           end_s, now_s = clock_wall_us() / 1000000;
        if (!tls_certificate_expiry(pem->cert, &end_s) || end_s > now_s + REMIND_DAYS * DAY_S)
            continue;
        if (end_s > now_s)
            conf_report_add(b->report, CONF_WARNING, at, "%s: the certificate expires in %d days",
                            pem->cert_name, (int)((end_s - now_s) / DAY_S));
        else if (settings->may_be_expired[i])
            conf_report_add(b->report, CONF_WARNING, at,
                            "%s: the certificate has expired; clients refuse it", pem->cert_name);
        else
            return false;
    }
    return true;
}

/* Warnings are told each time, also when nothing changed: they age. */
static struct registry_item *find_or_make(struct build *b, const struct listener_tls_settings *s,
                                          const struct tls_server_settings *settings)
{
    struct buffer         key = BUFFER_INIT, warnings = BUFFER_INIT;
    struct error          e;
    struct registry_item *item = NULL;
    struct tls_contexts  *contexts = NULL;
    make_key(settings, &key);
    item = registry_find(b->maker->registry, REGISTRY_TLS, buffer_slice(&key));
    if (item && remind(b, s, settings)) goto out;
    item = NULL;
    struct tls_store *store = tls_store_new(settings, &warnings, &e);
    if (!store)
        report_store(b, s, settings, &e);
    else
        contexts = make_contexts(b, s, store);
    report_warnings(b, &s->at, &warnings);
    tls_store_free(store);
    if (contexts)
        item = registry_add(b->maker->registry, REGISTRY_TLS, buffer_slice(&key), contexts,
                            free_contexts, NULL);
out:
    buffer_reset(&key);
    return item;
}

static const bool *judge_expired(struct build *b, const struct listener_tls_settings *s,
                                 const struct tls_certificate_pem *pem)
{
    bool *may_be = arena_zalloc(&b->plan->arena, (s->certificate_count + 1) * sizeof(*may_be));
    for (size_t i = 0; i < s->certificate_count; i++)
        may_be[i] = build_may_be_expired(b, s->certificates[i].cert, pem[i].cert);
    return may_be;
}

struct tls_server **build_tls(struct build *b, const struct listener_tls_settings *s,
                              bool offers_h2)
{
    static const enum tls_client_auth auth[] = {
        [CLIENT_AUTH_NONE] = TLS_CLIENT_NONE,
        [CLIENT_AUTH_OPTIONAL] = TLS_CLIENT_OPTIONAL,
        [CLIENT_AUTH_REQUIRED] = TLS_CLIENT_REQUIRED,
    };
    struct tls_certificate_pem *pem =
        arena_zalloc(&b->plan->arena, (s->certificate_count + 1) * sizeof(*pem));
    struct tls_server_settings settings = {
        .certificates = pem,
        .profile = s->profile == PROFILE_MODERN ? TLS_MODERN : TLS_INTERMEDIATE,
        .client_auth = auth[s->client_auth],
        .client_ca = { "", 0 },
        .has_tickets = s->tickets,
        .offers_h2 = offers_h2,
    };
    bool is_read = read_certificates(b, s, pem, &settings.certificate_count);
    if (s->client_ca.len) is_read &= build_read(b, &s->at, s->client_ca, &settings.client_ca);
    if (!is_read) return NULL;
    settings.may_be_expired = judge_expired(b, s, pem);
    struct registry_item *item = find_or_make(b, s, &settings);
    if (!item) return NULL;
    registry_hold(b->maker->registry, item, &b->plan->arena);
    return ((struct tls_contexts *)item->object)->servers;
}
