/* SPDX-License-Identifier: Apache-2.0
 *
 * The tables of what watches over an upstream's servers: balancing, checks,
 * ejection, limits.
 */
#include "conf/check.h"
#include "conf/types.h"

enum { DAY_MS = 86400000, COUNT_MAX = 10000000 };

/* ---- balance ---- */

static const struct conf_choice algorithms[] = {
    { "least_requests", BALANCE_LEAST_REQUESTS },
    { "round_robin", BALANCE_ROUND_ROBIN },
    { "random", BALANCE_RANDOM },
    { "least_time", BALANCE_LEAST_TIME },
    { "ring_hash", BALANCE_RING_HASH },
    { "maglev", BALANCE_MAGLEV },
    { "sticky", BALANCE_STICKY },
    { NULL, 0 },
};

/* nginx, HAProxy, Envoy, Traefik. */
static const struct conf_alias algorithm_aliases[] = {
    { "least_conn", "least_requests" },
    { "leastconn", "least_requests" },
    { "least_connections", "least_requests" },
    { "p2c", "least_requests" },
    { "rr", "round_robin" },
    { "wrr", "round_robin" },
    { "ewma", "least_time" },
    { "peak_ewma", "least_time" },
    { "ip_hash", "ring_hash" },
    { "hash", "ring_hash" },
    { "source", "ring_hash" },
    { "consistent", "ring_hash" },
    { "cookie", "sticky" },
    { NULL, NULL },
};

static const struct conf_choice same_sites[] = {
    { "lax", SAME_SITE_LAX },
    { "strict", SAME_SITE_STRICT },
    { "none", SAME_SITE_NONE },
    { NULL, 0 },
};

static const struct conf_row balance_rows[] = {
    { .key = "algorithm",
      .type = &conf_enum,
      .choices = algorithms,
      .aliases = algorithm_aliases,
      CONF_FIELD(balance_settings, algorithm),
      .preset = "least_requests",
      .doc = "The less busy of two picked at random; in turn by weight; at random; the one of two "
             "that answers sooner; by a `key`, so that the same goes to the same server "
             "(`ring_hash` moves fewest keys when servers change, `maglev` spreads them most "
             "evenly); or by a cookie that the gateway sets." },
    { .key = "key",
      .type = &conf_key,
      CONF_FIELD(balance_settings, key),
      .preset = "client_ip",
      .doc = "What `ring_hash` and `maglev` go by. A request without it goes anywhere.",
      .example = "header:X-Tenant" },
    { .key = "max_load",
      .type = &conf_percent,
      .min = 101,
      .max = 1000,
      .zero = "off",
      CONF_FIELD(balance_settings, max_load),
      .preset = "125%",
      .doc = "Of `ring_hash` and `maglev`: how much of the average load one server may have before "
             "the next one in order takes over." },
    { .key = "cookie",
      .type = &conf_cookie_name,
      CONF_FIELD(balance_settings, cookie),
      .preset = "wharfgate",
      .doc = "Of `sticky`: the cookie's name." },
    { .key = "secret",
      .type = &conf_text,
      .min = 16,
      .max = 4096,
      CONF_FIELD(balance_settings, secret),
      .flags = CONF_SECRET | CONF_FROM_FILE,
      .preset_doc = "made from the machine's id",
      .doc = "Of `sticky`: what the cookie is signed with. Gateways that share clients need the "
             "same one.",
      .example = "file:/etc/wharfgate/sticky.key" },
    { .key = "ttl",
      .type = &conf_duration,
      .min = 1000,
      .max = 400 * (uint64_t)DAY_MS,
      .zero = "session",
      CONF_FIELD(balance_settings, cookie_ttl),
      .preset = "session",
      .doc = "Of `sticky`: how long the cookie is kept; `session`: until the browser ends.",
      .example = "1d" },
    { .key = "same_site",
      .type = &conf_enum,
      .choices = same_sites,
      CONF_FIELD(balance_settings, same_site),
      .preset = "lax",
      .doc = "Of `sticky`: the cookie's `SameSite`. The cookie is `HttpOnly`, and `Secure` over "
             "TLS." },
    { 0 },
};

