/* SPDX-License-Identifier: Apache-2.0
 *
 * The configuration as typed values, after defaults and checks: what the tables
 * in conf/ fill in and what control/ builds a plan from. Everything lies in one
 * arena (settings->arena); text is a slice that is also NUL-terminated. An
 * unset text is { NULL, 0 }. Times are milliseconds, sizes bytes.
 *
 * Every struct that a person can point at carries `at`, its place in the files.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/slice.h"

struct conf_place {
    const char *file;
    uint32_t    line; /* from 1 */
    uint32_t    column;
};

struct text_list {
    struct slice *items;
    size_t        count;
};

enum log_format { LOG_FORMAT_JSON, LOG_FORMAT_COMBINED };
enum setting_profile { PROFILE_INTERMEDIATE, PROFILE_MODERN };
enum setting_client_auth { CLIENT_AUTH_NONE, CLIENT_AUTH_OPTIONAL, CLIENT_AUTH_REQUIRED };
/* In the order of balance_algorithms[] (upstream/balance/). */
enum setting_balance {
    BALANCE_LEAST_REQUESTS,
    BALANCE_ROUND_ROBIN,
    BALANCE_RANDOM,
    BALANCE_LEAST_TIME,
    BALANCE_RING_HASH,
    BALANCE_MAGLEV,
    BALANCE_STICKY
};
enum setting_same_site { SAME_SITE_LAX, SAME_SITE_STRICT, SAME_SITE_NONE };
enum setting_check { CHECK_HTTP, CHECK_GRPC, CHECK_TLS, CHECK_TCP };
/* Why an attempt may be repeated; bits of upstream_settings.retry_on. */
enum setting_retry { RETRY_CONNECT, RETRY_RESET, RETRY_TIMEOUT, RETRY_MALFORMED, RETRY_STATUS };
enum setting_proxy_protocol { PROXY_PROTOCOL_OFF, PROXY_PROTOCOL_V1, PROXY_PROTOCOL_V2 };
enum setting_http2 { HTTP2_AUTO, HTTP2_ON, HTTP2_OFF };
enum setting_protocol { PROTOCOL_SETTING_H1, PROTOCOL_SETTING_H2, PROTOCOL_SETTING_AUTO };
enum setting_store { STORE_LOCAL, STORE_REDIS };
enum setting_limit_mode { LIMIT_AUTO, LIMIT_EXACT, LIMIT_LEASE };
enum setting_limit_headers { LIMIT_HEADERS_STANDARD, LIMIT_HEADERS_LEGACY, LIMIT_HEADERS_OFF };
enum setting_security { SECURITY_STRICT, SECURITY_BASIC, SECURITY_OFF };
enum setting_on_failure { ON_FAILURE_LOCAL, ON_FAILURE_OPEN, ON_FAILURE_CLOSED };
/* What a request is told by; conf_split_key() reads it. */
enum setting_key {
    KEY_CLIENT_IP,
    KEY_HOST,
    KEY_PATH,
    KEY_ROUTE,
    KEY_CLIENT_CERT, /* the subject of a verified one */
    KEY_HEADER,
    KEY_COOKIE,
    KEY_QUERY
};

struct certificate_settings {
    struct conf_place at;
    struct slice      cert; /* path */
    struct slice      key;  /* path; unset: in the cert file */
    struct slice      ocsp; /* path of a DER response, or unset */
};

struct listener_tls_settings {
    struct conf_place            at;
    struct certificate_settings *certificates;
    size_t                       certificate_count;
    bool                         is_self_signed; /* self_signed: true: one made on the spot */
    enum setting_profile         profile;
    enum setting_client_auth     client_auth;
    struct slice                 client_ca; /* path */
    bool                         tickets;
    uint64_t                     handshake_count;  /* handshakes_per_address, a rate; 0: no limit */
    uint64_t                     handshake_period; /* ms */
};

