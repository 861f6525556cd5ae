/* SPDX-License-Identifier: Apache-2.0
 *
 * The tables of the top level, timeouts, limits, logs, metrics and admin.
 */
#include "conf/check.h"
#include "conf/types.h"

enum { DAY_MS = 86400000 };

/* ---- timeouts ---- */

static const struct conf_row timeouts_rows[] = {
    { .key = "tls_handshake",
      .type = &conf_duration,
      .min = 1,
      .max = DAY_MS,
      CONF_FIELD(timeout_settings, tls_handshake),
      .preset = "10s",
      .doc = "For a client's whole TLS handshake." },
    { .key = "header",
      .type = &conf_duration,
      .min = 1,
      .max = DAY_MS,
      CONF_FIELD(timeout_settings, header),
      .preset = "10s",
      .doc = "From the first byte of a request to its last header line (408)." },
    { .key = "body_idle",
      .type = &conf_duration,
      .min = 1,
      .max = DAY_MS,
      CONF_FIELD(timeout_settings, body_idle),
      .flags = CONF_PER_ROUTE,
      .preset = "30s",
      .doc = "Between two pieces of a request's body, until its response begins (408)." },
    { .key = "keep_alive",
      .type = &conf_duration,
      .min = 1,
      .max = DAY_MS,
      CONF_FIELD(timeout_settings, keep_alive),
      .preset = "60s",
      .doc = "A client's connection without a request." },
    { .key = "write_idle",
      .type = &conf_duration,
      .min = 1,
      .max = DAY_MS,
      CONF_FIELD(timeout_settings, write_idle),
      .flags = CONF_PER_ROUTE,
      .preset = "30s",
      .doc = "A client that takes no byte of its response." },
    { .key = "connect",
      .type = &conf_duration,
      .min = 1,
      .max = DAY_MS,
      CONF_FIELD(timeout_settings, connect),
      .flags = CONF_PER_ROUTE,
      .preset = "5s",
      .doc = "Connecting to a server, its TLS handshake included (504)." },
    { .key = "response_header",
      .type = &conf_duration,
      .min = 1,
      .max = DAY_MS,
      CONF_FIELD(timeout_settings, response_header),
      .flags = CONF_PER_ROUTE,
      .preset = "60s",
      .doc = "From the end of a request to its response's headers (504)." },
    { .key = "response_idle",
      .type = &conf_duration,
      .min = 1,
      .max = DAY_MS,
      CONF_FIELD(timeout_settings, response_idle),
      .flags = CONF_PER_ROUTE,
      .preset = "60s",
      .doc = "Between two pieces of a response's body." },
    { .key = "upstream_keep_alive",
      .type = &conf_duration,
      .min = 1,
      .max = DAY_MS,
      CONF_FIELD(timeout_settings, upstream_keep_alive),
      .preset = "50s",
      .doc = "An idle connection to a server; shorter than the server's own." },
    { .key = "tunnel_idle",
      .type = &conf_duration,
      .min = 1,
      .max = 30ull * DAY_MS,
      CONF_FIELD(timeout_settings, tunnel_idle),
      .flags = CONF_PER_ROUTE,
      .preset = "1h",
      .doc = "A WebSocket, or another upgraded connection, over which nothing goes; once one side "
             "has ended, `write_idle`." },
    { 0 },
};

const struct conf_section conf_timeouts_section = {
    .title = "timeouts",
    .what = "`timeouts`",
    .intro = "How long to wait for others. Those marked *per route* may also stand under "
             "`timeouts` of a route and of `defaults`.",
    .example = "timeouts:\n"
               "  header: 5s\n"
               "  keep_alive: 2m\n"
               "  response_header: 30s\n",
    .size = sizeof(struct timeout_settings),
    .rows = timeouts_rows,
};

/* ---- limits ---- */

