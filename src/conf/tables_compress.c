/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of `compress`.
 */
#include "conf/types.h"

static const struct conf_row level_rows[] = {
    { .key = "zstd",
      .type = &conf_count,
      .min = 1,
      .max = 9,
      CONF_FIELD(compress_settings, zstd_level),
      .preset = "3",
      .doc = "An encoder takes 1.25 MiB." },
    { .key = "br",
      .type = &conf_count,
      .max = 9,
      CONF_FIELD(compress_settings, br_level),
      .preset = "2",
      .doc = "An encoder takes 1 MiB up to level 3, 2.75 MiB from 4 on." },
    { .key = "gzip",
      .type = &conf_count,
      .min = 1,
      .max = 9,
      CONF_FIELD(compress_settings, gzip_level),
      .preset = "1",
      .doc = "Levels 1 to 3 are ISA-L's where it is built in, faster than any of zlib's. An "
             "encoder takes 0.3 MiB." },
    { 0 },
};

static const struct conf_section levels_section = {
    .title = "defaults.compress.levels",
    .what = "`levels`",
    .intro = "How hard each coding tries: 64 KiB of JSON cost some 50 us with gzip 1, 65 us with "
             "zstd 3, 150 us with br 2, and ten times as much at the highest levels.",
    .size = sizeof(struct compress_settings),
    .rows = level_rows,
};

static const struct conf_row compress_rows[] = {
    { .key = "codings",
      .shape = CONF_MANY,
      .type = &conf_coding,
      CONF_FIELD(compress_settings, codings),
      .flags = CONF_NOT_EMPTY,
      .preset_doc = "off",
      .doc = "The codings that may be used. The client's weights decide; among equals the first "
             "one here does.",
      .example = "[zstd, br, gzip]" },
    { .key = "types",
      .shape = CONF_MANY,
      .type = &conf_media_type,
      CONF_FIELD(compress_settings, types),
      .flags = CONF_NOT_EMPTY,
      .preset_doc = "text, JSON, XML, JavaScript, SVG, WebAssembly, fonts",
      .doc = "Media types that are compressed, in place of the usual ones. Event streams and gRPC "
             "never are.",
      .example = "[\"text/*\", application/json]" },
    { .key = "min_length",
      .type = &conf_size,
      .max = 1 << 30,
      CONF_FIELD(compress_settings, min_length),
      .preset = "1KiB",
      .doc = "A response that says that it is shorter goes out as it is." },
    { .key = "levels",
      .shape = CONF_INLINE,
      .section = &levels_section,
      .offset = 0,
      .size = sizeof(struct compress_settings),
      .doc = "How hard each coding tries." },
    { 0 },
};

const struct conf_section conf_compress_section = {
    .title = "defaults.compress",
    .what = "`compress`",
    .intro =
        "Compresses responses for clients that ask for it. A text or a list alone is `codings`. "
        "Left as they are: what has a `Content-Encoding` already, `Cache-Control: no-transform`, "
        "ranges, responses with a digest of their bytes, event streams and gRPC. What a server "
        "sends in pieces is passed on at once, compressed. A page that shows both a secret and "
        "what a client sent betrays the secret by its length (BREACH): `compress: off` there. "
        "How much memory it takes: `limits.compression_memory`.",
    .example = "defaults:\n"
               "  compress: [zstd, br, gzip]\n"
               "routes:\n"
               "  - match: { path: /account/ }\n"
               "    upstream: backend\n"
               "    compress: off\n"
               "  - match: { path: /reports/ }\n"
               "    upstream: backend\n"
               "    compress:\n"
               "      codings: [gzip]\n"
               "      types: [\"text/*\", application/vnd.report]\n"
               "      min_length: 4KiB\n"
               "      levels: { gzip: 6 }\n",
    .size = sizeof(struct compress_settings),
    .rows = compress_rows,
    .shorthand = "codings",
    .has_place = true,
};
