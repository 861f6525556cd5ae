/* SPDX-License-Identifier: Apache-2.0
 *
 * The kinds of scalars that rows use, and the tables' root.
 */
#pragma once

#include "conf/schema.h"

/* types.c */
extern const struct conf_type conf_bool;
extern const struct conf_type conf_count;
extern const struct conf_type conf_duration;
extern const struct conf_type conf_size;
extern const struct conf_type conf_rate; /* the field is a rate_count, rate_period follows */
extern const struct conf_type conf_enum; /* an int, a bool or a text: by the row's size */
extern const struct conf_type conf_text;
extern const struct conf_type conf_name;
extern const struct conf_type conf_label; /* a route's name */
extern const struct conf_type conf_path;
extern const struct conf_type conf_log_target;
extern const struct conf_type conf_admin_socket;

/* types_http.c */
extern const struct conf_type conf_listen_address;
extern const struct conf_type conf_admin_address;
extern const struct conf_type conf_server_address;
extern const struct conf_type conf_cidr;
extern const struct conf_type conf_authority;
extern const struct conf_type conf_host_name;
extern const struct conf_type conf_host;
extern const struct conf_type conf_regex;
extern const struct conf_type conf_match_path;
extern const struct conf_type conf_url_path;
extern const struct conf_type conf_file_name;
extern const struct conf_type conf_file_pattern;
extern const struct conf_type conf_method;
extern const struct conf_type conf_upgrade;
extern const struct conf_type conf_coding;
extern const struct conf_type conf_media_type;
extern const struct conf_type conf_field_name;
extern const struct conf_type conf_field_value;
extern const struct conf_type conf_request_value; /* with variables: template.h */
extern const struct conf_type conf_response_value;
extern const struct conf_type conf_csp;
extern const struct conf_type conf_request_field; /* a name that may be edited */
extern const struct conf_type conf_response_field;
extern const struct conf_type conf_query_name;
extern const struct conf_type conf_condition;
extern const struct conf_type conf_target;

/* types_upstream.c */
extern const struct conf_type conf_percent; /* a uint32_t */
extern const struct conf_type conf_status;
extern const struct conf_type conf_retry;
extern const struct conf_type conf_key;       /* of balancing */
extern const struct conf_type conf_limit_key; /* of limits: more kinds */
extern const struct conf_type conf_cookie_name;
extern const struct conf_type conf_dns_name;
extern const struct conf_type conf_dns_server;
extern const struct conf_type conf_docker_endpoint;
extern const struct conf_type conf_request_target;
extern const struct conf_type conf_redis_url;

/* tables.c */
extern const struct conf_section conf_listener_section;
/* tables_upstream.c */
extern const struct conf_section conf_upstream_section;
extern const struct conf_section conf_upstream_tls_section;
/* tables_health.c */
extern const struct conf_section conf_balance_section;
extern const struct conf_section conf_health_check_section;
extern const struct conf_section conf_ejection_section;
extern const struct conf_section conf_upstream_limits_section;
/* tables_limits.c */
extern const struct conf_section conf_rate_limit_section;
extern const struct conf_section conf_concurrency_limit_section;
extern const struct conf_section conf_stores_section;
extern const struct conf_section conf_redis_section;
/* tables_route.c */
extern const struct conf_section conf_defaults_section;
extern const struct conf_section conf_route_section;
extern const struct conf_section conf_match_section;
/* tables_compress.c */
extern const struct conf_section conf_compress_section;
/* tables_files.c */
extern const struct conf_section conf_files_section;
/* tables_headers.c */
extern const struct conf_section conf_headers_section;
extern const struct conf_section conf_security_section;
/* tables_maintenance.c */
extern const struct conf_section conf_maintenance_section;
/* tables_rewrite.c */
extern const struct conf_section conf_redirect_section;
extern const struct conf_section conf_rewrite_section;
extern const struct conf_choice  conf_trailing_slashes[];
/* tables_root.c */
extern const struct conf_section conf_timeouts_section;
extern const struct conf_section conf_dns_section;           /* discovery.dns */
extern const struct conf_section conf_docker_daemon_section; /* discovery.docker */
extern const struct conf_section conf_root_section;

/* Does the status fit a text that conf_status has read? */
bool conf_status_fits(struct slice pattern, unsigned status);
/* The bit of enum setting_retry that a text of conf_retry stands for. */
unsigned conf_retry_bit(struct slice condition);
/* "header:X-User" -> KEY_HEADER, X-User. False when it is no key. */
bool conf_split_key(struct slice key, enum setting_key *kind, struct slice *name);

/* What stands in stores.redis.url; texts in the arena. */
struct conf_redis_url {
    struct slice host; /* or, where its port is 0, the path of a Unix socket */
    uint16_t     port;
    uint32_t     database;
    struct slice username, password; /* decoded; or unset */
    bool         is_tls;
};
/* NULL, or what is wrong with it. */
const char *conf_parse_redis_url(struct slice text, struct arena *a, struct conf_redis_url *url);

/* What other programs take for `true` and `false`, for hints. */
bool conf_is_yes(struct slice text);
bool conf_is_no(struct slice text);
/* A type's read() for texts: stores a copy. */
bool conf_store_text(struct conf_parser *p, struct slice text, void *field);
/* A type's write() for texts. */
void conf_write_text(const struct conf_row *row, const void *field, struct buffer *to);
/* `path`, which stands in `file`, made absolute; normalised by its letters. */
struct slice conf_path_beside(struct arena *a, const char *file, struct slice path);
