/* SPDX-License-Identifier: Apache-2.0
 *
 * libyaml's events -> a tree with places. See tree.h.
 */
#include "conf/tree.h"

#include <stdlib.h>
#include <yaml.h>

#include "base/map.h"
#include "base/memory.h"
#include "conf/expand.h"
#include "conf/scan.h"

/* Children of the collections that are open, innermost last. */
struct node_stack {
    struct conf_node **items;
    size_t             count;
    size_t             capacity;
};

struct tree_reader {
    yaml_parser_t       parser;
    yaml_event_t        event;
    const char         *file;
    struct slice        source;
    struct arena       *arena;
    struct conf_budget *budget;
    struct conf_report *report;
    struct map          anchors; /* of complete nodes; an open one has weight 0 */
    struct node_stack   stack;
    unsigned            depth;
};

void conf_budget_init(struct conf_budget *b)
{
    *b = (struct conf_budget){ CONF_NODES_MAX, CONF_ALIASES_MAX, CONF_EXPANDED_BYTES_MAX };
}

static struct conf_place place_of(const struct tree_reader *t, const yaml_mark_t *mark)
{
    return (struct conf_place){ t->file, (uint32_t)mark->line + 1, (uint32_t)mark->column + 1 };
}

/* ---- syntax ---- */

/* libyaml counts characters. */
static char char_at(struct slice text, size_t index)
{
    for (size_t i = 0; i < text.len; i++)
        if (((unsigned char)text.data[i] & 0xc0) != 0x80 && index-- == 0) return text.data[i];
    return '\0';
}

/* libyaml's texts, where a plainer one says more to who wrote the file. */
static const char *syntax_message(const struct tree_reader *t, const char *problem)
{
    static const struct {
        const char *theirs;
        const char *ours;
    } texts[] = {
        { "could not find expected ':'", "a key without its `:`" },
        { "did not find expected key",
          "expected a key of the mapping (is the indentation right?)" },
        { "did not find expected '-' indicator", "expected `-` of the next list item" },
        { "did not find expected ',' or ']'", "expected `,` or `]`" },
        { "did not find expected ',' or '}'", "expected `,` or `}`" },
        { "mapping values are not allowed in this context",
          "a `:` where no key can be (a value with `: ` in it must be in quotes)" },
        { "found unexpected end of stream", "the file ends inside a quoted text" },
        { "found unknown escape character", "unknown escape in a text in double quotes" },
        { "found unexpected document indicator", "`---` or `...` inside a quoted text" },
    };
    if (strstr(problem, "cannot start any token")) {
        if (char_at(t->source, t->parser.problem_mark.index) == '\t')
            return "a tab where YAML wants spaces";
        return "a text that begins with this character must be in quotes";
    }
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
        if (strcmp(problem, texts[i].theirs) == 0) return texts[i].ours;
    return problem;
}

/* Is the place right behind "$", or just after its brace? */
static bool is_after_dollar(const struct tree_reader *t)
{
    size_t index = t->parser.problem_mark.index;
    return (index >= 1 && char_at(t->source, index - 1) == '$') ||
           (index >= 2 && char_at(t->source, index - 2) == '$');
}

static void report_syntax(struct tree_reader *t)
{
    struct conf_place at = place_of(t, &t->parser.problem_mark);
    const char       *problem = t->parser.problem ? t->parser.problem : "not YAML";
    struct slice      hint = { 0 };
    if (is_after_dollar(t))
        hint = S("`${NAME}` between `{ }` or `[ ]` must be in quotes");
    else if (t->parser.context && t->parser.context_mark.line + 1 < at.line)
        hint = arena_printf(t->arena, "%s that began in line %zu", t->parser.context,
                            t->parser.context_mark.line + 1);
    conf_report_error(t->report, &at, hint, "%s", syntax_message(t, problem));
}

/* False after reporting. */
static bool next_event(struct tree_reader *t)
{
    yaml_event_delete(&t->event);
    if (yaml_parser_parse(&t->parser, &t->event)) return true;
    memset(&t->event, 0, sizeof(t->event));
    report_syntax(t);
    return false;
}

/* ---- bounds ---- */

static bool spend_nodes(struct tree_reader *t, uint32_t weight, const struct conf_place *at)
{
    if (weight <= t->budget->nodes) {
        t->budget->nodes -= weight;
        return true;
    }
    conf_report_add(t->report, CONF_ERROR, at,
                    "more than %d values, aliases and merges written out", CONF_NODES_MAX);
    return false;
}

