/* SPDX-License-Identifier: Apache-2.0
 *
 * Copies of settings, by their tables. See schema.h.
 */
#include "conf/schema.h"
#include "conf/types.h"

static void copy_text(struct arena *a, void *field)
{
    struct slice text;
    memcpy(&text, field, sizeof(text));
    if (!text.data) return;
    text = arena_copy(a, text);
    memcpy(field, &text, sizeof(text));
}

static void *copy_items(struct arena *a, const void *from, size_t bytes)
{
    void *to = arena_alloc(a, bytes);
    if (bytes) memcpy(to, from, bytes);
    return to;
}

static void *load_pointer(const void *field)
{
    void *value;
    memcpy(&value, field, sizeof(value));
    return value;
}

static void store_pointer(void *field, const void *value)
{
    memcpy(field, &value, sizeof(value));
}

static void copy_list(struct arena *a, const struct conf_row *row, void *base)
{
    void  *field = (char *)base + row->offset;
    size_t count, size = row->section->size;
    memcpy(&count, (char *)base + row->count_offset, sizeof(count));
    char *items = copy_items(a, load_pointer(field), count * size);
    store_pointer(field, items);
    for (size_t i = 0; i < count; i++) {
        const struct conf_row *name = row->section->name;
        if (name) copy_text(a, items + i * size + name->offset);
        conf_own(row->section, items + i * size, a);
    }
}

static void copy_many(struct arena *a, struct text_list *list)
{
    list->items = copy_items(a, list->items, list->count * sizeof(*list->items));
    for (size_t i = 0; i < list->count; i++) copy_text(a, &list->items[i]);
}

static void copy_row(struct arena *a, const struct conf_row *row, void *base)
{
    void *field = (char *)base + row->offset, *section;
    switch (row->shape) {
    case CONF_ONE:
        if (row->size == sizeof(struct slice) && row->type != &conf_rate) copy_text(a, field);
        break;
    case CONF_MANY: copy_many(a, field); break;
    case CONF_INLINE: conf_own(row->section, field, a); break;
    case CONF_OPTIONAL:
        if (!(section = load_pointer(field))) break;
        section = copy_items(a, section, row->section->size);
        store_pointer(field, section);
        conf_own(row->section, section, a);
        break;
    case CONF_LIST:
    case CONF_MAP: copy_list(a, row, base); break;
    case CONF_LATER:
    case CONF_TREE: break;
    }
}

void conf_own(const struct conf_section *section, void *base, struct arena *a)
{
    struct conf_row_walk w;
    if (section->has_place) ((struct conf_place *)base)->file = NULL;
    conf_rows(&w, section, 0);
    while (conf_next_row(&w)) copy_row(a, w.row, (char *)base + w.shift);
}