static const struct conf_row limits_rows[] = {
    { .key = "request_line",
      .type = &conf_size,
      .min = 256,
      .max = 65536,
      CONF_FIELD(limit_settings, request_line),
      .preset = "8KiB",
      .doc = "The first line of a request (414)." },
    { .key = "header_bytes",
      .type = &conf_size,
      .min = 1024,
      .max = 1048576,
      CONF_FIELD(limit_settings, header_bytes),
      .preset = "16KiB",
      .doc = "All header lines with the first one (431)." },
    { .key = "header_count",
      .type = &conf_count,
      .min = 8,
      .max = 1000,
      CONF_FIELD(limit_settings, header_count),
      .preset = "100",
      .doc = "Header lines of a request or a response (431)." },
    { .key = "max_connections",
      .type = &conf_count,
      .min = 1,
      .max = 4000000,
      CONF_FIELD(limit_settings, max_connections),
      .preset = "65536",
      .doc = "Clients' connections at once; at the bound the longest idle ones are closed." },
    { .key = "body_min_rate",
      .type = &conf_size,
      .min = 1,
      .max = 1 << 30,
      .zero = "off",
      CONF_FIELD(limit_settings, body_min_rate),
      .preset = "256",
      .doc = "Bytes a second that a request's body must keep up after `timeouts.body_idle`, until "
             "its response begins; gRPC need not." },
    { .key = "requests_per_connection",
      .type = &conf_count,
      .min = 1,
      .max = 4000000000,
      .zero = "unlimited",
      CONF_FIELD(limit_settings, requests_per_connection),
      .preset = "unlimited",
      .doc = "After so many requests a client must connect anew." },
    { .key = "streams_per_connection",
      .type = &conf_count,
      .min = 1,
      .max = 10000,
      CONF_FIELD(limit_settings, streams_per_connection),
      .preset = "128",
      .doc = "Requests at once on one HTTP/2 connection, of a client or to a server." },
    { .key = "compression_memory",
      .type = &conf_size,
      .min = 1 << 20,
      .max = 1ull << 40,
      CONF_FIELD(limit_settings, compression_memory),
      .preset = "64MiB",
      .doc = "What all encoders of `compress` may take at once; a response that finds none goes "
             "out as it is." },
    { 0 },
};

static const struct conf_section limits_section = {
    .title = "limits",
    .what = "`limits`",
    .intro = "Bounds of what clients and servers may send. The bound of a body is the route's "
             "`max_body`.",
    .example = "limits:\n"
               "  header_bytes: 32KiB\n"
               "  max_connections: 10000\n"
               "  body_min_rate: off\n",
    .size = sizeof(struct limit_settings),
    .rows = limits_rows,
    .end = conf_check_limits,
};

/* ---- log, metrics, admin ---- */

static const struct conf_choice log_levels[] = {
    { "debug", 0 }, { "info", 0 }, { "warn", 0 }, { "error", 0 }, { NULL, 0 },
};
static const struct conf_choice error_targets[] = { { "stderr", 0 }, { "stdout", 0 }, { NULL, 0 } };
static const struct conf_choice access_targets[] = {
    { "stdout", 0 },
    { "stderr", 0 },
    { "off", 0 },
    { NULL, 0 },
};
static const struct conf_choice log_formats[] = {
    { "json", LOG_FORMAT_JSON },
    { "combined", LOG_FORMAT_COMBINED },
    { NULL, 0 },
};

static const struct conf_row log_rows[] = {
    { .key = "level",
      .type = &conf_enum,
      .choices = log_levels,
      CONF_FIELD(log_settings, level),
      .preset = "info",
      .doc = "Lines of the error log below it are dropped." },
    { .key = "error",
      .type = &conf_log_target,
      .choices = error_targets,
      CONF_FIELD(log_settings, error),
      .flags = CONF_AT_RESTART,
      .preset = "stderr",
      .doc = "Where the program's own lines go.",
      .example = "/var/log/wharfgate/error.log" },
    { .key = "access",
      .type = &conf_log_target,
      .choices = access_targets,
      CONF_FIELD(log_settings, access),
      .preset = "stdout",
      .doc = "Where a line for each request goes.",
      .example = "/var/log/wharfgate/access.log" },
    { .key = "format",
      .type = &conf_enum,
      .choices = log_formats,
      CONF_FIELD(log_settings, format),
      .preset = "json",
      .doc = "Of the access log: a JSON object a line, or Apache's, which has no route, endpoint "
             "and reason." },
    { 0 },
};

static const struct conf_section log_section = {
    .title = "log",
    .what = "`log`",
    .intro = "The error log, which the program writes, and the access log, which has a line for "
             "each request. SIGUSR1 opens both files anew.",
    .example = "log:\n"
               "  level: warn\n"
               "  access: /var/log/wharfgate/access.log\n"
               "  format: combined\n",
    .size = sizeof(struct log_settings),
    .rows = log_rows,
};