static struct conf_node *new_node(struct tree_reader *t, enum conf_kind kind)
{
    struct conf_place at = place_of(t, &t->event.start_mark);
    if (!spend_nodes(t, 1, &at)) return NULL;
    struct conf_node *n = arena_zalloc(t->arena, sizeof(*n));
    n->at = at;
    n->end_line = (uint32_t)t->event.end_mark.line + 1;
    n->end_column = (uint32_t)t->event.end_mark.column + 1;
    n->kind = kind;
    return n;
}

static void push(struct node_stack *s, struct conf_node *n)
{
    if (s->count == s->capacity) {
        s->capacity *= 2;
        s->items = mem_realloc(s->items, s->capacity * sizeof(*s->items));
    }
    s->items[s->count++] = n;
}

/* ---- nodes ---- */

static struct conf_node *read_node(struct tree_reader *t, bool is_key);

/* Tags say how to read a value; the tables already do. */
static void refuse_tag(struct tree_reader *t, const yaml_char_t *tag)
{
    struct conf_place at = place_of(t, &t->event.start_mark);
    if (tag)
        conf_report_add(t->report, CONF_ERROR, &at, "tags such as %s are not supported",
                        conf_quote(t->arena, slice_of((const char *)tag)));
}

static void name_anchor(struct tree_reader *t, const yaml_char_t *anchor, struct conf_node *n)
{
    if (!anchor) return;
    struct slice name = arena_copy(t->arena, slice_of((const char *)anchor));
    map_put(&t->anchors, name, n);
}

static struct conf_node *read_scalar(struct tree_reader *t, bool is_key)
{
    struct conf_node *n = new_node(t, CONF_SCALAR);
    if (!n) return NULL;
    n->weight = 1;
    n->is_plain = t->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    struct slice raw = { (const char *)t->event.data.scalar.value, t->event.data.scalar.length };
    n->text = arena_copy(t->arena, raw);
    if (memchr(n->text.data, '\0', n->text.len)) {
        conf_report_add(t->report, CONF_ERROR, &n->at, "a NUL in a text");
        n->is_broken = true;
    } else if (!is_key) {
        n->is_broken = !conf_expand(n, t->arena, t->budget, t->report);
    }
    refuse_tag(t, t->event.data.scalar.tag);
    name_anchor(t, t->event.data.scalar.anchor, n);
    return n;
}

static struct conf_node *read_alias(struct tree_reader *t)
{
    struct conf_place at = place_of(t, &t->event.start_mark);
    struct slice      name = slice_of((const char *)t->event.data.alias.anchor);
    struct conf_node *n = map_get(&t->anchors, name);
    const char       *quoted = conf_quote(t->arena, name);
    if (!n) {
        conf_report_add(t->report, CONF_ERROR, &at, "no anchor %s before this alias", quoted);
    } else if (n->weight == 0) {
        conf_report_add(t->report, CONF_ERROR, &at, "the alias %s stands inside its own anchor",
                        quoted);
    } else if (t->budget->aliases == 0) {
        conf_report_add(t->report, CONF_ERROR, &at, "more than %d aliases", CONF_ALIASES_MAX);
    } else if (spend_nodes(t, n->weight, &at)) {
        t->budget->aliases--;
        return n;
    }
    return NULL;
}

static struct conf_node *read_sequence(struct tree_reader *t)
{
    struct conf_node *n = new_node(t, CONF_SEQUENCE);
    if (!n) return NULL;
    size_t base = t->stack.count;
    refuse_tag(t, t->event.data.sequence_start.tag);
    name_anchor(t, t->event.data.sequence_start.anchor, n);
    uint64_t weight = 1;
    for (;;) {
        if (!next_event(t)) return NULL;
        if (t->event.type == YAML_SEQUENCE_END_EVENT) break;
        struct conf_node *item = read_node(t, false);
        if (!item) return NULL;
        weight += item->weight;
        push(&t->stack, item);
    }
    n->weight = (uint32_t)weight;
    n->count = (uint32_t)(t->stack.count - base);
    n->items = arena_alloc(t->arena, n->count * sizeof(*n->items));
    if (n->count) memcpy(n->items, t->stack.items + base, n->count * sizeof(*n->items));
    t->stack.count = base;
    return n;
}

/* ---- mappings: duplicates and merge keys ---- */

static bool is_merge_key(const struct conf_node *key)
{
    return key->is_plain && slice_eq(key->text, S("<<"));
}

