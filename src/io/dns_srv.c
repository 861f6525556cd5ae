/* SPDX-License-Identifier: Apache-2.0
 *
 * SRV records out of a reply. See dns_srv.h. Names are expanded by the C library.
 */
#include "io/dns_srv.h"

#include <arpa/nameser.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

/* What is still to be read of a reply. */
struct reader {
    const unsigned char *start, *next, *end;
};

static size_t rest(const struct reader *r)
{
    return (size_t)(r->end - r->next);
}

/* The caller has looked that there are two bytes. */
static uint16_t take_16(struct reader *r)
{
    uint16_t value = (uint16_t)(r->next[0] << 8 | r->next[1]);
    r->next += 2;
    return value;
}

static uint32_t take_32(struct reader *r)
{
    uint32_t high = take_16(r);
    return high << 16 | take_16(r);
}

static bool take_name(struct reader *r, char name[NS_MAXDNAME])
{
    int used = ns_name_uncompress(r->start, r->end, r->next, name, NS_MAXDNAME);
    if (used < 0) return false;
    r->next += used;
    return true;
}

/* DNS compares ASCII letters without regard to case, and so do we from here on. */
static char *host_of(char *name)
{
    size_t len = strlen(name);
    if (len && name[len - 1] == '.') name[len - 1] = '\0';
    for (char *c = name; *c; c++)
        if (*c >= 'A' && *c <= 'Z') *c = (char)(*c | 0x20);
    return mem_strdup(name);
}

uint32_t dns_least_ttl(uint32_t least_s, uint32_t ttl_s)
{
    if (ttl_s > INT32_MAX) ttl_s = 0;
    return ttl_s < least_s ? ttl_s : least_s;
}

static bool take_srv(struct reader *r, struct dns_srv *to)
{
    char name[NS_MAXDNAME];
    if (rest(r) < 3 * NS_INT16SZ) return false;
    to->priority = take_16(r);
    to->weight = take_16(r);
    to->port = take_16(r);
    if (!take_name(r, name)) return false;
    to->host = host_of(name);
    return true;
}

static bool take_record(struct reader *r, struct dns_srv_list *list)
{
    char name[NS_MAXDNAME];
    if (!take_name(r, name) || rest(r) < 3 * NS_INT16SZ + NS_INT32SZ) return false;
    uint16_t type = take_16(r), class = take_16(r);
    uint32_t ttl_s = take_32(r);
    size_t   len = take_16(r);
    if (rest(r) < len) return false;
    const unsigned char *end = r->next + len;
    if (type == ns_t_srv && class == ns_c_in) {
        if (!take_srv(r, &list->items[list->count])) return false;
        list->count++;
        list->ttl_s = dns_least_ttl(list->ttl_s, ttl_s);
        if (r->next != end) return false;
    }
    r->next = end;
    return true;
}

static bool take_all(struct reader *r, struct dns_srv_list *list)
{
    char name[NS_MAXDNAME];
    if (rest(r) < NS_HFIXEDSZ) return false;
    r->next += 2 * NS_INT16SZ; /* id and flags: the library has looked at them */
    unsigned questions = take_16(r), answers = take_16(r);
    r->next += 2 * NS_INT16SZ;
    for (unsigned i = 0; i < questions; i++) {
        if (!take_name(r, name) || rest(r) < NS_QFIXEDSZ) return false;
        r->next += NS_QFIXEDSZ;
    }
    /* A record has ten bytes besides its name: a count that lies costs no memory. */
    if (answers > rest(r) / NS_RRFIXEDSZ) return false;
    list->items = mem_zalloc((answers + 1) * sizeof(*list->items));
    for (unsigned i = 0; i < answers; i++)
        if (!take_record(r, list)) return false;
    return true;
}

static int by_host(const void *a, const void *b)
{
    const struct dns_srv *x = a, *y = b;
    return strcmp(x->host, y->host);
}

bool dns_srv_parse(struct dns_srv_list *list, const unsigned char *reply, size_t len)
{
    struct reader r = { reply, reply, reply + len };
    *list = (struct dns_srv_list){ .ttl_s = UINT32_MAX };
    if (!take_all(&r, list)) {
        dns_srv_reset(list);
        return false;
    }
    qsort(list->items, list->count, sizeof(*list->items), by_host);
    return true;
}

void dns_srv_reset(struct dns_srv_list *list)
{
    for (size_t i = 0; i < list->count; i++) free(list->items[i].host);
    free(list->items);
    *list = (struct dns_srv_list){ .ttl_s = UINT32_MAX };
}
