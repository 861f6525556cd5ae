/* SPDX-License-Identifier: Apache-2.0
 *
 * What is in a folder, as HTML or as JSON. Names may be any bytes: they are escaped in
 * both. Those that would not be served are left out.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "http/chars.h"
#include "http/date.h"
#include "origin/files.h"
#include "origin/page.h"

enum { ENTRIES_MAX = 10000 };

struct entry {
    char       *name;
    const char *type;
    bool        is_folder;
    uint64_t    size;
    int64_t     modified_s;
};

struct list_of {
    struct entry *items;
    size_t        count;
};

/* Folders first, then by their bytes. */
static int compare(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    if (x->is_folder != y->is_folder) return x->is_folder ? -1 : 1;
    return strcmp(x->name, y->name);
}

/* NULL: not to be shown. Where a link leads is not looked at: that may be elsewhere. */
static const char *type_of(mode_t mode)
{
    return S_ISDIR(mode) ? "folder" : S_ISREG(mode) ? "file" : S_ISLNK(mode) ? "link" : NULL;
}

static void read_folder(DIR *folder, struct list_of *to)
{
    struct dirent *d;
    while (to->count < ENTRIES_MAX && (d = readdir(folder))) {
        struct stat st;
        if (d->d_name[0] == '.' || fstatat(dirfd(folder), d->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        const char *type = type_of(st.st_mode);
        if (!type) continue;
        to->items = mem_realloc(to->items, (to->count + 1) * sizeof(*to->items));
        to->items[to->count++] = (struct entry){ mem_strdup(d->d_name), type, S_ISDIR(st.st_mode),
                                                 (uint64_t)st.st_size, st.st_mtim.tv_sec };
    }
    if (to->count) qsort(to->items, to->count, sizeof(*to->items), compare);
}

/* As a segment of a URL. */
static void put_link(struct buffer *b, const char *name)
{
    for (; *name; name++) {
        if (http_char_is(*name, CHAR_UNRESERVED))
            buffer_put_char(b, *name);
        else
            buffer_printf(b, "%%%02X", (unsigned char)*name);
    }
}

static void put_html(struct buffer *b, const struct list_of *l)
{
    page_put_head(b, "Files");
    buffer_puts(b, "<table><tr><td><a href=\"../\">../</a><td><td>\n");
    for (size_t i = 0; i < l->count; i++) {
        const struct entry *e = &l->items[i];
        const char         *slash = e->is_folder ? "/" : "";
        char                date[HTTP_DATE_BYTES];
        http_date_write(date, e->modified_s);
        buffer_puts(b, "<tr><td><a href=\"./");
        put_link(b, e->name);
        buffer_printf(b, "%s\">", slash);
        page_put_text(b, slice_of(e->name));
        buffer_printf(b, "%s</a><td>", slash);
        if (!e->is_folder) buffer_printf(b, "%llu", (unsigned long long)e->size);
        buffer_printf(b, "<td>%.*s\n", HTTP_DATE_BYTES, date);
    }
    buffer_puts(b, "</table>\n");
}

static void put_json(struct buffer *b, const struct list_of *l)
{
    buffer_put_char(b, '[');
    for (size_t i = 0; i < l->count; i++) {
        const struct entry *e = &l->items[i];
        buffer_puts(b, i ? ",\n{\"name\":" : "{\"name\":");
        buffer_put_json(b, slice_of(e->name));
        buffer_printf(b, ",\"type\":\"%s\",\"size\":%llu,\"modified\":%lld}", e->type,
                      (unsigned long long)e->size, (long long)e->modified_s);
    }
    buffer_puts(b, "]\n");
}

void files_list(struct exchange *x, int fd)
{
    struct arena     *a = exchange_arena(x);
    struct http_head *head = arena_zalloc(a, sizeof(*head));
    struct list_of    list = { 0 };
    struct buffer     text = BUFFER_INIT;
    bool              is_json = page_accepts_json(exchange_request(x));
    DIR              *folder = fdopendir(fd);
    if (!folder) {
        close(fd);
        exchange_reply_status(x, 500, "files_failed");
        return;
    }
    read_folder(folder, &list);
    closedir(folder);
    (is_json ? put_json : put_html)(&text, &list);
    for (size_t i = 0; i < list.count; i++) free(list.items[i].name);
    free(list.items);
    head->status = 200;
    http_fields_set(&head->fields, a, FIELD_CONTENT_TYPE,
                    is_json ? S("application/json") : S("text/html; charset=utf-8"));
    http_fields_set(&head->fields, a, FIELD_CACHE_CONTROL, S("no-cache"));
    http_fields_set(&head->fields, a, FIELD_VARY, S("Accept"));
    size_t len = text.len;
    char  *body = buffer_detach(&text);
    arena_on_reset(a, free, body);
    exchange_reply(x, head, slice_make(body, len), "files_listing");
}
