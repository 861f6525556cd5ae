/* SPDX-License-Identifier: Apache-2.0
 *
 * Media types. See mime.h.
 */
#include "origin/mime.h"

#include "base/map.h"

enum { ENDING_BYTES_MAX = 24 };

struct mime_table {
    struct map types; /* ending in lower case -> struct slice */
};

/* What a site is made of. */
static const char usual[] = "text/html html htm\n"
                            "text/css css\n"
                            "text/javascript js mjs\n"
                            "text/plain txt log\n"
                            "text/markdown md\n"
                            "text/csv csv\n"
                            "text/xml xml\n"
                            "text/vtt vtt\n"
                            "application/json json map\n"
                            "application/manifest+json webmanifest\n"
                            "application/wasm wasm\n"
                            "application/pdf pdf\n"
                            "application/zip zip\n"
                            "application/gzip gz\n"
                            "application/zstd zst\n"
                            "application/x-tar tar\n"
                            "application/rss+xml rss\n"
                            "application/atom+xml atom\n"
                            "application/xhtml+xml xhtml\n"
                            "image/png png\n"
                            "image/jpeg jpg jpeg\n"
                            "image/gif gif\n"
                            "image/webp webp\n"
                            "image/avif avif\n"
                            "image/svg+xml svg\n"
                            "image/vnd.microsoft.icon ico\n"
                            "font/woff woff\n"
                            "font/woff2 woff2\n"
                            "font/ttf ttf\n"
                            "font/otf otf\n"
                            "audio/mpeg mp3\n"
                            "audio/ogg ogg oga opus\n"
                            "audio/x-wav wav\n"
                            "video/mp4 mp4 m4v\n"
                            "video/webm webm\n"
                            "video/ogg ogv\n";

static struct slice next_word(struct slice *line)
{
    size_t begin = 0, end;
    while (begin < line->len && strchr(" \t\r", line->data[begin])) begin++;
    for (end = begin; end < line->len && !strchr(" \t\r", line->data[end]);) end++;
    struct slice word = slice_make(line->data + begin, end - begin);
    *line = slice_from(*line, end);
    return word;
}

static struct slice lower(struct slice s, char *to)
{
    for (size_t i = 0; i < s.len; i++)
        to[i] = (char)(s.data[i] | (s.data[i] >= 'A' && s.data[i] <= 'Z' ? 0x20 : 0));
    return slice_make(to, s.len);
}

/* "type/subtype ending ending ..." */
static void read_line(struct mime_table *m, struct arena *a, struct slice line)
{
    line.len = slice_find(line, '#');
    struct slice  word = next_word(&line), ending = next_word(&line);
    struct slice *type = NULL;
    for (; ending.len; ending = next_word(&line)) {
        if (ending.len > ENDING_BYTES_MAX) continue;
        if (!type) {
            type = arena_alloc(a, sizeof(*type));
            *type = arena_copy(a, word);
        }
        map_put(&m->types, lower(ending, arena_alloc(a, ending.len)), type);
    }
}

static void read_table(struct mime_table *m, struct arena *a, struct slice text)
{
    while (text.len) {
        size_t end = slice_find(text, '\n');
        read_line(m, a, slice_make(text.data, end));
        text = slice_from(text, end < text.len ? end + 1 : end);
    }
}

static void forget(void *table)
{
    map_reset(&((struct mime_table *)table)->types);
}

const struct mime_table *mime_table_new(struct arena *a, struct slice text)
{
    struct mime_table *m = arena_zalloc(a, sizeof(*m));
    map_init(&m->types);
    arena_on_reset(a, forget, m);
    read_table(m, a, slice_of(usual));
    read_table(m, a, text);
    return m;
}

struct slice mime_type_of(const struct mime_table *m, struct slice path)
{
    char   ending[ENDING_BYTES_MAX];
    size_t at = path.len;
    while (at && path.data[at - 1] != '.' && path.data[at - 1] != '/') at--;
    size_t len = path.len - at;
    if (at && path.data[at - 1] == '.' && len && len <= ENDING_BYTES_MAX) {
        const struct slice *type = map_get(&m->types, lower(slice_from(path, at), ending));
        if (type) return *type;
    }
    return S("application/octet-stream");
}