/* Keys seen so far: a map, but for few keys a walk is cheaper. */
struct key_set {
    struct map        map;
    struct conf_pair *pairs;
    uint32_t          count;
};

enum { FEW_KEYS = 16 };

static struct conf_node *key_set_find(const struct key_set *k, struct slice key)
{
    if (k->map.count) return map_get(&k->map, key);
    for (uint32_t i = 0; i < k->count; i++)
        if (slice_eq(k->pairs[i].key->text, key)) return k->pairs[i].key;
    return NULL;
}

static void key_set_add(struct key_set *k, struct conf_pair pair)
{
    k->pairs[k->count++] = pair;
    if (k->count == FEW_KEYS) {
        map_init(&k->map);
        for (uint32_t i = 0; i < k->count; i++)
            map_put(&k->map, k->pairs[i].key->text, k->pairs[i].key);
    } else if (k->count > FEW_KEYS) {
        map_put(&k->map, pair.key->text, pair.key);
    }
}

static void add_own(struct tree_reader *t, struct key_set *k, struct conf_pair pair)
{
    const struct conf_node *first = key_set_find(k, pair.key->text);
    if (!first) {
        key_set_add(k, pair);
        return;
    }
    conf_report_add(t->report, CONF_ERROR, &pair.key->at,
                    "%s stands here twice; the first one is in line %u",
                    conf_quote(t->arena, pair.key->text), first->at.line);
}

/* YAML's merge type: the mapping's own keys win, then the earlier source. */
static void merge_one(struct key_set *k, const struct conf_node *source)
{
    for (uint32_t i = 0; i < source->count; i++)
        if (!key_set_find(k, source->pairs[i].key->text)) key_set_add(k, source->pairs[i]);
}

/* How many pairs a value of `<<` can bring; false after reporting. */
static bool count_merged(struct tree_reader *t, const struct conf_node *value, size_t *count)
{
    const struct conf_node *const *sources = (const struct conf_node *const *)value->items;
    size_t                         source_count = value->kind == CONF_SEQUENCE ? value->count : 1;
    if (value->kind != CONF_SEQUENCE) sources = &value;
    for (size_t i = 0; i < source_count; i++) {
        if (sources[i]->kind != CONF_MAPPING) {
            conf_report_add(t->report, CONF_ERROR, &value->at,
                            "`<<` expects a mapping or a list of mappings, got %s",
                            conf_node_quote(t->arena, sources[i]));
            return false;
        }
        *count += sources[i]->count;
    }
    return true;
}

static void merge_value(struct key_set *k, const struct conf_node *value)
{
    if (value->kind == CONF_MAPPING) merge_one(k, value);
    if (value->kind != CONF_SEQUENCE) return;
    for (uint32_t i = 0; i < value->count; i++) merge_one(k, value->items[i]);
}

/* `list` is key, value, key, value... */
static bool close_mapping(struct tree_reader *t, struct conf_node *n, struct conf_node **list,
                          size_t len)
{
    size_t            room = len / 2;
    struct conf_node *merge = NULL;
    for (size_t i = 0; i < len; i += 2) {
        if (!is_merge_key(list[i])) continue;
        if (merge)
            conf_report_add(t->report, CONF_ERROR, &list[i]->at,
                            "`<<` stands here twice; give it a list");
        merge = list[i + 1];
        if (!count_merged(t, merge, &room)) return false;
    }
    struct key_set keys = { .pairs = arena_alloc(t->arena, room * sizeof(*n->pairs)) };
    for (size_t i = 0; i < len; i += 2)
        if (!is_merge_key(list[i])) add_own(t, &keys, (struct conf_pair){ list[i], list[i + 1] });
    if (merge) merge_value(&keys, merge);
    n->pairs = keys.pairs;
    n->count = keys.count;
    map_reset(&keys.map);
    return true;
}

static bool read_pair(struct tree_reader *t, uint64_t *weight)
{
    if (t->event.type != YAML_SCALAR_EVENT) {
        struct conf_place at = place_of(t, &t->event.start_mark);
        conf_report_add(t->report, CONF_ERROR, &at, "a key must be a plain text");
        return false;
    }
    struct conf_node *key = read_node(t, true);
    if (!key) return false;
    push(&t->stack, key);
    if (!next_event(t)) return false;
    struct conf_node *value = read_node(t, false);
    if (!value) return false;
    push(&t->stack, value);
    *weight += 1 + value->weight;
    return true;
}

