/* SPDX-License-Identifier: Apache-2.0
 *
 * wharfgate version: the program's and its libraries' versions, as they run.
 */
#define PCRE2_CODE_UNIT_WIDTH 8

#include "config.h"

#include <ares.h>
#include <curl/curl.h>
#include <event2/event.h>
#include <hiredis/hiredis.h>
#include <jansson.h>
#include <nghttp2/nghttp2.h>
#include <openssl/crypto.h>
#include <pcre2.h>
#include <stdio.h>
#include <unistd.h>
#include <yaml.h>
#include <zlib.h>
#ifdef HAVE_ISAL
#include <isa-l.h>
#endif
#ifdef HAVE_BROTLI
#include <brotli/encode.h>
#endif
#ifdef HAVE_ZSTD
#include <zstd.h>
#endif

#include "cli/cli.h"
#include "control/gate.h"
#include "control/version.h"

enum { LIBRARY_MAX = 13, TEXT_MAX = 64 };

struct library {
    const char *name;
    char        version[TEXT_MAX];
};

/* Of content codings: what is not here was not there when the program was built. */
static size_t list_codings(struct library *to)
{
    size_t n = 0;
    to[n].name = "zlib";
    snprintf(to[n++].version, TEXT_MAX, "%s", zlibVersion());
#ifdef HAVE_ISAL
    to[n].name = "isa-l";
    snprintf(to[n++].version, TEXT_MAX, "%d.%d.%d", ISAL_MAJOR_VERSION, ISAL_MINOR_VERSION,
             ISAL_PATCH_VERSION);
#endif
#ifdef HAVE_BROTLI
    uint32_t brotli = BrotliEncoderVersion();
    to[n].name = "brotli";
    snprintf(to[n++].version, TEXT_MAX, "%u.%u.%u", brotli >> 24, brotli >> 12 & 0xfff,
             brotli & 0xfff);
#endif
#ifdef HAVE_ZSTD
    to[n].name = "zstd";
    snprintf(to[n++].version, TEXT_MAX, "%s", ZSTD_versionString());
#endif
    return n;
}

static size_t list_libraries(struct library *to)
{
    size_t n = 0;
    to[n].name = "openssl";
    snprintf(to[n++].version, TEXT_MAX, "%s", OpenSSL_version(OPENSSL_VERSION_STRING));
    to[n].name = "libevent";
    snprintf(to[n++].version, TEXT_MAX, "%s", event_get_version());
    to[n].name = "nghttp2";
    snprintf(to[n++].version, TEXT_MAX, "%s", nghttp2_version(0)->version_str);
    to[n].name = "pcre2";
    pcre2_config(PCRE2_CONFIG_VERSION, to[n++].version);
    to[n].name = "libyaml";
    snprintf(to[n++].version, TEXT_MAX, "%s", yaml_get_version_string());
    to[n].name = "libcurl";
    snprintf(to[n++].version, TEXT_MAX, "%s", curl_version_info(CURLVERSION_NOW)->version);
    to[n].name = "c-ares";
    snprintf(to[n++].version, TEXT_MAX, "%s", ares_version(NULL));
    to[n].name = "jansson";
    snprintf(to[n++].version, TEXT_MAX, "%s", jansson_version_str());
    to[n].name = "hiredis";
    snprintf(to[n++].version, TEXT_MAX, "%d.%d.%d", HIREDIS_MAJOR, HIREDIS_MINOR, HIREDIS_PATCH);
    return n + list_codings(to + n);
}

static void put_text(struct buffer *to, const struct library *libraries, size_t count)
{
    buffer_printf(to, "wharfgate %s\n", wharfgate_version);
    for (size_t i = 0; i < count; i++)
        buffer_printf(to, "  %-10s %s\n", libraries[i].name, libraries[i].version);
}

static void put_json(struct buffer *to, const struct library *libraries, size_t count)
{
    buffer_puts(to, "{\"version\":");
    buffer_put_json(to, slice_of(wharfgate_version));
    buffer_puts(to, ",\"libraries\":{");
    for (size_t i = 0; i < count; i++) {
        if (i) buffer_put_char(to, ',');
        buffer_put_json(to, slice_of(libraries[i].name));
        buffer_put_char(to, ':');
        buffer_put_json(to, slice_of(libraries[i].version));
    }
    buffer_puts(to, "}}\n");
}

static int run(const struct cli_command *command, int argc, char **argv)
{
    bool                    is_json = false;
    const struct cli_option options[] = { { "--json", NULL, &is_json, NULL }, { 0 } };
    struct library          libraries[LIBRARY_MAX] = { 0 };
    struct buffer           text = BUFFER_INIT;
    enum cli_parse          parsed = cli_parse(command, argc, argv, options);
    if (parsed != CLI_GO_ON) return cli_parse_exit(parsed);
    size_t count = list_libraries(libraries);
    if (is_json)
        put_json(&text, libraries, count);
    else
        put_text(&text, libraries, count);
    return cli_put(STDOUT_FILENO, &text, EXIT_OK);
}

const struct cli_command cli_version = {
    .name = "version",
    .arguments = "[--json]",
    .summary = "Tells the versions of the program and its libraries",
    .help = "  --json               as JSON\n",
    .run = run,
};
