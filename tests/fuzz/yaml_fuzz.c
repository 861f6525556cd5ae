/* SPDX-License-Identifier: Apache-2.0
 *
 * The whole way of a configuration from bytes to settings, with no file but
 * this one to be had. Whatever comes in: no crash, and either settings or an
 * error that can be printed.
 */
#include <stdlib.h>

#include "conf/load.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool refuse_read(void *arg, const char *path, size_t max_bytes, struct buffer *to,
                        struct error *e)
{
    (void)arg, (void)max_bytes, (void)to;
    return error_set(e, "%s is not there", path);
}

static bool refuse_glob(void *arg, const char *pattern, void (*found)(void *to, const char *path),
                        void *to, struct error *e)
{
    (void)arg, (void)found, (void)to;
    return error_set(e, "%s fits nothing", pattern);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct conf_reader reader = { refuse_read, refuse_glob, NULL };
    struct conf_report       report;
    struct buffer            out = BUFFER_INIT;
    conf_report_init(&report);
    struct slice     text = { (const char *)data, size };
    struct settings *s = conf_load_text("fuzz.yaml", text, &reader, &report);
    conf_report_print(&report, &out, false);
    conf_report_json(&report, &out);
    if ((s == NULL) != (report.error_count > 0)) abort();
    if (s) conf_report_restart(s, s, &report);
    if (s && report.count) abort(); /* nothing differs from itself */
    settings_free(s);
    buffer_reset(&out);
    conf_report_reset(&report);
    return 0;
}
