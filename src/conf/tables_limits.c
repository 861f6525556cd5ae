/* SPDX-License-Identifier: Apache-2.0
 *
 * The tables of limits that routes name, and of the store that a fleet shares.
 */
#include "conf/check.h"
#include "conf/types.h"

/* ---- what is counted by ---- */

/* Rows of each kind of limit that has a struct key_settings `key`. */
#define KEY_ROWS(owner)                                                                            \
    { .key = "key",                                                                                \
      .shape = CONF_MANY,                                                                          \
      .type = &conf_limit_key,                                                                     \
      CONF_FIELD(owner, key.parts),                                                                \
      .flags = CONF_NOT_EMPTY,                                                                     \
      .preset_doc = "client_ip",                                                                   \
      .doc = "What is counted by: `client_ip`, `host`, `path`, `route`, `client_cert` (the "       \
             "subject of a verified one), `header:NAME`, `cookie:NAME`, `query:NAME`, or several " \
             "of them together. A request of which one is empty is not limited; where one of a "   \
             "request has several values, the client's address takes its place.",                  \
      .example = "[client_ip, \"header:X-Api-Key\"]" },                                            \
    {                                                                                              \
        .key = "ipv6_prefix", .type = &conf_count, .min = 16, .max = 128,                          \
        CONF_FIELD(owner, key.ipv6_prefix), .preset = "64",                                        \
        .doc = "Bits of an IPv6 address that tell clients apart."                                  \
    }

/* ---- rate limits ---- */

_Static_assert(offsetof(struct rate_limit_settings, rate_period) ==
                   offsetof(struct rate_limit_settings, rate_count) + sizeof(uint64_t),
               "conf_rate writes both");

static const struct conf_choice stores[] = {
    { "local", STORE_LOCAL },
    { "redis", STORE_REDIS },
    { NULL, 0 },
};

static const struct conf_choice modes[] = {
    { "auto", LIMIT_AUTO },
    { "exact", LIMIT_EXACT },
    { "lease", LIMIT_LEASE },
    { NULL, 0 },
};

static const struct conf_choice header_kinds[] = {
    { "standard", LIMIT_HEADERS_STANDARD },
    { "legacy", LIMIT_HEADERS_LEGACY },
    { "off", LIMIT_HEADERS_OFF },
    { NULL, 0 },
};

static const struct conf_row rate_limit_name = {
    .key = "name",
    .type = &conf_name,
    CONF_FIELD(rate_limit_settings, name),
};

static const struct conf_row rate_limit_rows[] = {
    KEY_ROWS(rate_limit_settings),
    { .key = "rate",
      .type = &conf_rate,
      CONF_FIELD(rate_limit_settings, rate_count),
      .min = 1,
      .max = 1000000000,
      .flags = CONF_REQUIRED,
      .doc = "How many in how long, evenly spread.",
      .example = "10/s" },
    { .key = "burst",
      .type = &conf_count,
      .min = 0,
      .max = 1000000,
      CONF_FIELD(rate_limit_settings, burst),
      .preset = "0",
      .doc = "How many more may come at once." },
    { .key = "delay",
      .type = &conf_bool,
      CONF_FIELD(rate_limit_settings, delay),
      .preset = "false",
      .doc = "Hold the burst back, so that requests go on at the rate; more than the burst is "
             "refused all the same." },
    { .key = "store",
      .type = &conf_enum,
      .choices = stores,
      CONF_FIELD(rate_limit_settings, store),
      .preset = "local",
      .doc = "Where the counts are kept: in this process, or in `stores.redis` for all gateways." },
    { .key = "mode",
      .type = &conf_enum,
      .choices = modes,
      CONF_FIELD(rate_limit_settings, mode),
      .preset = "auto",
      .doc = "With `redis`: ask for each request (`exact`), or take some in advance (`lease`), "
             "which costs no time and may admit a little more. `auto`: leases where the burst "
             "is large enough for them." },
    { .key = "allow",
      .shape = CONF_MANY,
      .type = &conf_cidr,
      CONF_FIELD(rate_limit_settings, allow),
      .doc = "Networks whose clients are not limited.",
      .example = "[10.0.0.0/8]" },
    { .key = "status",
      .type = &conf_count,
      .min = 400,
      .max = 599,
      CONF_FIELD(rate_limit_settings, status),
      .preset = "429",
      .doc = "Status of the answer to what is too much." },
    { .key = "headers",
      .type = &conf_enum,
      .choices = header_kinds,
      CONF_FIELD(rate_limit_settings, headers),
      .preset = "standard",
      .doc = "`RateLimit` and `RateLimit-Policy` (IETF draft) on answers; `legacy`: also "
             "`X-RateLimit-Limit`, `-Remaining` and `-Reset`; `off`: none but `Retry-After`." },
    { .key = "memory",
      .type = &conf_size,
      .min = 4096,
      .max = 1ull << 36,
      CONF_FIELD(rate_limit_settings, memory),
      .preset = "16MiB",
      .doc = "For the table of keys, used as it fills: 64MiB hold a million. Whoever finds no "
             "room takes that of a key that has waited longest." },
    { .key = "dry_run",
      .type = &conf_bool,
      CONF_FIELD(rate_limit_settings, dry_run),
      .preset = "false",
      .doc = "Count and log, but refuse nothing." },
    { 0 },
};