static const struct conf_row metrics_rows[] = {
    { .key = "enabled",
      .type = &conf_bool,
      CONF_FIELD(metrics_settings, enabled),
      .preset = "true",
      .doc = "Serve metrics on the admin listener." },
    { .key = "path",
      .type = &conf_url_path,
      CONF_FIELD(metrics_settings, path),
      .preset = "/metrics",
      .doc = "Their path." },
    { .key = "max_series",
      .type = &conf_count,
      .min = 1,
      .max = 100000,
      CONF_FIELD(metrics_settings, max_series),
      .preset = "1000",
      .doc =
          "Routes, upstreams and endpoints counted by name, of each; the rest are counted together "
          "as `_other`." },
    { 0 },
};

static const struct conf_section metrics_section = {
    .title = "metrics",
    .what = "`metrics`",
    .intro = "Prometheus text on the admin listener.",
    .example = "metrics:\n"
               "  path: /metrics\n"
               "  max_series: 200\n",
    .size = sizeof(struct metrics_settings),
    .rows = metrics_rows,
};

static const struct conf_choice socket_words[] = { { "off", 0 }, { NULL, 0 } };

static const struct conf_row admin_rows[] = {
    { .key = "address",
      .type = &conf_admin_address,
      CONF_FIELD(admin_settings, address),
      .flags = CONF_AT_RESTART,
      .preset = "127.0.0.1:9600",
      .doc = "Where metrics and the state are served. Not for the world: it asks no password." },
    { .key = "socket",
      .type = &conf_admin_socket,
      .choices = socket_words,
      CONF_FIELD(admin_settings, socket),
      .flags = CONF_AT_RESTART,
      .preset = "/run/wharfgate/admin.sock",
      .doc = "Where `wharfgate reload` and its kin ask." },
    { 0 },
};

static const struct conf_section admin_section = {
    .title = "admin",
    .what = "`admin`",
    .intro = "The way to look inside and to give commands.",
    .example = "admin:\n"
               "  address: 127.0.0.1:9601\n"
               "  socket: /run/wharfgate/admin.sock\n",
    .size = sizeof(struct admin_settings),
    .rows = admin_rows,
};

/* ---- discovery ---- */

static const struct conf_row dns_rows[] = {
    { .key = "servers",
      .shape = CONF_MANY,
      .type = &conf_dns_server,
      CONF_FIELD(dns_settings, servers),
      .flags = CONF_NOT_EMPTY,
      .preset_doc = "the system's",
      .doc = "Name servers to ask, instead of those in /etc/resolv.conf.",
      .example = "10.0.0.2" },
    { .key = "min_ttl",
      .type = &conf_duration,
      .min = 100,
      .max = DAY_MS,
      CONF_FIELD(dns_settings, min_ttl),
      .preset = "1s",
      .doc = "A name is not looked up more often, whatever its records say." },
    { .key = "max_ttl",
      .type = &conf_duration,
      .min = 100,
      .max = DAY_MS,
      CONF_FIELD(dns_settings, max_ttl),
      .preset = "1m",
      .doc = "Nor less often." },
    { .key = "timeout",
      .type = &conf_duration,
      .min = 100,
      .max = DAY_MS,
      CONF_FIELD(dns_settings, timeout),
      .preset = "5s",
      .doc = "For one lookup with all its tries." },
    { 0 },
};

const struct conf_section conf_dns_section = {
    .title = "discovery.dns",
    .what = "`dns`",
    .intro = "How the names in `servers` are looked up: IPv4 and IPv6 addresses together, again "
             "when the time in the DNS is over. While a name cannot be looked up, its last "
             "addresses stay.",
    .example = "discovery:\n"
               "  dns: { servers: [10.0.0.2, \"[fd00::2]:5353\"], max_ttl: 10s }\n",
    .size = sizeof(struct dns_settings),
    .rows = dns_rows,
    .end = conf_check_dns,
};

