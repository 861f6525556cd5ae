/* SPDX-License-Identifier: Apache-2.0
 *
 * The tables of upstreams and their servers. What watches over them (checks,
 * ejection, limits, balancing) is in tables_health.c.
 */
#include "conf/check.h"
#include "conf/types.h"

enum { DAY_MS = 86400000 };

static const struct conf_row server_rows[] = {
    { .key = "address",
      .type = &conf_server_address,
      CONF_FIELD(server_settings, address),
      .flags = CONF_ONE_OF,
      .doc = "Host and port, or `unix:` and a path. A host name is looked up again when its time "
             "in the DNS is over; each of its addresses is a replica.",
      .example = "10.0.0.7:80" },
    { .key = "srv",
      .type = &conf_dns_name,
      CONF_FIELD(server_settings, srv),
      .flags = CONF_ONE_OF,
      .doc = "Name of SRV records, which say hosts, ports and weights. Records of the lowest "
             "priority are replicas, all others backups.",
      .example = "_http._tcp.backend.internal" },
    { .key = "weight",
      .type = &conf_count,
      .min = 1,
      .max = 1000,
      CONF_FIELD(server_settings, weight),
      .preset = "1",
      .doc = "Its share of the requests, in proportion to the others'." },
    { .key = "backup",
      .type = &conf_bool,
      CONF_FIELD(server_settings, backup),
      .preset = "false",
      .doc = "Used only while no other server can be." },
    { 0 },
};

static const struct conf_section server_section = {
    .title = "upstreams.NAME.servers[]",
    .what = "a server",
    .intro = "One replica, or as many as a name has addresses. A text alone is its address.",
    .example = "upstreams:\n"
               "  replicas:\n"
               "    servers:\n"
               "      - app-1:8000\n"
               "      - { address: \"[fd00::2]:8000\", weight: 3 }\n"
               "      - { address: unix:/run/app.sock, backup: true }\n"
               "      - { srv: _http._tcp.backend.internal }\n",
    .size = sizeof(struct server_settings),
    .rows = server_rows,
    .shorthand = "address",
    .has_place = true,
};

static const struct conf_row docker_rows[] = {
    { .key = "service",
      .type = &conf_text,
      .min = 1,
      .max = 256,
      CONF_FIELD(docker_settings, service),
      .flags = CONF_ONE_OF,
      .doc = "Name of the compose service.",
      .example = "herald-backend" },
    { .key = "label",
      .type = &conf_text,
      .min = 1,
      .max = 512,
      CONF_FIELD(docker_settings, label),
      .flags = CONF_ONE_OF,
      .doc = "A label that they have, or a label and its value.",
      .example = "role=api" },
    { .key = "group",
      .type = &conf_text,
      CONF_FIELD(docker_settings, group),
      .flags = CONF_ONE_OF | CONF_HIDDEN,
      .doc = "Containers that make one route of their own labels." },
    { .key = "project",
      .type = &conf_text,
      .min = 1,
      .max = 256,
      CONF_FIELD(docker_settings, project),
      .preset_doc = "any",
      .doc = "Name of the compose project.",
      .example = "herald" },
    { .key = "port",
      .type = &conf_count,
      .min = 1,
      .max = 65535,
      CONF_FIELD(docker_settings, port),
      .preset_doc = "the only one that is exposed",
      .doc = "Port that they listen on.",
      .example = "8000" },
    { .key = "network",
      .type = &conf_text,
      .min = 1,
      .max = 256,
      CONF_FIELD(docker_settings, network),
      .preset_doc = "one that is shared with the gateway, or the only one",
      .doc = "Network that they are reached over.",
      .example = "herald_default" },
    { 0 },
};

static const struct conf_section docker_section = {
    .title = "upstreams.NAME.docker",
    .what = "`docker` of an upstream",
    .intro = "Containers of a compose service, or with a label, of the daemon in "
             "`discovery.docker`. A container's own labels `wharfgate.port`, `wharfgate.network` "
             "and `wharfgate.weight` count more than what stands here.",
    .example = "discovery: { docker: true }\n"
               "upstreams:\n"
               "  backend:\n"
               "    docker: { service: herald-backend, port: 8000 }\n",
    .size = sizeof(struct docker_settings),
    .rows = docker_rows,
    .has_place = true,
};

