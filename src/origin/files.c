/* SPDX-License-Identifier: Apache-2.0
 *
 * Which file a request is about. See files.h.
 */
#include "origin/files.h"

#include "origin/files_path.h"

enum { UNUSED_MS = 10 * 1000 };

/* ---- of a plan ---- */

struct files *files_new(struct arena *a, const struct files_settings *s,
                        const struct mime_table *types, unsigned worker_count, struct error *e)
{
    struct files     *f = arena_zalloc(a, sizeof(*f));
    struct files_path fallback = { S(""), false };
    f->settings = s;
    f->types = types;
    f->index = s->index;
    f->workers = arena_zalloc(a, worker_count * sizeof(*f->workers));
    if (!f->index.count) {
        f->index = (struct text_list){ arena_alloc(a, sizeof(*f->index.items)), 1 };
        f->index.items[0] = S("index.html");
    }
    f->rules.root = arena_copy(a, s->root).data;
    f->rules.most = s->open_files;
    for (size_t i = 0; i < s->precompressed.count && f->rules.coding_count < FILE_CODINGS_MAX;
         i++) {
        enum http_coding coding = http_coding_lookup(s->precompressed.items[i]);
        if (coding != CODING_COUNT) f->rules.codings[f->rules.coding_count++] = coding; /* or off */
    }
    if (s->fallback.len && (!files_path_read(s->fallback, a, &fallback) || fallback.is_folder)) {
        error_set(e, fallback.is_folder ? "`fallback` is a file, not a folder"
                                        : "`fallback` names nothing that is served");
        return NULL;
    }
    f->fallback = fallback.text;
    return f;
}

bool files_check(const struct files *f, struct error *e)
{
    char why[200];
    if (file_cache_check(&f->rules, why, sizeof(why))) return true;
    return error_set(e, "%s: %s", f->rules.root, why);
}

static void expire(struct deadline *d)
{
    struct files_worker *w = container_of(d, struct files_worker, expiry);
    if (file_cache_expire(&w->cache, w->loop->clock.now_ms, UNUSED_MS))
        deadline_set(w->loop, d, UNUSED_MS);
    else
        deadline_clear(d);
}

static void adopt(void *part, unsigned worker, struct loop *l)
{
    struct files        *f = part;
    struct files_worker *w = &f->workers[worker];
    w->loop = l;
    file_cache_init(&w->cache, &f->rules);
    deadline_init(&w->expiry, expire);
}

static void release(void *part, unsigned worker, struct loop *l)
{
    struct files_worker *w = &((struct files *)part)->workers[worker];
    (void)l;
    deadline_remove(&w->expiry);
    file_cache_reset(&w->cache);
}

const struct plan_part_ops files_part = { .adopt = adopt, .release = release };

/* ---- of a request ---- */

static enum file_result open_file(const struct files *f, struct files_worker *w, struct slice path,
                                  struct open_file **file)
{
    enum file_result r = file_cache_open(&w->cache, path, w->loop->clock.now_ms, file);
    if (r == FILE_OPEN && w->cache.fd_count && !w->expiry.at_ms)
        deadline_set(w->loop, &w->expiry, UNUSED_MS);
    if (r != FILE_EXHAUSTED) w->has_told_want = false;
    if (r == FILE_EXHAUSTED && !w->has_told_want) {
        w->has_told_want = true;
        log_error(w->loop->log,
                  "%s: files cannot be opened: out of file descriptors; raise the limit (ulimit "
                  "-n, LimitNOFILE)",
                  f->rules.root);
    }
    return r;
}

/* The first index that is there. A file that may not be read is there. */
static enum file_result open_index(struct exchange *x, const struct files *f,
                                   struct files_worker *w, struct slice folder,
                                   struct open_file **file)
{
    enum file_result r = FILE_MISSING;
    for (size_t i = 0; i < f->index.count; i++) {
        r = open_file(f, w,
                      arena_printf(exchange_arena(x), "%.*s%s%.*s", SLICE_ARG(folder),
                                   folder.len ? "/" : "", SLICE_ARG(f->index.items[i])),
                      file);
        if (r != FILE_MISSING && r != FILE_IS_FOLDER) return r;
    }
    return FILE_MISSING;
}

/* RFC 9110 section 15.5.6: a 405 names the methods that are allowed. */
static void refuse_method(struct exchange *x)
{
    struct http_fields allow = { 0 };
    http_fields_add_named(&allow, exchange_arena(x), S("Allow"), S("GET, HEAD"));
    exchange_reply_status_with(x, 405, "files_method", &allow);
}

/* To the same with a slash, so that links relative to it work. It is said relative to what was
 * asked for: that a rewriting, here or at a proxy before us, took away from the path stays there,
 * and no path, "//host" neither, names another host. */
static void redirect_to_folder(struct exchange *x)
{
    const struct http_head *request = exchange_request(x);
    struct arena           *a = exchange_arena(x);
    struct http_head       *head = arena_zalloc(a, sizeof(*head));
    head->status = 301;
    http_fields_set(&head->fields, a, FIELD_LOCATION,
                    arena_printf(a, "./%.*s/%s%.*s", SLICE_ARG(files_path_name(request->path)),
                                 request->has_query ? "?" : "", SLICE_ARG(request->query)));
    exchange_reply(x, head, slice_make("", 0), "files_folder");
}

static void refuse(struct exchange *x, enum file_result why)
{
    if (why == FILE_FORBIDDEN)
        exchange_reply_status(x, 403, "files_forbidden");
    else if (why == FILE_EXHAUSTED)
        exchange_reply_status(x, 503, "files_exhausted");
    else if (why == FILE_FAILED)
        exchange_reply_status(x, 500, "files_failed");
    else
        exchange_reply_status(x, 404, "files_missing");
}

/* The folder itself is asked for. False: it has nothing to show. */
static bool show_folder(struct exchange *x, const struct files *f, struct files_worker *w,
                        const char *path)
{
    if (!f->settings->listing) return false;
    int fd = file_cache_open_folder(&w->cache, path, w->loop->clock.now_ms);
    if (fd < 0) return false;
    files_list(x, fd);
    return true;
}

static void start(struct exchange *x, const void *config)
{
    const struct files     *f = config;
    const struct http_head *request = exchange_request(x);
    struct files_worker    *w = &f->workers[exchange_worker_index(x)];
    struct files_path       path;
    struct open_file       *file = NULL;
    if (request->method != HTTP_GET && request->method != HTTP_HEAD) {
        refuse_method(x);
        return;
    }
    if (!files_path_read(request->path, exchange_arena(x), &path)) {
        exchange_reply_status(x, 404, "files_hidden");
        return;
    }
    bool             is_folder = path.is_folder || !path.text.len;
    enum file_result r =
        is_folder ? open_index(x, f, w, path.text, &file) : open_file(f, w, path.text, &file);
    if (r == FILE_IS_FOLDER) {
        redirect_to_folder(x);
        return;
    }
    if (r == FILE_MISSING && is_folder && show_folder(x, f, w, path.text.data)) return;
    if (r == FILE_MISSING && f->fallback.len) r = open_file(f, w, f->fallback, &file);
    if (r == FILE_OPEN)
        files_reply(x, f, file);
    else
        refuse(x, r);
}

const struct origin_ops origin_files = { .name = "files", .start = start };
