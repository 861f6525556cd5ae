/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of `files` of a route.
 */
#include "conf/types.h"

#include "base/glob.h"

/* ---- kinds of values ---- */

static bool read_file_name(struct conf_parser *p, const struct conf_row *row, struct slice text,
                           void *field, struct error *e)
{
    (void)row;
    (void)e;
    bool is_name = text.len && text.data[0] != '.' && slice_find(text, '/') == text.len;
    return is_name && conf_store_text(p, text, field);
}

const struct conf_type conf_file_name = {
    .label = "file name",
    .expected = "the name of a file, without a folder",
    .json = "\"string\"",
    .pattern = "[^./][^/]*",
    .read = read_file_name,
    .write = conf_write_text,
};

static bool read_file_pattern(struct conf_parser *p, const struct conf_row *row, struct slice text,
                              void *field, struct error *e)
{
    (void)row;
    (void)e;
    return glob_is_valid(text) && conf_store_text(p, text, field);
}

const struct conf_type conf_file_pattern = {
    .label = "pattern",
    .expected = "a pattern such as `*.html`, `*.{js,css}` or `/assets/*`",
    .json = "\"string\"",
    .pattern = ".+",
    .read = read_file_pattern,
    .write = conf_write_text,
};

/* ---- values by pattern ---- */

static const struct conf_row cache_control_name = {
    .key = "pattern",
    .type = &conf_file_pattern,
    CONF_FIELD(pattern_text, pattern),
};
static const struct conf_row cache_control_rows[] = {
    { .key = "value",
      .type = &conf_field_value,
      CONF_FIELD(pattern_text, text),
      .doc = "`Cache-Control`." },
    { 0 },
};
static const struct conf_section cache_control_section = {
    .what = "a value for a pattern",
    .size = sizeof(struct pattern_text),
    .rows = cache_control_rows,
    .name = &cache_control_name,
    .shorthand = "value",
    .is_scalar = true,
};

static const struct conf_row expires_name = {
    .key = "pattern",
    .type = &conf_file_pattern,
    CONF_FIELD(pattern_age, pattern),
};
static const struct conf_row expires_rows[] = {
    { .key = "age",
      .type = &conf_duration,
      .max = 10ull * 365 * 86400000,
      CONF_FIELD(pattern_age, age),
      .doc = "How long it is fresh." },
    { 0 },
};
static const struct conf_section expires_section = {
    .what = "an age for a pattern",
    .size = sizeof(struct pattern_age),
    .rows = expires_rows,
    .name = &expires_name,
    .shorthand = "age",
    .is_scalar = true,
};

/* ---- files ---- */

static const struct conf_row files_rows[] = {
    { .key = "root",
      .type = &conf_path,
      CONF_FIELD(files_settings, root),
      .flags = CONF_REQUIRED,
      .doc = "The folder. The whole path of a request is looked up beneath it.",
      .example = "/srv/www" },
    { .key = "index",
      .shape = CONF_MANY,
      .type = &conf_file_name,
      CONF_FIELD(files_settings, index),
      .flags = CONF_NOT_EMPTY,
      .preset_doc = "index.html",
      .doc = "What a folder is answered with: the first of these that is there." },
    { .key = "fallback",
      .type = &conf_url_path,
      CONF_FIELD(files_settings, fallback),
      .preset_doc = "none: 404",
      .doc = "The file for all that is not there, with status 200: applications that route in the "
             "browser. Names that begin with a dot stay 404.",
      .example = "/index.html" },
    { .key = "cache_control",
      .shape = CONF_MAP,
      .section = &cache_control_section,
      CONF_ITEMS(files_settings, cache_control, cache_control_count),
      .doc =
          "`Cache-Control` by pattern: `*` stands for any text, `?` for any byte, `{a,b}` for one "
          "of these. A pattern with a slash is compared with the file's path from the root "
          "on, another with its name; the first one that fits counts.",
      .example = "{ \"/assets/*\": \"public, immutable\", \"*.html\": no-cache }" },
    { .key = "expires",
      .shape = CONF_MAP,
      .section = &expires_section,
      CONF_ITEMS(files_settings, expires, expires_count),
      .doc = "How long a file is fresh, by pattern: `Expires`, and `max-age` in `Cache-Control` "
             "unless that says it already.",
      .example = "{ \"*.{js,css,png,svg}\": 365d }" },
    { .key = "precompressed",
      .shape = CONF_MANY,
      .type = &conf_coding,
      CONF_FIELD(files_settings, precompressed),
      .flags = CONF_NOT_EMPTY,
      .preset_doc = "none",
      .doc =
          "Codings (`zstd`, `br`, `gzip`) whose files may lie beside a file (`app.js.zst`, `.br`, "
          "`.gz`) and are sent to clients that take them, in this order among equals.",
      .example = "[zstd, br, gzip]" },
    { .key = "listing",
      .type = &conf_bool,
      CONF_FIELD(files_settings, listing),
      .preset = "false",
      .doc = "Answer a folder without index by a list of what is in it, as HTML, or as JSON where "
             "`Accept` asks for that." },
    { .key = "charset",
      .type = &conf_label,
      CONF_FIELD(files_settings, charset),
      .preset = "utf-8",
      .doc = "`charset` of `text/*`; `off`: nothing is said of it." },
    { .key = "open_files",
      .type = &conf_count,
      .min = 0,
      .max = 100000,
      CONF_FIELD(files_settings, open_files),
      .preset = "200",
      .doc =
          "How many files of this route each worker keeps open. What it has of them is at most a "
          "second old; those that nobody asks for are closed after ten." },
    { 0 },
};

const struct conf_section conf_files_section = {
    .title = "routes[].files",
    .what = "`files`",
    .intro =
        "Serves the files of a folder, to GET and HEAD: with ETag and Last-Modified, conditional "
        "and range requests (up to 16 ranges), types by `/etc/mime.types`. Names that begin "
        "with a dot are not there, but `/.well-known/`; nor is what a symbolic link that leaves "
        "the "
        "root (or is absolute) leads to. Files are opened with the rights of `user`. A text alone "
        "is `root`.",
    .example = "routes:\n"
               "  - match: { host: app.example.org }\n"
               "    files:\n"
               "      root: /srv/app\n"
               "      fallback: /index.html\n"
               "      expires: { \"*.{js,css,png,jpg,svg,ico}\": 365d }\n"
               "      cache_control:\n"
               "        \"*.{js,css,png,jpg,svg,ico}\": public, immutable\n"
               "        \"*.html\": no-cache\n"
               "      precompressed: [br, gzip]\n"
               "  - match: { host: docs.example.org }\n"
               "    files: /srv/docs\n",
    .size = sizeof(struct files_settings),
    .rows = files_rows,
    .shorthand = "root",
    .has_place = true,
};