static const struct conf_row upstream_tls_rows[] = {
    { .key = "verify",
      .type = &conf_bool,
      CONF_FIELD(upstream_tls_settings, verify),
      .preset = "true",
      .doc = "Refuse a server whose certificate does not fit." },
    { .key = "ca",
      .type = &conf_path,
      CONF_FIELD(upstream_tls_settings, ca),
      .preset_doc = "the system's",
      .doc = "PEM file with the authorities to believe.",
      .example = "/etc/wharfgate/internal-ca.pem" },
    { .key = "sni",
      .type = &conf_host_name,
      CONF_FIELD(upstream_tls_settings, sni),
      .preset_doc = "the server's host name",
      .doc = "Name to ask for and to verify.",
      .example = "backend.internal" },
    { .key = "cert",
      .type = &conf_path,
      CONF_FIELD(upstream_tls_settings, cert),
      .doc = "PEM file with a certificate to show.",
      .example = "/etc/wharfgate/gateway.pem" },
    { .key = "key",
      .type = &conf_path,
      CONF_FIELD(upstream_tls_settings, key),
      .preset_doc = "the `cert` file",
      .doc = "PEM file with its private key.",
      .example = "/etc/wharfgate/gateway.key" },
    { 0 },
};

const struct conf_section conf_upstream_tls_section = {
    .title = "upstreams.NAME.tls",
    .what = "`tls` of an upstream",
    .intro = "TLS towards the servers. `tls: true` takes all defaults: the certificate is "
             "verified against the system's authorities.",
    .example = "upstreams:\n"
               "  internal:\n"
               "    servers: [\"backend.internal:8443\"]\n"
               "    tls:\n"
               "      ca: /etc/wharfgate/internal-ca.pem\n"
               "      sni: backend.internal\n",
    .size = sizeof(struct upstream_tls_settings),
    .rows = upstream_tls_rows,
    .end = conf_check_upstream_tls,
};

static const struct conf_choice proxy_protocols[] = {
    { "off", PROXY_PROTOCOL_OFF },
    { "v1", PROXY_PROTOCOL_V1 },
    { "v2", PROXY_PROTOCOL_V2 },
    { NULL, 0 },
};

static const struct conf_choice protocols[] = {
    { "h1", PROTOCOL_SETTING_H1 },
    { "h2", PROTOCOL_SETTING_H2 },
    { "auto", PROTOCOL_SETTING_AUTO },
    { NULL, 0 },
};

static const struct conf_alias protocol_aliases[] = {
    { "http2", "h2" }, { "http/2", "h2" }, { "h2c", "h2" },      { "grpc", "h2" },
    { "http", "h1" },  { "http1", "h1" },  { "http/1.1", "h1" }, { NULL, NULL },
};

static const struct conf_row upstream_name = {
    .key = "name",
    .type = &conf_name,
    CONF_FIELD(upstream_settings, name),
};

