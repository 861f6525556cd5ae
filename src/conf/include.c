/* SPDX-License-Identifier: Apache-2.0
 *
 * `include` and the joining of trees. See include.h.
 */
#include "conf/include.h"

#include "base/map.h"
#include "conf/template.h"
#include "conf/types.h"

/* The files that are being read, innermost first. */
struct chain {
    const struct chain *outer;
    const char         *name; /* as shown */
    struct slice        path; /* absolute */
    unsigned            depth;
};

/* ---- joining ---- */

static struct conf_node *copy_of(struct conf_loader *l, const struct conf_node *n, size_t more)
{
    size_t            each = n->kind == CONF_MAPPING ? sizeof(*n->pairs) : sizeof(*n->items);
    struct conf_node *copy = arena_alloc(l->arena, sizeof(*copy));
    *copy = *n;
    copy->items = arena_alloc(l->arena, (n->count + more) * each);
    if (n->count) memcpy(copy->items, n->items, n->count * each);
    return copy;
}

static void report_twice(struct conf_loader *l, const struct conf_node *key,
                         const struct conf_node *first)
{
    conf_report_add(l->report, CONF_ERROR, &key->at, "%s stands here and in %s:%u",
                    conf_quote(&l->report->arena, key->text), first->at.file, first->at.line);
}

/* Names of two files in one map. */
static struct conf_node *join_maps(struct conf_loader *l, const struct conf_node *a,
                                   const struct conf_node *b)
{
    struct conf_node *both = copy_of(l, a, b->count);
    struct map        seen;
    map_init(&seen);
    for (uint32_t i = 0; i < a->count; i++) map_put(&seen, a->pairs[i].key->text, a->pairs[i].key);
    for (uint32_t i = 0; i < b->count; i++) {
        const struct conf_node *first = map_get(&seen, b->pairs[i].key->text);
        if (first)
            report_twice(l, b->pairs[i].key, first);
        else
            both->pairs[both->count++] = b->pairs[i];
    }
    map_reset(&seen);
    return both;
}

static struct conf_node *join_lists(struct conf_loader *l, const struct conf_node *a,
                                    const struct conf_node *b)
{
    struct conf_node *both = copy_of(l, a, b->count);
    if (b->count) memcpy(both->items + a->count, b->items, b->count * sizeof(*b->items));
    both->count += b->count;
    return both;
}

static void join_pair(struct conf_loader *l, struct conf_pair *into, const struct conf_pair *from)
{
    if (into->value->kind != from->value->kind || into->value->kind == CONF_SCALAR)
        report_twice(l, from->key, into->key);
    else if (into->value->kind == CONF_MAPPING)
        into->value = join_maps(l, into->value, from->value);
    else
        into->value = join_lists(l, into->value, from->value);
}

static struct conf_pair *find_pair(const struct conf_node *n, struct slice key)
{
    for (uint32_t i = 0; i < n->count; i++)
        if (slice_eq(n->pairs[i].key->text, key)) return &n->pairs[i];
    return NULL;
}

/* The sections of another file. */
static struct conf_node *join_roots(struct conf_loader *l, const struct conf_node *a,
                                    const struct conf_node *b)
{
    struct conf_node *both = copy_of(l, a, b->count);
    for (uint32_t i = 0; i < b->count; i++) {
        struct conf_pair *same = find_pair(both, b->pairs[i].key->text);
        if (same)
            join_pair(l, same, &b->pairs[i]);
        else
            both->pairs[both->count++] = b->pairs[i];
    }
    return both;
}

/* ---- reading ---- */

static struct conf_node *read_text(struct conf_loader *l, const struct chain *c, struct slice text);

static void remember(struct conf_loader *l, struct slice path)
{
    if ((l->files.count & (l->files.count - 1)) == 0) { /* a power of two: full */
        size_t        room = l->files.count ? l->files.count * 2 : 1;
        struct slice *bigger = arena_alloc(l->settings, room * sizeof(*bigger));
        if (l->files.count) memcpy(bigger, l->files.items, l->files.count * sizeof(*bigger));
        l->files.items = bigger;
    }
    l->files.items[l->files.count++] = arena_copy(l->settings, path);
}

/* `at` is where the file is asked for, NULL for the first one. */
static struct conf_node *read_file(struct conf_loader *l, struct chain *c,
                                   const struct conf_place *at)
{
    struct buffer     content = BUFFER_INIT;
    struct error      e = { "" };
    struct conf_place first = { c->name, 0, 0 };
    remember(l, c->path);
    bool is_read = l->reader->read(l->reader->arg, c->name, CONF_FILE_BYTES_MAX, &content, &e);
    if (is_read && content.len > CONF_FILE_BYTES_MAX)
        is_read = error_set(&e, "%s is larger than %d bytes", c->name, CONF_FILE_BYTES_MAX);
    if (!is_read) {
        buffer_reset(&content);
        conf_report_add(l->report, CONF_ERROR, at ? at : &first, "%s", e.text);
        return NULL;
    }
    struct slice text = conf_report_source(l->report, &c->name, &content);
    return read_text(l, c, text);
}