const struct conf_section conf_balance_section = {
    .title = "upstreams.NAME.balance",
    .what = "`balance`",
    .intro =
        "Which of the ready servers gets a request. A word alone is the algorithm. The other keys "
        "belong to some algorithms alone. "
        "`docs/balancing.md` says which one is for what, with figures.",
    .example = "upstreams:\n"
               "  tenants:\n"
               "    servers: [\"app-1:8000\", \"app-2:8000\"]\n"
               "    balance: { algorithm: ring_hash, key: \"header:X-Tenant\" }\n",
    .size = sizeof(struct balance_settings),
    .rows = balance_rows,
    .shorthand = "algorithm",
    .end = conf_check_balance,
};

/* ---- health checks ---- */

static const struct conf_choice check_types[] = {
    { "http", CHECK_HTTP },
    { "grpc", CHECK_GRPC },
    { "tls", CHECK_TLS },
    { "tcp", CHECK_TCP },
    { NULL, 0 },
};

static const struct conf_row check_header_name = {
    .key = "name",
    .type = &conf_field_name,
    CONF_FIELD(name_value, name),
};

static const struct conf_row check_header_rows[] = {
    { .key = "value",
      .type = &conf_field_value,
      CONF_FIELD(name_value, value),
      .doc = "Its value." },
    { 0 },
};

static const struct conf_section check_headers_section = {
    .title = "upstreams.NAME.health_check.headers",
    .what = "a header",
    .intro = "Header lines of the check.",
    .example = "upstreams:\n"
               "  backend:\n"
               "    servers: [\"app-1:8000\"]\n"
               "    health_check:\n"
               "      headers: { Authorization: \"Bearer probe\" }\n",
    .size = sizeof(struct name_value),
    .rows = check_header_rows,
    .name = &check_header_name,
    .shorthand = "value",
    .is_scalar = true,
};

static const struct conf_row health_check_rows[] = {
    { .key = "type",
      .type = &conf_enum,
      .choices = check_types,
      CONF_FIELD(health_check_settings, type),
      .preset = "http",
      .doc = "A request; gRPC's health service (`grpc.health.v1.Health`); a TLS handshake; or a "
             "connection." },
    { .key = "path",
      .type = &conf_request_target,
      CONF_FIELD(health_check_settings, path),
      .preset = "/",
      .doc = "What to ask for, a query included.",
      .example = "/health" },
    { .key = "method",
      .type = &conf_method,
      CONF_FIELD(health_check_settings, method),
      .preset = "GET",
      .doc = "How to ask." },
    { .key = "host",
      .type = &conf_authority,
      CONF_FIELD(health_check_settings, host),
      .preset_doc = "the upstream's `host`, or the server's address",
      .doc = "`Host` of the check.",
      .example = "backend.internal" },
    { .key = "headers",
      .shape = CONF_MAP,
      .section = &check_headers_section,
      CONF_ITEMS(health_check_settings, headers, header_count),
      .doc = "More header lines." },
    { .key = "status",
      .shape = CONF_MANY,
      .type = &conf_status,
      CONF_FIELD(health_check_settings, statuses),
      .flags = CONF_NOT_EMPTY,
      .preset_doc = "`200-399`",
      .doc = "Statuses that are good.",
      .example = "2xx" },
    { .key = "body",
      .type = &conf_regex,
      CONF_FIELD(health_check_settings, body),
      .doc = "Regular expression that is found in the first 64 KiB of a good answer.",
      .example = "status.*ok" },
    { .key = "service",
      .type = &conf_text,
      .min = 1,
      .max = 256,
      CONF_FIELD(health_check_settings, service),
      .preset_doc = "the whole server",
      .doc = "Of `grpc`: the service that is asked about.",
      .example = "shop.Orders" },
    { .key = "interval",
      .type = &conf_duration,
      .min = 100,
      .max = DAY_MS,
      CONF_FIELD(health_check_settings, interval),
      .preset = "5s",
      .doc = "Between two checks of a server, give or take a tenth." },
    { .key = "fast_interval",
      .type = &conf_duration,
      .min = 100,
      .max = DAY_MS,
      CONF_FIELD(health_check_settings, fast_interval),
      .preset = "1s",
      .doc = "The same, if shorter, while the answers differ from what is thought of the server." },
    { .key = "timeout",
      .type = &conf_duration,
      .min = 10,
      .max = DAY_MS,
      CONF_FIELD(health_check_settings, timeout),
      .preset = "2s",
      .doc = "For a whole check." },
    { .key = "rise",
      .type = &conf_count,
      .min = 1,
      .max = 100,
      CONF_FIELD(health_check_settings, rise),
      .preset = "2",
      .doc = "Good checks in a row that make an unhealthy server ready. For a new one, one does." },
    { .key = "fall",
      .type = &conf_count,
      .min = 1,
      .max = 100,
      CONF_FIELD(health_check_settings, fall),
      .preset = "3",
      .doc = "Bad checks in a row that make a server unhealthy." },
    { .key = "serve_unchecked",
      .type = &conf_bool,
      CONF_FIELD(health_check_settings, serve_unchecked),
      .preset = "false",
      .doc = "Let a new server have requests before its first good check." },
    { 0 },
};