static struct conf_node *read_mapping(struct tree_reader *t)
{
    struct conf_node *n = new_node(t, CONF_MAPPING);
    if (!n) return NULL;
    size_t base = t->stack.count;
    refuse_tag(t, t->event.data.mapping_start.tag);
    name_anchor(t, t->event.data.mapping_start.anchor, n);
    uint64_t weight = 1;
    for (;;) {
        if (!next_event(t)) return NULL;
        if (t->event.type == YAML_MAPPING_END_EVENT) break;
        if (!read_pair(t, &weight)) return NULL;
    }
    if (!close_mapping(t, n, t->stack.items + base, t->stack.count - base)) return NULL;
    n->weight = (uint32_t)weight;
    t->stack.count = base;
    return n;
}

static struct conf_node *read_node(struct tree_reader *t, bool is_key)
{
    struct conf_place at = place_of(t, &t->event.start_mark);
    struct conf_node *n = NULL;
    if (t->depth == CONF_DEPTH_MAX) {
        conf_report_add(t->report, CONF_ERROR, &at, "nested more than %d levels deep",
                        CONF_DEPTH_MAX);
        return NULL;
    }
    t->depth++;
    switch (t->event.type) {
    case YAML_SCALAR_EVENT: n = read_scalar(t, is_key); break;
    case YAML_ALIAS_EVENT: n = read_alias(t); break;
    case YAML_SEQUENCE_START_EVENT: n = read_sequence(t); break;
    case YAML_MAPPING_START_EVENT: n = read_mapping(t); break;
    default: conf_report_add(t->report, CONF_ERROR, &at, "expected a value"); break;
    }
    t->depth--;
    return n;
}

/* ---- the document ---- */

static struct conf_node *read_document(struct tree_reader *t)
{
    if (!next_event(t) || !next_event(t)) return NULL; /* the stream's start, the document's */
    struct conf_place start = { t->file, 1, 1 };
    if (t->event.type == YAML_STREAM_END_EVENT) {
        conf_report_add(t->report, CONF_ERROR, &start, "the file is empty");
        return NULL;
    }
    if (!next_event(t)) return NULL;
    struct conf_node *root = read_node(t, false);
    if (!root || !next_event(t) || !next_event(t)) return NULL;
    if (t->event.type != YAML_STREAM_END_EVENT) {
        struct conf_place second = place_of(t, &t->event.start_mark);
        conf_report_add(t->report, CONF_ERROR, &second,
                        "a second document begins here; a file holds one");
    }
    return root;
}

static struct slice without_mark(struct slice text)
{
    return slice_starts_with(text, S("\xef\xbb\xbf")) ? slice_from(text, 3) : text;
}

struct conf_node *conf_tree_read(const char *file, struct slice text, struct arena *a,
                                 struct conf_budget *budget, struct conf_report *r)
{
    struct tree_reader t = { .file = file, .arena = a, .budget = budget, .report = r };
    t.source = without_mark(text);
    if (!conf_scan(file, t.source, r)) return NULL;
    if (!yaml_parser_initialize(&t.parser)) abort();
    yaml_parser_set_encoding(&t.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&t.parser, (const unsigned char *)t.source.data, t.source.len);
    map_init(&t.anchors);
    t.stack.capacity = 256;
    t.stack.items = mem_alloc(t.stack.capacity * sizeof(*t.stack.items));
    struct conf_node *root = read_document(&t);
    map_reset(&t.anchors);
    free(t.stack.items);
    yaml_event_delete(&t.event);
    yaml_parser_delete(&t.parser);
    return root;
}

/* ---- looking at nodes ---- */

struct conf_node *conf_node_get(const struct conf_node *mapping, const char *key)
{
    for (uint32_t i = 0; i < mapping->count; i++)
        if (slice_eq(mapping->pairs[i].key->text, slice_of(key))) return mapping->pairs[i].value;
    return NULL;
}

bool conf_node_is_null(const struct conf_node *n)
{
    return n->kind == CONF_SCALAR && n->is_plain &&
           (n->text.len == 0 || slice_eq(n->text, S("~")) || slice_eq(n->text, S("null")));
}

const char *conf_node_quote(struct arena *a, const struct conf_node *n)
{
    if (n->kind == CONF_MAPPING) return "a mapping";
    if (n->kind == CONF_SEQUENCE) return "a list";
    if (conf_node_is_null(n)) return "nothing";
    return conf_quote(a, n->text);
}