const struct conf_section conf_rate_limit_section = {
    .title = "rate_limits",
    .what = "a rate limit",
    .intro = "Named limits that routes refer to, one or several.",
    .example = "rate_limits:\n"
               "  api: { key: client_ip, rate: 10/s, burst: 20 }\n"
               "  login: { rate: 5/m, dry_run: true }\n"
               "  partner: { key: [\"header:X-Api-Key\", route], rate: 100/s, burst: 200 }\n",
    .size = sizeof(struct rate_limit_settings),
    .rows = rate_limit_rows,
    .name = &rate_limit_name,
    .has_place = true,
    .end = conf_check_rate_limit,
};

/* ---- concurrency limits ---- */

static const struct conf_row concurrency_limit_name = {
    .key = "name",
    .type = &conf_name,
    CONF_FIELD(concurrency_limit_settings, name),
};

static const struct conf_row concurrency_limit_rows[] = {
    KEY_ROWS(concurrency_limit_settings),
    { .key = "max",
      .type = &conf_count,
      .min = 1,
      .max = 1000000,
      CONF_FIELD(concurrency_limit_settings, max),
      .flags = CONF_REQUIRED,
      .doc = "How many requests of one key may be in progress.",
      .example = "20" },
    { .key = "status",
      .type = &conf_count,
      .min = 400,
      .max = 599,
      CONF_FIELD(concurrency_limit_settings, status),
      .preset = "429",
      .doc = "Status of the answer to what is too much, with `Retry-After: 1`." },
    { .key = "dry_run",
      .type = &conf_bool,
      CONF_FIELD(concurrency_limit_settings, dry_run),
      .preset = "false",
      .doc = "Count and log, but refuse nothing." },
    { 0 },
};

const struct conf_section conf_concurrency_limit_section = {
    .title = "concurrency_limits",
    .what = "a concurrency limit",
    .intro =
        "How many requests may be in progress at once, on this gateway, from their head to the "
        "last byte of the answer, each HTTP/2 stream by itself; a WebSocket for as long as it "
        "lives. Routes refer to them by name. They are asked before rate limits.",
    .example = "concurrency_limits:\n"
               "  downloads: { key: client_ip, max: 4 }\n"
               "  reports: { key: route, max: 20, status: 503 }\n",
    .size = sizeof(struct concurrency_limit_settings),
    .rows = concurrency_limit_rows,
    .name = &concurrency_limit_name,
    .has_place = true,
};

/* ---- Redis ---- */

static const struct conf_row sentinel_rows[] = {
    { .key = "master",
      .type = &conf_text,
      .min = 1,
      .max = 256,
      CONF_FIELD(sentinel_settings, master),
      .flags = CONF_REQUIRED,
      .doc = "The name that the sentinels know the master by.",
      .example = "mymaster" },
    { .key = "servers",
      .shape = CONF_MANY,
      .type = &conf_server_address,
      CONF_FIELD(sentinel_settings, servers),
      .flags = CONF_REQUIRED | CONF_NOT_EMPTY,
      .doc = "Where sentinels listen; one that answers is enough.",
      .example = "[\"10.0.0.5:26379\", \"10.0.0.6:26379\"]" },
    { .key = "username",
      .type = &conf_text,
      CONF_FIELD(sentinel_settings, username),
      .doc = "Who the gateway is to them.",
      .example = "gateway" },
    { .key = "password",
      .type = &conf_text,
      CONF_FIELD(sentinel_settings, password),
      .flags = CONF_SECRET | CONF_FROM_FILE,
      .doc = "Its password; `file:/path` reads it from a file." },
    { 0 },
};