const struct conf_section conf_health_check_section = {
    .title = "upstreams.NAME.health_check",
    .what = "`health_check`",
    .intro = "Checks go the way that requests go: over TLS, a Unix socket, with a PROXY header, as "
             "the upstream says; each over a connection of its own. `health_check: true` asks for "
             "`/`. `wharfgate status` shows what the last check of each server saw.",
    .example = "upstreams:\n"
               "  backend:\n"
               "    servers: [\"app-1:8000\", \"app-2:8000\"]\n"
               "    health_check: { path: /health, interval: 5s, timeout: 2s, rise: 2, fall: 3 }\n"
               "  orders:\n"
               "    servers: [\"orders-1:50051\"]\n"
               "    protocol: h2\n"
               "    health_check: { type: grpc, service: shop.Orders }\n",
    .size = sizeof(struct health_check_settings),
    .rows = health_check_rows,
    .has_place = true,
    .end = conf_check_health,
};

/* ---- ejection ---- */

static const struct conf_row ejection_rows[] = {
    { .key = "consecutive_failures",
      .type = &conf_count,
      .min = 1,
      .max = 1000,
      .zero = "off",
      CONF_FIELD(ejection_settings, consecutive_failures),
      .preset = "5",
      .doc = "Failures in a row that eject a server: no connection, no answer in time, one that "
             "broke off, or a status of 500 and above." },
    { .key = "error_rate",
      .type = &conf_percent,
      .min = 1,
      .max = 100,
      .zero = "off",
      CONF_FIELD(ejection_settings, error_rate),
      .preset = "50%",
      .doc = "Share of failures that ejects it, among at least 20 requests in an `interval`, if "
             "it is more than twice that of the others." },
    { .key = "interval",
      .type = &conf_duration,
      .min = 100,
      .max = DAY_MS,
      CONF_FIELD(ejection_settings, interval),
      .preset = "10s",
      .doc = "How often `error_rate` is looked at." },
    { .key = "base_time",
      .type = &conf_duration,
      .min = 100,
      .max = DAY_MS,
      CONF_FIELD(ejection_settings, base_time),
      .preset = "30s",
      .doc = "How long a first ejection lasts; the second in succession twice, and so on." },
    { .key = "max_time",
      .type = &conf_duration,
      .min = 100,
      .max = DAY_MS,
      CONF_FIELD(ejection_settings, max_time),
      .preset = "5m",
      .doc = "The longest that one lasts. So long without one, and the next is a first again." },
    { .key = "max_share",
      .type = &conf_percent,
      .min = 1,
      .max = 100,
      .zero = "off",
      CONF_FIELD(ejection_settings, max_share),
      .preset = "10%",
      .doc = "How many of the servers may be ejected at once. One always may, the last one never. "
             "`off`: none is." },
    { .key = "panic_threshold",
      .type = &conf_percent,
      .min = 1,
      .max = 100,
      .zero = "off",
      CONF_FIELD(ejection_settings, panic_threshold),
      .preset = "50%",
      .doc = "When so many are ejected that less than this share of the healthy servers is left, "
             "the ejected ones are used all the same. `off`: never." },
    { 0 },
};

