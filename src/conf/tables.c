/* SPDX-License-Identifier: Apache-2.0
 *
 * The tables of listeners. A key that people can write is one row in a table, and
 * nowhere else.
 */
#include "conf/check.h"
#include "conf/types.h"

/* ---- listeners ---- */

static const struct conf_row certificate_rows[] = {
    { .key = "cert",
      .type = &conf_path,
      CONF_FIELD(certificate_settings, cert),
      .flags = CONF_REQUIRED,
      .doc = "PEM file with the certificate and its chain.",
      .example = "/etc/wharfgate/example.pem" },
    { .key = "key",
      .type = &conf_path,
      CONF_FIELD(certificate_settings, key),
      .preset_doc = "the `cert` file",
      .doc = "PEM file with the private key.",
      .example = "/etc/wharfgate/example.key" },
    { .key = "ocsp",
      .type = &conf_path,
      CONF_FIELD(certificate_settings, ocsp),
      .doc = "File with an OCSP response (DER) to staple; re-read when it changes.",
      .example = "/etc/wharfgate/example.ocsp" },
    { 0 },
};

static const struct conf_section certificate_section = {
    .title = "listeners.NAME.tls.certificates[]",
    .what = "a certificate",
    .intro = "One certificate with its key. The one whose names fit the client's SNI is used, an "
             "exact name before a wildcard; the first one when none fits. An RSA and an ECDSA "
             "certificate for the same name may stand side by side.",
    .example = "listeners:\n"
               "  shops:\n"
               "    address: \":9443\"\n"
               "    tls:\n"
               "      certificates:\n"
               "        - cert: /etc/wharfgate/shop.pem\n"
               "          key: /etc/wharfgate/shop.key\n"
               "          ocsp: /etc/wharfgate/shop.ocsp\n"
               "        - { cert: /etc/wharfgate/wildcard-ecdsa.pem }\n",
    .size = sizeof(struct certificate_settings),
    .rows = certificate_rows,
    .has_place = true,
};

static const struct conf_choice profiles[] = {
    { "intermediate", PROFILE_INTERMEDIATE },
    { "modern", PROFILE_MODERN },
    { NULL, 0 },
};

static const struct conf_choice client_auth_modes[] = {
    { "none", CLIENT_AUTH_NONE },
    { "optional", CLIENT_AUTH_OPTIONAL },
    { "required", CLIENT_AUTH_REQUIRED },
    { NULL, 0 },
};

static const struct conf_row client_auth_rows[] = {
    { .key = "mode",
      .type = &conf_enum,
      .choices = client_auth_modes,
      CONF_FIELD(listener_tls_settings, client_auth),
      .preset = "none",
      .doc = "Whether clients show a certificate: never, if they like, or always.",
      .example = "optional" },
    { .key = "ca",
      .type = &conf_path,
      CONF_FIELD(listener_tls_settings, client_ca),
      .doc = "PEM file with the authorities that sign the clients' certificates.",
      .example = "/etc/wharfgate/clients-ca.pem" },
    { 0 },
};

static const struct conf_section client_auth_section = {
    .title = "listeners.NAME.tls.client_auth",
    .what = "`client_auth`",
    .intro = "Certificates of clients. `client_auth: required` is short for "
             "`client_auth: { mode: required }` with `client_ca` beside it.",
    .example = "listeners:\n"
               "  partners:\n"
               "    address: \":8444\"\n"
               "    tls:\n"
               "      self_signed: true\n"
               "      client_auth:\n"
               "        mode: required\n"
               "        ca: /etc/wharfgate/clients-ca.pem\n",
    .size = sizeof(struct listener_tls_settings),
    .rows = client_auth_rows,
    .shorthand = "mode",
};

static const struct conf_row listener_tls_rows[] = {
    { .key = "certificates",
      .shape = CONF_LIST,
      .section = &certificate_section,
      CONF_ITEMS(listener_tls_settings, certificates, certificate_count),
      .flags = CONF_NOT_EMPTY,
      .doc = "Certificates to choose from." },
    { .key = "self_signed",
      .type = &conf_bool,
      CONF_FIELD(listener_tls_settings, is_self_signed),
      .preset = "false",
      .doc = "Make a certificate on the spot, for trying things out." },
    { .key = "profile",
      .type = &conf_enum,
      .choices = profiles,
      CONF_FIELD(listener_tls_settings, profile),
      .preset = "intermediate",
      .doc = "Mozilla's TLS profile: versions, ciphers and curves." },
    { .key = "client_auth",
      .shape = CONF_INLINE,
      .section = &client_auth_section,
      .doc = "Certificates of clients." },
    { .key = "client_ca",
      .type = &conf_path,
      CONF_FIELD(listener_tls_settings, client_ca),
      .doc = "The same as `client_auth.ca`.",
      .example = "/etc/wharfgate/clients-ca.pem" },
    { .key = "tickets",
      .type = &conf_bool,
      CONF_FIELD(listener_tls_settings, tickets),
      .preset = "true",
      .doc = "Let clients resume sessions by tickets; the keys are rotated." },
    { .key = "handshakes_per_address",
      .type = &conf_rate,
      CONF_FIELD(listener_tls_settings, handshake_count),
      .min = 1,
      .max = 1000000000,
      .preset_doc = "no limit",
      .doc = "How many handshakes one client address (IPv6: /64) may begin in how long, that many "
             "at once too, resumed ones included; further connections are reset before theirs.",
      .example = "20/s" },
    { 0 },
};