struct listener_settings {
    struct conf_place             at;
    struct slice                  name;
    struct text_list              addresses;       /* address: one or a list */
    bool                          redirects_https; /* redirect: https */
    uint16_t                      redirect_port;   /* 0: that of the first listener with TLS */
    struct listener_tls_settings *tls;             /* NULL: plain */
    enum setting_http2            http2;
    struct text_list              accept_proxy_protocol; /* CIDRs whose PROXY header is required */
    struct text_list              trusted_proxies; /* CIDRs whose X-Forwarded-* are believed */
    uint32_t                      max_connections; /* 0: limits.max_connections alone */
    uint32_t                      max_connections_per_address; /* 0: no limit */
};

struct server_settings {
    struct conf_place at;
    struct slice      address; /* host:port, IP:port, unix:/path; or: */
    struct slice      srv;     /* name of SRV records, which say host, port and weight */
    uint32_t          weight;  /* 1..1000, default 1 */
    bool              backup;
};

struct upstream_tls_settings {
    bool         verify;
    struct slice ca, sni, cert, key; /* ca, cert, key: paths */
};

struct balance_settings {
    enum setting_balance   algorithm;
    struct slice           key;      /* of ring_hash, maglev: see enum setting_key */
    uint32_t               max_load; /* of them: percent of the average that one may have; 0: any */
    struct slice           cookie;   /* of sticky: its name */
    struct slice           secret;   /* of sticky: what it is signed with */
    uint64_t               cookie_ttl; /* 0: until the browser ends */
    enum setting_same_site same_site;
};

struct health_check_settings {
    struct conf_place  at;
    enum setting_check type;
    struct slice       path;     /* http: target, "/" */
    struct slice       method;   /* http: GET */
    struct slice       host;     /* http, grpc: Host; unset: the upstream's, else the address */
    struct text_list   statuses; /* http: "200", "2xx", "200-399"; none: 200-399 */
    struct slice       body;     /* http: regular expression that the body matches, or unset */
    struct name_value *headers;  /* http */
    size_t             header_count;
    struct slice       service; /* grpc: name, or unset: the whole server */
    uint64_t           interval, fast_interval, timeout;
    uint32_t           rise, fall;
    bool               serve_unchecked;
};

struct ejection_settings {
    uint32_t consecutive_failures; /* 0: off */
    uint32_t error_rate;           /* percent; 0: off */
    uint64_t interval;             /* of error_rate */
    uint64_t base_time, max_time;
    uint32_t max_share;       /* percent of the members */
    uint32_t panic_threshold; /* percent of the ready ones */
};

/* 0: no limit. */
struct upstream_limit_settings {
    uint32_t requests;               /* in progress at all endpoints */
    uint32_t requests_per_server;    /* in progress at one */
    uint32_t connections;            /* open to all */
    uint32_t connections_per_server; /* open to one */
    uint32_t queue;                  /* requests that wait for one of these, or for an endpoint */
    uint64_t queue_timeout;
};

struct timeout_settings {
    uint64_t tls_handshake;   /* 10s */
    uint64_t header;          /* 10s: from the first byte of a request to its last header line */
    uint64_t body_idle;       /* 30s between two pieces of a request body */
    uint64_t keep_alive;      /* 60s idle between requests */
    uint64_t write_idle;      /* 30s without the client taking a byte of the response */
    uint64_t connect;         /* 5s, TLS handshake with the replica included */
    uint64_t response_header; /* 60s */
    uint64_t response_idle;   /* 60s between two pieces of a response body */
    uint64_t upstream_keep_alive; /* 50s idle in the pool */
    uint64_t tunnel_idle;         /* 1h without a byte either way, after a 101 */
};

