/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of maintenance.
 */
#include "conf/types.h"

static const struct conf_row maintenance_rows[] = {
    { .key = "file",
      .type = &conf_path,
      CONF_FIELD(maintenance_settings, file),
      .preset_doc = "none",
      .doc = "It is on while this file exists; looked for once a second.",
      .example = "/run/wharfgate/maintenance" },
    { .key = "status",
      .type = &conf_count,
      .min = 400,
      .max = 599,
      CONF_FIELD(maintenance_settings, status),
      .preset = "503",
      .doc = "Status of the answer." },
    { .key = "page",
      .type = &conf_path,
      CONF_FIELD(maintenance_settings, page),
      .preset_doc = "that of `error_pages`",
      .doc = "File with the answer." },
    { .key = "allow",
      .shape = CONF_MANY,
      .type = &conf_cidr,
      CONF_FIELD(maintenance_settings, allow),
      .doc = "Networks of clients that are served all the same.",
      .example = "[10.0.0.0/8]" },
    { .key = "retry_after",
      .type = &conf_duration,
      .min = 1000,
      .max = 7ull * 24 * 3600 * 1000,
      .zero = "off",
      CONF_FIELD(maintenance_settings, retry_after),
      .preset = "60s",
      .doc = "What `Retry-After` says." },
    { 0 },
};

const struct conf_section conf_maintenance_section = {
    .title = "maintenance",
    .what = "`maintenance`",
    .intro =
        "Of `defaults` and of routes: what clients are told while a site is worked on. On while "
        "`file` exists, or, for all routes that have this section, between `wharfgate "
        "maintenance on` and `off`: that outlives reloads, and is forgotten at a restart, "
        "where the file is not. `true` is the section with its defaults, and turns nothing on. "
        "The answer of requests that no route takes stays 404.",
    .example = "defaults:\n"
               "  maintenance:\n"
               "    file: /run/wharfgate/maintenance\n"
               "    page: /srv/errors/maintenance.html\n"
               "    allow: [10.0.0.0/8]\n"
               "    retry_after: 5m\n",
    .size = sizeof(struct maintenance_settings),
    .rows = maintenance_rows,
    .has_place = true,
};
