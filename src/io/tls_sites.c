/* SPDX-License-Identifier: Apache-2.0
 *
 * Which certificates a server name selects: exact, then wildcard of one label
 * (RFC 9525 section 6.3), then the default. Names that select the same
 * certificates share one site, and so one SSL_CTX.
 */
#include <openssl/x509v3.h>

#include "io/tls_internal.h"

enum { HOST_MAX = 253 };

struct tls_name {
    struct tls_site  own; /* while names are being added */
    struct tls_site *site;
};

struct adding {
    struct tls_sites        *sites;
    struct arena            *arena;
    const struct tls_parsed *parsed;
    uint32_t                 certificate;
    struct buffer           *names;
    struct buffer           *warnings;
};

void tls_sites_init(struct tls_sites *s)
{
    *s = (struct tls_sites){ 0 };
    map_init(&s->exact);
    map_init(&s->wildcard);
}

void tls_sites_reset(struct tls_sites *s)
{
    map_reset(&s->exact);
    map_reset(&s->wildcard);
}

/* Lower case without the final dot; empty when it cannot be a host name. */
static struct slice normalise(struct slice host, char text[HOST_MAX])
{
    if (host.len && host.data[host.len - 1] == '.') host.len--;
    if (host.len > HOST_MAX) return slice_make("", 0);
    for (size_t i = 0; i < host.len; i++) {
        char c = host.data[i];
        if (c == '\0') return slice_make("", 0);
        text[i] = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
    }
    return slice_make(text, host.len);
}

static void add_name(const struct adding *with, struct slice raw)
{
    char         text[HOST_MAX];
    struct slice name = normalise(raw, text);
    struct map  *map = &with->sites->exact;
    if (slice_starts_with(name, S("*."))) {
        name = slice_from(name, 2);
        map = &with->sites->wildcard;
    }
    if (!name.len || memchr(name.data, '*', name.len)) return;
    struct tls_name *known = map_get(map, name);
    if (!known) {
        known = arena_zalloc(with->arena, sizeof(*known));
        map_put(map, arena_copy(with->arena, name), known);
    }
    buffer_printf(with->names, "%.*s\n", SLICE_ARG(raw));
    uint32_t *slot = &known->own.certificates[with->parsed->kind];
    if (*slot == 0)
        *slot = with->certificate + 1;
    else if (*slot != with->certificate + 1 && with->warnings)
        buffer_printf(with->warnings, "%s: not used for %.*s: an earlier certificate is\n",
                      with->parsed->cert_name, SLICE_ARG(raw));
    /* The first name of the first certificate stands for all unknown names. */
    if (!with->sites->items) {
        with->sites->items = arena_zalloc(with->arena, sizeof(void *));
        with->sites->items[0] = &known->own;
    }
}

static struct slice asn1_text(const ASN1_STRING *s)
{
    return slice_make((const char *)ASN1_STRING_get0_data(s), (size_t)ASN1_STRING_length(s));
}

static void add_common_name(const struct adding *with, X509 *leaf)
{
    const X509_NAME *subject = X509_get_subject_name(leaf);
    int              at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    if (at >= 0)
        add_name(with, asn1_text(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at))));
}

void tls_sites_add(struct tls_sites *s, struct arena *a, const struct tls_parsed *p,
                   uint32_t certificate, struct buffer *names, struct buffer *warnings)
{
    struct adding  with = { s, a, p, certificate, names, warnings };
    X509          *leaf = sk_X509_value(p->chain, 0);
    GENERAL_NAMES *alternatives = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
    if (!alternatives) add_common_name(&with, leaf);
    for (int i = 0; i < sk_GENERAL_NAME_num(alternatives); i++) {
        const GENERAL_NAME *one = sk_GENERAL_NAME_value(alternatives, i);
        if (one->type == GEN_DNS) add_name(&with, asn1_text(one->d.dNSName));
    }
    GENERAL_NAMES_free(alternatives);
    if (s->items) return;
    struct tls_site *nameless = arena_zalloc(a, sizeof(*nameless));
    nameless->certificates[p->kind] = certificate + 1;
    s->items = arena_zalloc(a, sizeof(void *));
    s->items[0] = nameless;
}

/* The site that equals `own`, made when there is none. */
static struct tls_site *intern(struct tls_sites *s, struct map *known, struct arena *a,
                               const struct tls_site *own)
{
    struct slice     key = slice_make((const char *)own->certificates, sizeof(own->certificates));
    struct tls_site *site = map_get(known, key);
    if (site) return site;
    site = arena_alloc(a, sizeof(*site));
    *site = *own;
    site->index = (uint32_t)s->count;
    s->items[s->count++] = site;
    map_put(known, slice_make((const char *)site->certificates, sizeof(site->certificates)), site);
    return site;
}

void tls_sites_finish(struct tls_sites *s, struct arena *a)
{
    struct map known;
    map_init(&known);
    const struct tls_site *first = s->items[0];
    s->items = arena_zalloc(a, (s->exact.count + s->wildcard.count + 1) * sizeof(void *));
    intern(s, &known, a, first);
    const struct map *maps[] = { &s->exact, &s->wildcard };
    for (int m = 0; m < 2; m++) {
        size_t       cursor = 0;
        struct slice key;
        void        *value;
        while (map_next(maps[m], &cursor, &key, &value)) {
            struct tls_name *name = value;
            name->site = intern(s, &known, a, &name->own);
        }
    }
    map_reset(&known);
}

const struct tls_site *tls_sites_find(const struct tls_sites *s, struct slice host)
{
    char         text[HOST_MAX];
    struct slice name = normalise(host, text);
    if (s->count == 1 || !name.len) return s->items[0];
    const struct tls_name *found = map_get(&s->exact, name);
    size_t                 dot = slice_find(name, '.');
    if (!found && dot > 0 && dot + 1 < name.len)
        found = map_get(&s->wildcard, slice_from(name, dot + 1));
    return found ? found->site : s->items[0];
}