struct limit_settings {
    uint32_t request_line;            /* 8 KiB */
    uint32_t header_bytes;            /* 16 KiB, request line included */
    uint32_t header_count;            /* 100 */
    uint32_t max_connections;         /* 65536 over all listeners; idle ones are closed first */
    uint64_t body_min_rate;           /* bytes/s a body must keep up after body_idle; 0: off. 256 */
    uint32_t requests_per_connection; /* 0: no bound */
    uint32_t streams_per_connection;  /* 128: requests at once on one HTTP/2 connection */
    uint64_t compression_memory;      /* 64 MiB: of encoders, of all workers */
};

/* An upstream's replicas by their containers. */
struct docker_settings {
    struct conf_place at;
    struct slice      service; /* compose service; or: */
    struct slice      label;   /* "name" or "name=value" */
    struct slice      project; /* compose project; unset: any */
    uint16_t          port;    /* 0: the only one that is exposed */
    struct slice      network; /* unset: see docs/design/docker.md */
    struct slice      group;   /* instead of service and label: docker_container.group */
};

struct upstream_settings {
    struct conf_place              at;
    struct slice                   name;
    struct server_settings        *servers;
    size_t                         server_count;
    struct docker_settings        *docker; /* NULL: `servers` has them */
    struct balance_settings        balance;
    struct health_check_settings  *health_check; /* NULL: none */
    struct ejection_settings       outlier_ejection;
    struct upstream_limit_settings limits;
    uint64_t                       slow_start;        /* 0: off */
    uint64_t                       wait_for_endpoint; /* 0: does not wait */
    struct upstream_tls_settings  *tls;               /* NULL: plain */
    enum setting_proxy_protocol    proxy_protocol;
    enum setting_protocol          protocol;
    uint32_t         keep_alive_connections; /* idle ones kept per endpoint and worker, 32 */
    uint32_t         retries;                /* further attempts where a retry is allowed, 2 */
    struct text_list retry_on;     /* connect, reset, ..., a status; none: see the table */
    uint32_t         retry_budget; /* percent of the requests */
    uint64_t         try_timeout;  /* for a response's head, each attempt; 0: off */
    struct slice     host;         /* Host sent to the replicas; unset: the client's */
    /* A canonical text of everything above: equal texts mean that a reload leaves
     * the upstream, its endpoints and its connections alone. */
    struct slice fingerprint;
};

/* A key that has several parts is all of them together; of which one is empty: no key. */
struct key_settings {
    struct text_list parts;       /* see enum setting_key */
    uint32_t         ipv6_prefix; /* bits of an IPv6 address that tell clients apart, 64 */
};

struct rate_limit_settings {
    struct conf_place          at;
    struct slice               name;
    struct key_settings        key;
    uint64_t                   rate_count;  /* rate: 10/s -> 10 per 1,000 ms */
    uint64_t                   rate_period; /* ms */
    uint32_t                   burst;       /* extra at once, default 0 */
    bool                       delay;       /* what is in the burst is held back, not let through */
    enum setting_store         store;
    enum setting_limit_mode    mode;   /* of STORE_REDIS */
    struct text_list           allow;  /* CIDRs that are not limited */
    uint64_t                   memory; /* bytes of the table of keys */
    uint16_t                   status; /* 429 */
    enum setting_limit_headers headers;
    bool                       dry_run;
};

struct concurrency_limit_settings {
    struct conf_place   at;
    struct slice        name;
    struct key_settings key;
    uint32_t            max;
    uint16_t            status; /* 429 */
    bool                dry_run;
};

struct sentinel_settings {
    struct slice     master;  /* its name */
    struct text_list servers; /* host:port */
    struct slice     username, password;
};

/* The Redis that a fleet shares. */
struct redis_settings {
    struct conf_place             at;
    struct slice                  url; /* conf_parse_redis_url() */
    struct slice                  username, password;
    enum setting_on_failure       on_failure;
    uint64_t                      deadline; /* of a call */
    struct slice                  prefix;   /* of keys */
    bool                          is_cluster;
    struct sentinel_settings     *sentinel; /* NULL: none */
    struct upstream_tls_settings *tls;      /* NULL: plain, or defaults with rediss:// */
};