static const struct conf_section sentinel_section = {
    .title = "stores.redis.sentinel",
    .what = "`sentinel`",
    .intro = "Redis Sentinel says which server is the master; `url` then gives the database, user "
             "and password alone, and its host is not used.",
    .example = "stores:\n"
               "  redis:\n"
               "    url: redis://master/0\n"
               "    sentinel: { master: mymaster, servers: [\"10.0.0.5:26379\"] }\n",
    .size = sizeof(struct sentinel_settings),
    .rows = sentinel_rows,
};

static const struct conf_choice failures[] = {
    { "local", ON_FAILURE_LOCAL },
    { "open", ON_FAILURE_OPEN },
    { "closed", ON_FAILURE_CLOSED },
    { NULL, 0 },
};

static const struct conf_row redis_rows[] = {
    { .key = "url",
      .type = &conf_redis_url,
      CONF_FIELD(redis_settings, url),
      .flags = CONF_REQUIRED | CONF_SECRET | CONF_FROM_FILE,
      .doc = "`redis://[user:password@]host[:port][/database]`, `rediss://` for TLS, or "
             "`unix:///path`; `file:/path` reads it from a file.",
      .example = "redis://redis:6379" },
    { .key = "username",
      .type = &conf_text,
      CONF_FIELD(redis_settings, username),
      .preset_doc = "that of `url`",
      .doc = "Who the gateway is to Redis.",
      .example = "gateway" },
    { .key = "password",
      .type = &conf_text,
      CONF_FIELD(redis_settings, password),
      .preset_doc = "that of `url`",
      .flags = CONF_SECRET | CONF_FROM_FILE,
      .doc = "Its password; `file:/path` reads it from a file." },
    { .key = "on_failure",
      .type = &conf_enum,
      .choices = failures,
      CONF_FIELD(redis_settings, on_failure),
      .preset = "local",
      .doc = "While Redis does not answer: count in this process, a gateway's share of each "
             "limit (`local`); let everything pass (`open`); refuse with 503 (`closed`)." },
    { .key = "deadline",
      .type = &conf_duration,
      .min = 1,
      .max = 10000,
      CONF_FIELD(redis_settings, deadline),
      .preset = "5ms",
      .doc = "How long a request waits for Redis at most." },
    { .key = "prefix",
      .type = &conf_name,
      CONF_FIELD(redis_settings, prefix),
      .preset = "wharfgate",
      .doc = "What names of keys begin with: gateways with the same one share limits." },
    { .key = "cluster",
      .type = &conf_bool,
      CONF_FIELD(redis_settings, is_cluster),
      .preset = "false",
      .doc = "It is a Redis Cluster; `url` is one of its nodes, which tells of the others." },
    { .key = "sentinel",
      .shape = CONF_OPTIONAL,
      .section = &sentinel_section,
      CONF_FIELD(redis_settings, sentinel),
      .preset_doc = "none",
      .doc = "Ask Redis Sentinel where the master is." },
    { .key = "tls",
      .shape = CONF_OPTIONAL,
      .section = &conf_upstream_tls_section,
      CONF_FIELD(redis_settings, tls),
      .flags = CONF_SWITCH,
      .preset_doc = "plain, or all defaults with `rediss://`",
      .doc = "TLS towards Redis; the keys are those of an upstream's." },
    { 0 },
};

const struct conf_section conf_redis_section = {
    .title = "stores.redis",
    .what = "`redis`",
    .intro = "The Redis (5 or newer) through which several gateways share limits. "
             "`redis: URL` is short for `redis: { url: URL }`.",
    .example = "stores:\n"
               "  redis: { url: \"redis://redis:6379\", on_failure: local }\n",
    .size = sizeof(struct redis_settings),
    .rows = redis_rows,
    .shorthand = "url",
    .has_place = true,
    .end = conf_check_redis,
};

static const struct conf_row store_rows[] = {
    { .key = "redis",
      .shape = CONF_OPTIONAL,
      .section = &conf_redis_section,
      CONF_FIELD(settings, redis),
      .preset_doc = "none",
      .doc = "Redis." },
    { 0 },
};

const struct conf_section conf_stores_section = {
    .title = "stores",
    .what = "`stores`",
    .intro = "Where gateways keep what they share.",
    .example = "stores:\n"
               "  redis: unix:///run/redis/redis.sock\n",
    .size = sizeof(struct settings),
    .rows = store_rows,
};