static const struct conf_row docker_rows[] = {
    { .key = "endpoint",
      .type = &conf_docker_endpoint,
      CONF_FIELD(docker_daemon_settings, endpoint),
      .preset = "unix:///var/run/docker.sock",
      .doc = "Where the daemon listens: `unix://` and a path, or `tcp://host:port`. Only read "
             "from: a proxy of the socket that allows containers, events and ping will do.",
      .example = "tcp://10.0.0.2:2376" },
    { .key = "ca",
      .type = &conf_path,
      CONF_FIELD(docker_daemon_settings, ca),
      .preset_doc = "plain, without TLS",
      .doc = "Of `tcp://`: PEM file with the authority of the daemon's certificate; with it, TLS.",
      .example = "/etc/wharfgate/docker/ca.pem" },
    { .key = "cert",
      .type = &conf_path,
      CONF_FIELD(docker_daemon_settings, cert),
      .doc = "PEM file with the certificate to show to the daemon.",
      .example = "/etc/wharfgate/docker/cert.pem" },
    { .key = "key",
      .type = &conf_path,
      CONF_FIELD(docker_daemon_settings, key),
      .doc = "PEM file with its private key.",
      .example = "/etc/wharfgate/docker/key.pem" },
    { .key = "network",
      .type = &conf_text,
      .min = 1,
      .max = 256,
      CONF_FIELD(docker_daemon_settings, network),
      .preset_doc = "one that is shared with the gateway, or the only one",
      .doc = "Network that containers in several are reached over.",
      .example = "edge" },
    { .key = "refresh",
      .type = &conf_duration,
      .min = 1000,
      .max = DAY_MS,
      CONF_FIELD(docker_daemon_settings, refresh),
      .preset = "30s",
      .doc = "How often the whole list is asked for beside the events." },
    { .key = "drain",
      .type = &conf_duration,
      .min = 100,
      .max = DAY_MS,
      CONF_FIELD(docker_daemon_settings, drain),
      .preset = "30s",
      .doc = "How long a container that was told to stop may take to end." },
    { .key = "keep_routes",
      .type = &conf_duration,
      .min = 1000,
      .max = DAY_MS,
      CONF_FIELD(docker_daemon_settings, keep_routes),
      .preset = "10m",
      .doc = "How long a route that containers' labels make is kept, answering 503, after the last "
             "of them has ended." },
    { .key = "snapshot",
      .type = &conf_path,
      CONF_FIELD(docker_daemon_settings, snapshot),
      .preset_doc = "none",
      .doc = "File for what was found, which serves at a start without the daemon.",
      .example = "/var/lib/wharfgate/docker.json" },
    { 0 },
};

const struct conf_section conf_docker_daemon_section = {
    .title = "discovery.docker",
    .what = "`docker`",
    .intro =
        "The Docker daemon, or Podman's service, whose containers upstreams name. `true` takes "
        "all defaults. A container with the labels `wharfgate.enable=true` and `wharfgate.host` "
        "makes a route of its own, which is in no file: docs/operations.md has all labels.",
    .example = "discovery:\n"
               "  docker: { endpoint: unix:///var/run/docker.sock }\n",
    .size = sizeof(struct docker_daemon_settings),
    .rows = docker_rows,
    .has_place = true,
    .end = conf_check_docker,
};

static const struct conf_row discovery_rows[] = {
    { .key = "dns",
      .shape = CONF_INLINE,
      .section = &conf_dns_section,
      CONF_FIELD(discovery_settings, dns),
      .doc = "Names in the DNS." },
    { .key = "docker",
      .shape = CONF_OPTIONAL,
      .section = &conf_docker_daemon_section,
      CONF_FIELD(discovery_settings, docker),
      .flags = CONF_SWITCH,
      .preset_doc = "none",
      .doc = "Containers." },
    { 0 },
};

static const struct conf_section discovery_section = {
    .title = "discovery",
    .what = "`discovery`",
    .intro = "Where replicas are found.",
    .example = "discovery:\n"
               "  dns: { min_ttl: 5s }\n",
    .size = sizeof(struct discovery_settings),
    .rows = discovery_rows,
};

/* ---- the top level: read in this order ---- */