struct name_value {
    struct slice name;
    struct slice value; /* unset: present with any value; "~..." a regular expression */
};

struct match_settings {
    struct text_list hosts; /* exact, "*.suffix"; none: default. Lower case, no port */
    struct slice     path;  /* "/x", "/x/": prefix by segment; "= /x": exact;
                             * "~ re", "~* re": regular expression (without case);
                             * unset: any */
    struct text_list   methods;
    struct text_list   listeners; /* names; none: all */
    struct name_value *headers;
    size_t             header_count;
    struct name_value *query;
    size_t             query_count;
};

struct error_page_settings {
    uint16_t     status; /* 0: any of the gateway's own */
    struct slice path;   /* file, read when the plan is built */
};

struct respond_settings {
    uint16_t           status; /* 200 */
    struct slice       body;
    struct slice       content_type; /* text/plain; charset=utf-8 */
    struct name_value *headers;
    size_t             header_count;
};

struct redirect_settings {
    struct conf_place at;
    struct slice      match;  /* regular expression of the path, or unset */
    struct slice      to;     /* absolute URL or path; http/target.h */
    uint16_t          status; /* 308 */
};

struct compress_settings {
    struct conf_place at;
    struct text_list  codings;    /* the gladliest first; none or "off": it is off */
    struct text_list  types;      /* media types; none: compress.c's */
    uint64_t          min_length; /* 1 KiB */
    uint32_t          gzip_level, br_level, zstd_level;
};

/* A value for the files whose names fit. */
struct pattern_text {
    struct slice pattern; /* base/glob.h; with a slash: of the whole path */
    struct slice text;
};

struct pattern_age {
    struct slice pattern;
    uint64_t     age; /* ms */
};

struct files_settings {
    struct conf_place    at;
    struct slice         root;          /* a folder */
    struct text_list     index;         /* none: index.html */
    struct slice         fallback;      /* path beneath the root, for what is not there; or unset */
    struct text_list     precompressed; /* codings by name; none: none */
    struct pattern_text *cache_control;
    size_t               cache_control_count;
    struct pattern_age  *expires;
    size_t               expires_count;
    struct slice         charset; /* of text; "off" */
    bool                 listing;
    uint32_t             open_files; /* that a worker keeps */
};

/* Texts are empty where the header is not sent; what the preset says has been put in. */
struct security_settings {
    enum setting_security preset;
    struct slice          hsts, csp; /* csp: a template */
    bool                  is_report_only;
    struct slice          frame_options, content_type_options, referrer_policy, permissions_policy;
    struct slice          opener_policy, embedder_policy, resource_policy; /* Cross-Origin-... */
    struct text_list      keep; /* names: the server's own stays */
    struct text_list      hide;
};

/* Values are templates (template.h). */
struct header_edit_settings {
    struct text_list   remove;
    struct name_value *rename; /* value: the new name */
    size_t             rename_count;
    struct name_value *set;
    size_t             set_count;
    struct name_value *add;
    size_t             add_count;
};

struct headers_settings {
    struct conf_place           at;
    struct header_edit_settings request, response;
};

struct rewrite_rule_settings {
    struct slice match; /* regular expression of the path */
    struct slice to;    /* http/target.h, without an origin */
};

struct rewrite_settings {
    struct conf_place             at;
    struct slice                  strip_prefix, add_prefix;
    struct rewrite_rule_settings *paths;
    size_t                        path_count;
};

struct maintenance_settings {
    struct conf_place at;
    struct slice      file;   /* unset: none */
    uint16_t          status; /* 503 */
    struct slice      page;   /* unset: that of error_pages */
    struct text_list  allow;
    uint64_t          retry_after; /* 60s; 0: none */
};

enum setting_trailing_slash { TRAILING_SLASH_IGNORE, TRAILING_SLASH_ADD, TRAILING_SLASH_REMOVE };

