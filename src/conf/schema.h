/* SPDX-License-Identifier: Apache-2.0
 *
 * The tables' language, and the engine that fills typed structs from a tree by
 * them. A key is one row: parsing, default, bounds, the reference and the JSON
 * Schema all come from it.
 */
#pragma once

#include "base/map.h"
#include "conf/tree.h"

struct conf_parser;
struct conf_row;
struct conf_section;

/* A kind of scalar. See types.h. */
struct conf_type {
    const char *label;    /* in the reference: "duration" */
    const char *expected; /* in errors: "a duration such as `5s`" */
    const char *json;     /* JSON types a YAML reader may make of it: "\"string\"" */
    const char *pattern;  /* ECMA-262 pattern of its text for the schema, or NULL */
    /* Text -> field. False and *e (empty: what was expected) when it is not one. */
    bool (*read)(struct conf_parser *p, const struct conf_row *row, struct slice text, void *field,
                 struct error *e);
    /* Field -> canonical text. */
    void (*write)(const struct conf_row *row, const void *field, struct buffer *to);
    /* A bound of the row (of a text: of its length) as one would write it. */
    void (*put_bound)(struct buffer *to, uint64_t bound);
    unsigned template_uses; /* read() gets template form: enum variable_use, any of them */
};

enum conf_shape {
    CONF_ONE,      /* one scalar */
    CONF_MANY,     /* struct text_list: a scalar or a list of them */
    CONF_INLINE,   /* a section that is part of the struct */
    CONF_OPTIONAL, /* pointer to a section; NULL when the key is absent */
    CONF_LIST,     /* array of sections and its count */
    CONF_MAP,      /* the same, each with a name */
    CONF_LATER,    /* known, but not to this version */
    CONF_TREE,     /* acted on while the tree is made (include) */
};

enum conf_flags {
    CONF_REQUIRED = 1,
    CONF_AT_RESTART = 2,  /* a reload does not change it */
    CONF_SECRET = 4,      /* never printed */
    CONF_FROM_FILE = 8,   /* "file:/path" stands for that file's content */
    CONF_ONE_OF = 16,     /* exactly one row of the section with this flag is given */
    CONF_PER_ROUTE = 32,  /* see conf_row.only */
    CONF_NULLABLE = 64,   /* an empty value leaves it unset */
    CONF_SWITCH = 128,    /* CONF_OPTIONAL: `true` for all defaults, `false` for none */
    CONF_NOT_EMPTY = 256, /* a list or a map with at least one item */
    CONF_UPSTREAM = 512,  /* the text names an upstream, a listener, a limit */
    CONF_LISTENER = 1024,
    CONF_RATE_LIMIT = 2048,
    CONF_CONCURRENCY_LIMIT = 4096,
    CONF_HIDDEN = 8192, /* only for parts of our own making (part.h); files do not have it */
    CONF_REFERENCE = CONF_UPSTREAM | CONF_LISTENER | CONF_RATE_LIMIT | CONF_CONCURRENCY_LIMIT,
};

enum { CONF_CHOICE_LATER = -1 }; /* known, but not to this version */

struct conf_choice {
    const char *name; /* NULL ends the list */
    int         value;
};

/* What others call a choice: for hints. */
struct conf_alias {
    const char *word, *choice;
};

struct conf_row {
    const char                *key;
    enum conf_shape            shape;
    const struct conf_type    *type;    /* of scalars */
    const struct conf_section *section; /* of the others */
    unsigned                   flags;
    unsigned                   only; /* rows of the section that lack this flag do not count */
    size_t                     offset;
    size_t                     size;
    size_t                     count_offset; /* CONF_LIST, CONF_MAP */
    const char                *preset;       /* default, as one would write it */
    const char                *preset_doc;   /* default in words, where there is no such text */
    uint64_t                   min, max;     /* of numbers; max 0: no bounds */
    const char                *zero;         /* word that stands for 0 */
    const struct conf_choice  *choices;
    const struct conf_alias   *aliases; /* of choices, or NULL */
    const char                *doc;
    const char                *example;
};

#define CONF_FIELD(type, member)                                                                   \
    .offset = offsetof(struct type, member), .size = sizeof(((struct type *)0)->member)
#define CONF_ITEMS(type, member, counter)                                                          \
    CONF_FIELD(type, member), .count_offset = offsetof(struct type, counter)

struct conf_section {
    const char            *title; /* heading of the reference: "listeners.NAME.tls" */
    const char            *what;  /* in errors: "a listener" */
    const char            *intro;
    const char            *example; /* a whole fragment */
    size_t                 size;
    const struct conf_row *rows; /* ends with a NULL key */
    /* The rows of another section belong to this one too. */
    const struct conf_section *also;
    size_t                     also_offset;
    const struct conf_row     *name;      /* items of a CONF_MAP: what their key is */
    const char                *off;       /* what turns it off, for those who write `off` */
    const char                *shorthand; /* a scalar (a list) stands for this key alone */
    bool                       is_scalar; /* only the shorthand is written */
    bool                       has_place; /* begins with struct conf_place */
    /* Before the keys are read; also when there are none (CONF_INLINE). */
    void (*begin)(struct conf_parser *p, void *base);
    /* After the keys were read, with the place of the whole. */
    void (*end)(struct conf_parser *p, void *base, const struct conf_place *at);
};

/* A name that must exist once everything is read. */
struct conf_mention {
    const struct conf_row *row;
    struct conf_place      at;
    struct slice           name;
};

struct conf_parser {
    struct settings          *settings;
    struct arena             *arena; /* the settings' */
    struct conf_report       *report;
    const struct conf_reader *reader;
    struct slice              hint; /* set by a type's read() beside its error */
    const struct conf_node   *node; /* the scalar that is being read */
    const struct conf_node   *item; /* the name in a map of scalars that it belongs to, or NULL */
    struct conf_mention      *mentions;
    size_t                    mention_count;
    size_t                    mention_capacity;
    const char               *file; /* the last file of a place, and the settings' copy of it */
    const char               *file_copy;
    bool                      is_own; /* what is read is a part of our own making */
};

/* Defaults of a struct, which is zero. */
void conf_preset(struct conf_parser *p, const struct conf_section *section, unsigned only,
                 void *base);
/* Reads a tree into a struct with its defaults in place. Reports and goes on. */
void conf_fill(struct conf_parser *p, const struct conf_row *row,
               const struct conf_section *section, const struct conf_node *n, void *base);
/* The canonical text of a struct: equal texts, equal settings. */
void conf_write(const struct conf_section *section, unsigned only, const void *base,
                struct buffer *to);
void conf_write_row(const struct conf_row *row, const void *base, struct buffer *to);

/* Everything that a struct points to is copied into the arena, so that it outlives the
 * settings that it is a copy of. Its places lose their files. */
void conf_own(const struct conf_section *section, void *base, struct arena *a);

/* Row after row of a section and of the one that it takes in. */
struct conf_row_walk {
    const struct conf_section *section;
    const struct conf_row     *row;
    size_t                     shift; /* to add to the base */
    unsigned                   only;
};
void conf_rows(struct conf_row_walk *w, const struct conf_section *section, unsigned only);
bool conf_next_row(struct conf_row_walk *w);