static bool is_in_chain(struct conf_loader *l, const struct chain *c, struct slice path,
                        const struct conf_place *at)
{
    struct slice names = S("");
    for (const struct chain *x = c; x; x = x->outer) {
        names = arena_printf(l->arena, "%s -> %.*s", x->name, SLICE_ARG(names));
        if (!slice_eq(x->path, path)) continue;
        conf_report_add(l->report, CONF_ERROR, at, "files include each other: %.*s%s",
                        SLICE_ARG(names), x->name);
        return true;
    }
    return false;
}

struct inclusion {
    struct conf_loader *loader;
    const struct chain *chain;
    struct conf_place   at;
    struct conf_node   *root; /* what is there so far */
};

static void include_one(void *to, const char *name)
{
    struct inclusion   *x = to;
    struct conf_loader *l = x->loader;
    struct chain        c = { x->chain, name, conf_path_beside(l->arena, "", slice_of(name)),
                              x->chain->depth + 1 };
    struct conf_node   *root = NULL;
    if (c.depth > CONF_INCLUDE_DEPTH_MAX || l->files.count >= CONF_FILES_MAX)
        conf_report_add(l->report, CONF_ERROR, &x->at, "includes more than %d deep, or %d files",
                        CONF_INCLUDE_DEPTH_MAX, CONF_FILES_MAX);
    else if (!is_in_chain(l, x->chain, c.path, &x->at))
        root = read_file(l, &c, &x->at);
    if (root)
        x->root = join_roots(l, x->root, root);
    else
        l->is_incomplete = true;
}

/* A pattern may fit nothing; a file that is named must be there. */
static void include_pattern(struct inclusion *x, const struct conf_node *n)
{
    struct conf_loader *l = x->loader;
    struct error        e = { "" };
    x->at = n->at;
    if (n->kind != CONF_SCALAR || conf_node_is_null(n) || !n->text.len) {
        conf_report_add(l->report, CONF_ERROR, &n->at,
                        "`include`: expected a path, a pattern or a list of them, got %s",
                        conf_node_quote(l->arena, n));
        return;
    }
    const char  *slash = strrchr(x->chain->name, '/');
    int          folder = slash ? (int)(slash - x->chain->name) + 1 : 0;
    struct slice text = n->text, found;
    if (n->is_template) (void)template_unescape(&text, l->arena, &found); /* else no such file */
    struct slice path = text;
    if (path.data[0] != '/')
        path = arena_printf(l->arena, "%.*s%.*s", folder, x->chain->name, SLICE_ARG(text));
    if (!strpbrk(text.data, "*?[")) {
        include_one(x, path.data);
    } else if (!l->reader->glob(l->reader->arg, path.data, include_one, x, &e)) {
        conf_report_add(l->report, CONF_ERROR, &n->at, "`include`: %s", e.text);
        l->is_incomplete = true;
    }
}

static struct conf_node *without_pair(struct conf_loader *l, const struct conf_node *n,
                                      const struct conf_pair *pair)
{
    struct conf_node *rest = copy_of(l, n, 0);
    size_t            index = (size_t)(pair - n->pairs);
    memmove(rest->pairs + index, rest->pairs + index + 1,
            (rest->count - index - 1) * sizeof(*rest->pairs));
    rest->count--;
    return rest;
}

static struct conf_node *follow_includes(struct conf_loader *l, const struct chain *c,
                                         struct conf_node *root)
{
    const struct conf_pair *pair = find_pair(root, S("include"));
    if (!pair) return root;
    const struct conf_node *value = pair->value;
    struct inclusion        x = { l, c, value->at, without_pair(l, root, pair) };
    if (value->kind != CONF_SEQUENCE) include_pattern(&x, value);
    for (uint32_t i = 0; value->kind == CONF_SEQUENCE && i < value->count; i++)
        include_pattern(&x, value->items[i]);
    return x.root;
}

static struct conf_node *read_text(struct conf_loader *l, const struct chain *c, struct slice text)
{
    struct conf_node *root = conf_tree_read(c->name, text, l->arena, &l->budget, l->report);
    if (!root) return NULL;
    if (root->kind == CONF_MAPPING) return follow_includes(l, c, root);
    conf_report_add(l->report, CONF_ERROR, &root->at,
                    "expected a mapping with `listeners`, `routes` and so on, got %s",
                    conf_node_is_null(root) ? "an empty file" : conf_node_quote(l->arena, root));
    return NULL;
}

struct conf_node *conf_include_file(struct conf_loader *l, const char *path)
{
    struct chain c = { NULL, path, conf_path_beside(l->arena, "", slice_of(path)), 1 };
    return read_file(l, &c, NULL);
}

struct conf_node *conf_include_text(struct conf_loader *l, const char *name, struct slice text)
{
    struct chain  c = { NULL, name, conf_path_beside(l->arena, "", slice_of(name)), 1 };
    struct buffer copy = BUFFER_INIT;
    if (text.len > CONF_FILE_BYTES_MAX) {
        struct conf_place at = { name, 0, 0 };
        conf_report_add(l->report, CONF_ERROR, &at, "%s is larger than %d bytes", name,
                        CONF_FILE_BYTES_MAX);
        return NULL;
    }
    buffer_put_slice(&copy, text);
    struct slice kept = conf_report_source(l->report, &c.name, &copy);
    return read_text(l, &c, kept);
}