/* What `defaults:` sets for every route and a route may set for itself. */
struct policy_settings {
    uint64_t                     max_body; /* 1 MiB; 0: unlimited */
    struct timeout_settings      timeouts; /* of them: body_idle, write_idle, connect, response_* */
    struct text_list             rate_limits;        /* names in rate_limits, in this order */
    struct text_list             concurrency_limits; /* names in concurrency_limits */
    bool                         allow_encoded_slash;
    bool                         access_log;          /* default true */
    bool                         client_cert_headers; /* X-Client-Cert-*: default true */
    struct compress_settings     compress;
    struct text_list             upgrades; /* none: websocket; "any", "off" */
    struct error_page_settings  *error_pages;
    size_t                       error_page_count;
    struct security_settings    *security;       /* NULL: none */
    struct headers_settings     *headers;        /* of a route: its own, beside those of defaults */
    uint64_t                     buffer_request; /* 0: off */
    struct slice                 canonical_host; /* unset: any */
    enum setting_trailing_slash  trailing_slash;
    struct maintenance_settings *maintenance; /* NULL: none */
};

struct route_settings {
    struct conf_place         at;
    struct slice              name; /* given, or made from the match: unique */
    struct match_settings     match;
    struct slice              upstream; /* exactly one of these four */
    struct respond_settings  *respond;
    struct redirect_settings *redirect;
    struct files_settings    *files;
    struct rewrite_settings  *rewrite; /* of an upstream's; NULL: none */
    struct policy_settings    policy;
};

struct log_settings {
    struct slice    level;  /* debug | info | warn | error */
    struct slice    error;  /* stderr, or a path */
    struct slice    access; /* stdout, stderr, off, or a path */
    enum log_format format;
};

struct admin_settings {
    struct slice address; /* 127.0.0.1:9600; "off" */
    struct slice socket;  /* path; default /run/wharfgate/admin.sock; "off" */
};

/* How names of servers are looked up. */
struct dns_settings {
    struct text_list servers; /* IP[:port]; none: the system's (resolv.conf) */
    uint64_t         min_ttl, max_ttl;
    uint64_t         timeout;
};

/* The daemon that containers are found through. */
struct docker_daemon_settings {
    struct conf_place at;
    struct slice      endpoint;      /* unix:///path, tcp://host:port */
    struct slice      ca, cert, key; /* paths; of tcp:// with TLS */
    struct slice      network;     /* that containers are reached over, where they are in several */
    uint64_t          refresh;     /* a whole list so often */
    uint64_t          drain;       /* how long a container may take to end after `kill` */
    struct slice      snapshot;    /* path, or unset */
    uint64_t          keep_routes; /* of labels, after the last container ended */
};

struct discovery_settings {
    struct dns_settings            dns;
    struct docker_daemon_settings *docker; /* NULL: none */
};

struct metrics_settings {
    bool         enabled;
    struct slice path;       /* /metrics */
    uint32_t     max_series; /* routes and upstreams counted by name; the rest is _other */
};

struct settings {
    struct arena arena;
    uint32_t     workers; /* 0: one a CPU */
    struct slice user, group;
    uint64_t     shutdown_grace; /* 30s */
    struct slice pid_file;

    struct listener_settings          *listeners;
    size_t                             listener_count;
    struct upstream_settings          *upstreams;
    size_t                             upstream_count;
    struct rate_limit_settings        *rate_limits;
    size_t                             rate_limit_count;
    struct concurrency_limit_settings *concurrency_limits;
    size_t                             concurrency_limit_count;
    struct redis_settings             *redis; /* NULL: none */
    struct route_settings             *routes;
    size_t                             route_count;

    struct timeout_settings   timeouts;
    struct limit_settings     limits;
    struct log_settings       log;
    struct admin_settings     admin;
    struct metrics_settings   metrics;
    struct discovery_settings discovery;
    struct policy_settings    defaults; /* for what no route matches, too */

    struct text_list files; /* every configuration file that was read, absolute */
};