static const struct conf_row root_rows[] = {
    { .key = "include",
      .shape = CONF_TREE,
      .type = &conf_text,
      .doc = "More files, as a path or a pattern, or a list of them, from this file's folder. "
             "Their maps and lists are added to this file's.",
      .example = "conf.d/*.yaml" },
    { .key = "workers",
      .type = &conf_count,
      .min = 1,
      .max = 1024,
      .zero = "auto",
      CONF_FIELD(settings, workers),
      .flags = CONF_AT_RESTART,
      .preset = "auto",
      .doc = "Threads that carry traffic; `auto` is one a CPU." },
    { .key = "user",
      .type = &conf_name,
      CONF_FIELD(settings, user),
      .flags = CONF_AT_RESTART,
      .preset_doc = "who started it",
      .doc = "Whom the worker process runs as.",
      .example = "wharfgate" },
    { .key = "group",
      .type = &conf_name,
      CONF_FIELD(settings, group),
      .flags = CONF_AT_RESTART,
      .preset_doc = "the user's",
      .doc = "The worker process's group.",
      .example = "wharfgate" },
    { .key = "shutdown_grace",
      .type = &conf_duration,
      .min = 0,
      .max = DAY_MS,
      CONF_FIELD(settings, shutdown_grace),
      .preset = "30s",
      .doc = "How long running requests may take to end after SIGTERM." },
    { .key = "pid_file",
      .type = &conf_path,
      CONF_FIELD(settings, pid_file),
      .flags = CONF_AT_RESTART,
      .doc = "File for the supervisor's process id.",
      .example = "/run/wharfgate/wharfgate.pid" },
    { .key = "listeners",
      .shape = CONF_MAP,
      .section = &conf_listener_section,
      CONF_ITEMS(settings, listeners, listener_count),
      .flags = CONF_REQUIRED | CONF_NOT_EMPTY,
      .doc = "Where clients connect." },
    { .key = "upstreams",
      .shape = CONF_MAP,
      .section = &conf_upstream_section,
      CONF_ITEMS(settings, upstreams, upstream_count),
      .doc = "Groups of replicas." },
    { .key = "rate_limits",
      .shape = CONF_MAP,
      .section = &conf_rate_limit_section,
      CONF_ITEMS(settings, rate_limits, rate_limit_count),
      .doc = "Limits that routes name." },
    { .key = "concurrency_limits",
      .shape = CONF_MAP,
      .section = &conf_concurrency_limit_section,
      CONF_ITEMS(settings, concurrency_limits, concurrency_limit_count),
      .doc = "Limits of requests at once." },
    { .key = "stores",
      .shape = CONF_INLINE,
      .section = &conf_stores_section,
      .doc = "What gateways share." },
    { .key = "timeouts",
      .shape = CONF_INLINE,
      .section = &conf_timeouts_section,
      CONF_FIELD(settings, timeouts),
      .doc = "How long to wait." },
    { .key = "limits",
      .shape = CONF_INLINE,
      .section = &limits_section,
      CONF_FIELD(settings, limits),
      .doc = "How much to take." },
    { .key = "defaults",
      .shape = CONF_INLINE,
      .section = &conf_defaults_section,
      CONF_FIELD(settings, defaults),
      .doc = "What holds for all routes that say nothing else." },
    { .key = "routes",
      .shape = CONF_LIST,
      .section = &conf_route_section,
      CONF_ITEMS(settings, routes, route_count),
      .doc = "Which requests go where." },
    { .key = "log",
      .shape = CONF_INLINE,
      .section = &log_section,
      CONF_FIELD(settings, log),
      .doc = "What is written down." },
    { .key = "metrics",
      .shape = CONF_INLINE,
      .section = &metrics_section,
      CONF_FIELD(settings, metrics),
      .doc = "What is counted." },
    { .key = "admin",
      .shape = CONF_INLINE,
      .section = &admin_section,
      CONF_FIELD(settings, admin),
      .doc = "How to ask." },
    { .key = "discovery",
      .shape = CONF_INLINE,
      .section = &discovery_section,
      CONF_FIELD(settings, discovery),
      .doc = "Where replicas are found." },
    { 0 },
};

const struct conf_section conf_root_section = {
    .title = "Top level",
    .what = "the configuration",
    .intro = "The keys of the file itself. Keys that begin with `x-` are ignored: a place for "
             "anchors.",
    .example = "workers: 4\n"
               "user: wharfgate\n"
               "shutdown_grace: 1m\n",
    .size = sizeof(struct settings),
    .rows = root_rows,
};