const struct conf_section conf_ejection_section = {
    .title = "upstreams.NAME.outlier_ejection",
    .what = "`outlier_ejection`",
    .intro = "What requests themselves tell of the servers. On unless `max_share` is `off`. "
             "A kept-alive connection that the server closed while idle is no failure. nginx's "
             "`max_fails=3 fail_timeout=30s` is the example below.",
    .example = "upstreams:\n"
               "  backend:\n"
               "    servers: [\"app-1:8000\", \"app-2:8000\"]\n"
               "    outlier_ejection:\n"
               "      consecutive_failures: 3\n"
               "      error_rate: off\n"
               "      base_time: 30s\n"
               "      max_time: 30s\n"
               "      max_share: 100%\n",
    .size = sizeof(struct ejection_settings),
    .rows = ejection_rows,
    .off = "{ max_share: off }",
    .end = conf_check_ejection,
};

/* ---- limits ---- */

static const struct conf_row limit_rows[] = {
    { .key = "requests",
      .type = &conf_count,
      .min = 1,
      .max = COUNT_MAX,
      .zero = "off",
      CONF_FIELD(upstream_limit_settings, requests),
      .preset = "off",
      .doc = "Requests in progress at all servers together.",
      .example = "1000" },
    { .key = "requests_per_server",
      .type = &conf_count,
      .min = 1,
      .max = COUNT_MAX,
      .zero = "off",
      CONF_FIELD(upstream_limit_settings, requests_per_server),
      .preset = "off",
      .doc = "Requests in progress at one server: as many as it has threads, say.",
      .example = "64" },
    { .key = "connections",
      .type = &conf_count,
      .min = 1,
      .max = COUNT_MAX,
      .zero = "off",
      CONF_FIELD(upstream_limit_settings, connections),
      .preset = "off",
      .doc = "Connections to all servers together; each worker has its share.",
      .example = "2000" },
    { .key = "connections_per_server",
      .type = &conf_count,
      .min = 1,
      .max = COUNT_MAX,
      .zero = "off",
      CONF_FIELD(upstream_limit_settings, connections_per_server),
      .preset = "off",
      .doc = "Connections to one server; each worker has its share.",
      .example = "200" },
    { .key = "queue",
      .type = &conf_count,
      .min = 1,
      .max = COUNT_MAX,
      .zero = "off",
      CONF_FIELD(upstream_limit_settings, queue),
      .preset = "1024",
      .doc = "Requests that may wait for one of these, or for a server to become ready; what is "
             "more is answered 503 at once. `off`: none waits, for either." },
    { .key = "queue_timeout",
      .type = &conf_duration,
      .min = 1,
      .max = DAY_MS,
      CONF_FIELD(upstream_limit_settings, queue_timeout),
      .preset = "5s",
      .doc = "How long one waits for one of these; then 503." },
    { 0 },
};

const struct conf_section conf_upstream_limits_section = {
    .title = "upstreams.NAME.limits",
    .what = "`limits` of an upstream",
    .intro = "What the servers can take. A request past a limit waits in a queue, first come first "
             "served; past `queue` or `queue_timeout` it is answered 503 with Retry-After.",
    .example = "upstreams:\n"
               "  backend:\n"
               "    servers: [\"app-1:8000\", \"app-2:8000\"]\n"
               "    limits: { requests_per_server: 64, queue: 500, queue_timeout: 2s }\n",
    .size = sizeof(struct upstream_limit_settings),
    .rows = limit_rows,
};