static const struct conf_row upstream_rows[] = {
    { .key = "servers",
      .shape = CONF_LIST,
      .section = &server_section,
      CONF_ITEMS(upstream_settings, servers, server_count),
      .flags = CONF_ONE_OF | CONF_NOT_EMPTY,
      .doc = "The replicas. A name is looked up again and again; `discovery` says how." },
    { .key = "docker",
      .shape = CONF_OPTIONAL,
      .section = &docker_section,
      CONF_FIELD(upstream_settings, docker),
      .flags = CONF_ONE_OF,
      .doc = "The replicas are containers, as they come and go." },
    { .key = "balance",
      .shape = CONF_INLINE,
      .section = &conf_balance_section,
      CONF_FIELD(upstream_settings, balance),
      .doc = "How one is chosen." },
    { .key = "health_check",
      .shape = CONF_OPTIONAL,
      .section = &conf_health_check_section,
      CONF_FIELD(upstream_settings, health_check),
      .flags = CONF_SWITCH,
      .preset_doc = "none",
      .doc = "Ask each server regularly whether it is well." },
    { .key = "outlier_ejection",
      .shape = CONF_INLINE,
      .section = &conf_ejection_section,
      CONF_FIELD(upstream_settings, outlier_ejection),
      .doc = "Leave a server out for a while when requests to it fail." },
    { .key = "limits",
      .shape = CONF_INLINE,
      .section = &conf_upstream_limits_section,
      CONF_FIELD(upstream_settings, limits),
      .doc = "How much the servers are to have at once." },
    { .key = "wait_for_endpoint",
      .type = &conf_duration,
      .min = 1,
      .max = DAY_MS,
      .zero = "off",
      CONF_FIELD(upstream_settings, wait_for_endpoint),
      .preset = "5s",
      .doc = "How long a request waits when no server is ready; then 503. `off`: not at all." },
    { .key = "slow_start",
      .type = &conf_duration,
      .min = 100,
      .max = DAY_MS,
      .zero = "off",
      CONF_FIELD(upstream_settings, slow_start),
      .preset = "off",
      .doc = "How long a server that became ready takes to get its whole share. Not with "
             "`ring_hash` and `maglev`.",
      .example = "30s" },
    { .key = "tls",
      .shape = CONF_OPTIONAL,
      .section = &conf_upstream_tls_section,
      CONF_FIELD(upstream_settings, tls),
      .flags = CONF_SWITCH,
      .preset_doc = "plain HTTP",
      .doc = "TLS towards the servers." },
    { .key = "protocol",
      .type = &conf_enum,
      .choices = protocols,
      .aliases = protocol_aliases,
      CONF_FIELD(upstream_settings, protocol),
      .preset = "h1",
      .doc = "HTTP/1.1, HTTP/2, or, with TLS, whichever the server prefers (`auto`; without TLS "
             "that is HTTP/1.1). gRPC needs `h2`." },
    { .key = "proxy_protocol",
      .type = &conf_enum,
      .choices = proxy_protocols,
      CONF_FIELD(upstream_settings, proxy_protocol),
      .preset = "off",
      .doc = "Begin each connection with a PROXY protocol header that names the client." },
    { .key = "keep_alive_connections",
      .type = &conf_count,
      .min = 0,
      .max = 65536,
      CONF_FIELD(upstream_settings, keep_alive_connections),
      .preset = "32",
      .doc = "Idle connections kept for reuse, per server and worker." },
    { .key = "retries",
      .type = &conf_count,
      .min = 0,
      .max = 10,
      CONF_FIELD(upstream_settings, retries),
      .preset = "2",
      .doc = "Further attempts at other servers, where a request may be sent again. A connection "
             "that is refused does not count while others are left; `0`: none at all." },
    { .key = "retry_on",
      .shape = CONF_MANY,
      .type = &conf_retry,
      CONF_FIELD(upstream_settings, retry_on),
      .preset_doc = "`connect`, `reset`, `timeout`, `malformed`",
      .doc =
          "What an attempt may have come to for another to follow: no connection, one that broke "
          "off, no answer within `try_timeout`, an answer that is none, or one with such a "
          "status. `off`: nothing.",
      .example = "connect" },
    { .key = "retry_budget",
      .type = &conf_percent,
      .min = 1,
      .max = 100,
      .zero = "off",
      CONF_FIELD(upstream_settings, retry_budget),
      .preset = "20%",
      .doc = "How many of the requests may be sent again after a server had them; 3 a second "
             "always may. `off`: no bound." },
    { .key = "try_timeout",
      .type = &conf_duration,
      .min = 1,
      .max = DAY_MS,
      .zero = "off",
      CONF_FIELD(upstream_settings, try_timeout),
      .preset = "off",
      .doc = "How long one attempt may take to its response's head, if another may follow.",
      .example = "2s" },
    { .key = "host",
      .type = &conf_authority,
      CONF_FIELD(upstream_settings, host),
      .preset_doc = "the client's",
      .doc = "`Host` that the servers see.",
      .example = "backend.internal" },
    { 0 },
};

/* Everything that the rows hold, in one text. */
static void make_fingerprint(struct conf_parser *p, void *base, const struct conf_place *at)
{
    struct upstream_settings *u = base;
    struct buffer             text = BUFFER_INIT;
    conf_check_upstream(p, u, at);
    buffer_put_slice(&text, u->name);
    conf_write(&conf_upstream_section, 0, u, &text);
    u->fingerprint = arena_copy(p->arena, buffer_slice(&text));
    buffer_reset(&text);
}

const struct conf_section conf_upstream_section = {
    .title = "upstreams",
    .what = "an upstream",
    .intro = "Named groups of replicas that answer requests. A reload leaves an upstream that has "
             "not changed alone: its connections and what is known of its servers stay.",
    .example = "upstreams:\n"
               "  backend:\n"
               "    servers: [\"app-1:8000\", \"app-2:8000\"]\n"
               "  legacy:\n"
               "    servers:\n"
               "      - \"10.0.0.7:80\"\n"
               "      - { address: \"10.0.0.8:80\", weight: 2, backup: true }\n"
               "    balance: round_robin\n"
               "    keep_alive_connections: 64\n"
               "    host: legacy.internal\n",
    .size = sizeof(struct upstream_settings),
    .rows = upstream_rows,
    .name = &upstream_name,
    .has_place = true,
    .end = make_fingerprint,
};