static const struct conf_section listener_tls_section = {
    .title = "listeners.NAME.tls",
    .what = "`tls` of a listener",
    .intro = "TLS towards clients. It needs `certificates` or `self_signed: true`. Certificates "
             "are read again when their files change.",
    .example = "listeners:\n"
               "  secure:\n"
               "    address: \":8443\"\n"
               "    tls:\n"
               "      certificates:\n"
               "        - { cert: /etc/wharfgate/example.pem, key: /etc/wharfgate/example.key }\n"
               "      profile: modern\n"
               "      tickets: false\n",
    .size = sizeof(struct listener_tls_settings),
    .rows = listener_tls_rows,
    .has_place = true,
    .end = conf_check_listener_tls,
};

static const struct conf_choice redirects[] = { { "https", true }, { "off", false }, { NULL, 0 } };

static const struct conf_choice http2_modes[] = {
    { "auto", HTTP2_AUTO }, { "on", HTTP2_ON }, { "off", HTTP2_OFF }, { NULL, 0 }
};

_Static_assert(offsetof(struct listener_tls_settings, handshake_period) ==
                   offsetof(struct listener_tls_settings, handshake_count) + sizeof(uint64_t),
               "conf_rate writes both");

static const struct conf_row listener_name = {
    .key = "name",
    .type = &conf_name,
    CONF_FIELD(listener_settings, name),
};

static const struct conf_row listener_rows[] = {
    { .key = "address",
      .shape = CONF_MANY,
      .type = &conf_listen_address,
      CONF_FIELD(listener_settings, addresses),
      .flags = CONF_REQUIRED | CONF_NOT_EMPTY,
      .doc = "Where to listen; `:443` is every address, IPv4 and IPv6.",
      .example = "\":443\"" },
    { .key = "redirect",
      .type = &conf_enum,
      .choices = redirects,
      CONF_FIELD(listener_settings, redirects_https),
      .preset = "off",
      .doc = "Answer every request with a redirect to the same URL by HTTPS." },
    { .key = "redirect_port",
      .type = &conf_count,
      .min = 1,
      .max = 65535,
      CONF_FIELD(listener_settings, redirect_port),
      .preset_doc = "that of the first listener with TLS",
      .doc = "The port of that URL.",
      .example = "8443" },
    { .key = "tls",
      .shape = CONF_OPTIONAL,
      .section = &listener_tls_section,
      CONF_FIELD(listener_settings, tls),
      .preset_doc = "plain HTTP",
      .doc = "TLS on this listener." },
    { .key = "http2",
      .type = &conf_enum,
      .choices = http2_modes,
      CONF_FIELD(listener_settings, http2),
      .preset = "auto",
      .doc = "HTTP/2: with TLS, for clients that offer it (`auto`); without TLS too, by prior "
             "knowledge (`on`; `Upgrade: h2c` is ignored); never (`off`)." },
    { .key = "accept_proxy_protocol",
      .shape = CONF_MANY,
      .type = &conf_cidr,
      CONF_FIELD(listener_settings, accept_proxy_protocol),
      .doc = "Networks whose connections begin with a PROXY protocol header (v1 or v2).",
      .example = "[10.0.0.0/8]" },
    { .key = "trusted_proxies",
      .shape = CONF_MANY,
      .type = &conf_cidr,
      CONF_FIELD(listener_settings, trusted_proxies),
      .doc = "Networks whose `X-Forwarded-*` and `X-Request-Id` are believed; all others' are "
             "replaced.",
      .example = "[10.0.0.0/8, unix]" },
    { .key = "max_connections",
      .type = &conf_count,
      .min = 1,
      .max = 4000000,
      .zero = "unlimited",
      CONF_FIELD(listener_settings, max_connections),
      .preset = "unlimited",
      .doc = "Connections at once on this listener, below `limits.max_connections`." },
    { .key = "max_connections_per_address",
      .type = &conf_count,
      .min = 1,
      .max = 1000000,
      .zero = "unlimited",
      CONF_FIELD(listener_settings, max_connections_per_address),
      .preset = "unlimited",
      .doc = "Connections at once of one client address (IPv6: /64), PROXY's where there is one; "
             "further ones are reset. An office or a mobile network may be one address: leave "
             "room for all of it." },
    { 0 },
};

const struct conf_section conf_listener_section = {
    .title = "listeners",
    .what = "a listener",
    .intro = "Where clients connect. Each listener has a name; routes may be bound to some of "
             "them by it.",
    .example = "listeners:\n"
               "  http:\n"
               "    address: \":80\"\n"
               "    redirect: https\n"
               "  https:\n"
               "    address: [\":443\", \"unix:/run/wharfgate/https.sock\"]\n"
               "    tls:\n"
               "      certificates: [{ cert: /etc/wharfgate/example.pem }]\n"
               "    trusted_proxies: [10.0.0.0/8]\n"
               "    max_connections: 20000\n",
    .size = sizeof(struct listener_settings),
    .rows = listener_rows,
    .name = &listener_name,
    .has_place = true,
};
