/* SPDX-License-Identifier: Apache-2.0
 *
 * Header blocks of HTTP/2: what is refused, with which reason, and what the rest
 * makes. Fields are written "name=value|name=value".
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "http/h2_head.h"
#include "http/names.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define TARGET ":scheme=http|:authority=a.example|:path=/"
#define GET ":method=GET|" TARGET

static const struct http_limits limits = {
    .request_line_bytes = 60,
    .header_bytes = 400,
    .header_count = 5,
    .merges_slashes = true,
};

static void add_all(struct h2_head *h, enum h2_head_kind kind, struct slice fields)
{
    h2_head_begin(h, kind);
    while (fields.len) {
        struct slice field = slice_make(fields.data, slice_find(fields, '|'));
        size_t       equals = slice_find(field, '=');
        assert_true(equals < field.len);
        h2_head_add(h, slice_make(field.data, equals), slice_from(field, equals + 1), &limits);
        fields = slice_from(fields, field.len + (field.len < fields.len));
    }
}

static void put_fields(struct buffer *b, const struct http_fields *f)
{
    for (unsigned i = 0; i < f->count; i++) {
        const struct http_field *field = &f->items[i];
        if (field->is_dropped) continue;
        assert_int_equal(field->id, http_field_lookup(field->name));
        assert_true(f->present >> field->id & 1);
        buffer_printf(b, " %.*s=%.*s", SLICE_ARG(field->name), SLICE_ARG(field->value));
    }
}

/* ---- requests that are refused ---- */

struct refusal {
    const char  *what;
    struct slice fields;
    uint16_t     status;
    const char  *reason;
};

static const struct refusal bad_requests[] = {
    { "upper case", SLICE(GET "|Abc=x"), 400, "bad_field_name" },
    { "upper case at the end", SLICE(GET "|abC=x"), 400, "bad_field_name" },
    { "upper case of a known name", SLICE(GET "|Accept=x"), 400, "bad_field_name" },
    { "upper case and an underscore", SLICE(GET "|A_b=x"), 400, "bad_field_name" },
    { "no name", SLICE(GET "|=x"), 400, "bad_field_name" },
    { "blank in a name", SLICE(GET "|a b=x"), 400, "bad_field_name" },
    { "colon in a name", SLICE(GET "|a:b=x"), 400, "bad_field_name" },
    { "CR in a name", SLICE(GET "|a\rb=x"), 400, "bad_field_name" },
    { "LF in a name", SLICE(GET "|a\nb=x"), 400, "bad_field_name" },
    { "NUL in a name", SLICE(GET "|a\0b=x"), 400, "bad_field_name" },
    { "NUL after a known name", SLICE(GET "|accept\0=x"), 400, "bad_field_name" },
    { "obs-text in a name", SLICE(GET "|a\xe4=x"), 400, "bad_field_name" },
    { "CR in a value", SLICE(GET "|a=b\rc"), 400, "bad_field_value" },
    { "LF in a value", SLICE(GET "|a=b\nc"), 400, "bad_field_value" },
    { "CR LF at the end", SLICE(GET "|a=b\r\n"), 400, "bad_field_value" },
    { "a field within a value", SLICE(GET "|a=b\r\nhost: c"), 400, "bad_field_value" },
    { "NUL in a value", SLICE(GET "|a=b\0"), 400, "bad_field_value" },
    { "NUL alone", SLICE(GET "|a=\0"), 400, "bad_field_value" },
    { "DEL in a value", SLICE(GET "|a=b\x7f"), 400, "bad_field_value" },
    { "a control byte far within", SLICE(GET "|a=0123456789abcdef0123456789abcdef\x01z"), 400,
      "bad_field_value" },
    { "blank before", SLICE(GET "|a= b"), 400, "bad_field_value" },
    { "blank behind", SLICE(GET "|a=b "), 400, "bad_field_value" },
    { "tab before", SLICE(GET "|a=\tb"), 400, "bad_field_value" },
    { "tab behind", SLICE(GET "|a=b\t"), 400, "bad_field_value" },
    { "a blank alone", SLICE(GET "|a= "), 400, "bad_field_value" },
    { "connection", SLICE(GET "|connection=close"), 400, "connection_specific_field" },
    { "keep-alive", SLICE(GET "|keep-alive=timeout=5"), 400, "connection_specific_field" },
    { "proxy-connection", SLICE(GET "|proxy-connection=x"), 400, "connection_specific_field" },
    { "transfer-encoding", SLICE(GET "|transfer-encoding=chunked"), 400,
      "connection_specific_field" },
    { "upgrade", SLICE(GET "|upgrade=websocket"), 400, "connection_specific_field" },
    { "te", SLICE(GET "|te=gzip"), 400, "connection_specific_field" },
    { "te with more", SLICE(GET "|te=trailers, gzip"), 400, "connection_specific_field" },
    { "te empty", SLICE(GET "|te="), 400, "connection_specific_field" },

    { "pseudo-header unknown", SLICE(GET "|:x=y"), 400, "bad_pseudo_header" },
    { "pseudo-header unknown, late", SLICE(GET "|a=b|:x=y"), 400, "bad_pseudo_header" },
    { "pseudo-header in upper case", SLICE(":Method=GET|" TARGET), 400, "bad_pseudo_header" },
    { "a colon alone", SLICE(GET "|:=y"), 400, "bad_pseudo_header" },
    { ":status", SLICE(GET "|:status=200"), 400, "bad_pseudo_header" },
    { "pseudo-header doubled", SLICE(GET "|:method=GET"), 400, "duplicate_pseudo_header" },
    { "path doubled", SLICE(GET "|:path=/x"), 400, "duplicate_pseudo_header" },
    { "pseudo-header after a field", SLICE(":method=GET|a=b|" TARGET), 400,
      "pseudo_header_after_field" },
    { "no method", SLICE(TARGET), 400, "bad_method" },
    { "method empty", SLICE(":method=|" TARGET), 400, "bad_method" },
    { "method no token", SLICE(":method=G T|" TARGET), 400, "bad_method" },
    { "method with CR LF", SLICE(":method=GET / HTTP/1.1\r\nX: |" TARGET), 400, "bad_field_value" },
    { "no scheme", SLICE(":method=GET|:authority=a|:path=/"), 400, "missing_scheme" },
    { "scheme empty", SLICE(":method=GET|:scheme=|:authority=a|:path=/"), 400, "bad_scheme" },
    { "scheme unknown", SLICE(":method=GET|:scheme=ftp|:authority=a|:path=/"), 400, "bad_scheme" },
    { "no path", SLICE(":method=GET|:scheme=http|:authority=a"), 400, "bad_target" },
    { "path empty", SLICE(":method=GET|:scheme=http|:authority=a|:path="), 400, "bad_target" },
    { "path relative", SLICE(":method=GET|:scheme=http|:authority=a|:path=x"), 400, "bad_target" },
    { "path absolute", SLICE(":method=GET|:scheme=http|:authority=a|:path=http://a/"), 400,
      "bad_target" },
    { "path with a blank", SLICE(":method=GET|:scheme=http|:authority=a|:path=/a b"), 400,
      "bad_target" },
    { "path with a version", SLICE(":method=GET|:scheme=http|:authority=a|:path=/ HTTP/1.1"), 400,
      "bad_target" },
    { "path with LF", SLICE(":method=GET|:scheme=http|:authority=a|:path=/a\nb"), 400,
      "bad_field_value" },
    { "path with obs-text", SLICE(":method=GET|:scheme=http|:authority=a|:path=/\xe4"), 400,
      "bad_target" },
    { "path with a fragment", SLICE(":method=GET|:scheme=http|:authority=a|:path=/?a#b"), 400,
      "bad_target" },
    { "asterisk of GET", SLICE(":method=GET|:scheme=http|:authority=a|:path=*"), 400,
      "bad_target" },
    { "asterisk and more", SLICE(":method=OPTIONS|:scheme=http|:authority=a|:path=*a"), 400,
      "bad_target" },
    { "target too long",
      SLICE(":method=GET|:scheme=http|:authority=a|"
            ":path=/23456789012345678901234567890123456789012345678901234567X"),
      414, "request_line_too_long" },

    { "no host", SLICE(":method=GET|:scheme=http|:path=/"), 400, "missing_host" },
    { "authority empty", SLICE(":method=GET|:scheme=http|:authority=|:path=/"), 400, "bad_host" },
    { "user information", SLICE(":method=GET|:scheme=http|:authority=u@a|:path=/"), 400,
      "bad_host" },
    { "a path in the authority", SLICE(":method=GET|:scheme=http|:authority=a/b|:path=/"), 400,
      "bad_host" },
    { "port too large", SLICE(":method=GET|:scheme=http|:authority=a:65536|:path=/"), 400,
      "bad_host" },
    { "another host", SLICE(GET "|host=b.example"), 400, "host_mismatch" },
    { "another port", SLICE(GET "|host=a.example:81"), 400, "host_mismatch" },
    { "two hosts", SLICE(GET "|host=a.example|host=a.example"), 400, "duplicate_host" },
    { "user information in host", SLICE(":method=GET|:scheme=http|:path=/|host=u@a"), 400,
      "bad_host" },

    { "CONNECT", SLICE(":method=CONNECT|:authority=a:443"), 405, "connect_refused" },
    { "CONNECT as if GET", SLICE(":method=CONNECT|" TARGET), 405, "connect_refused" },
    { "TRACE", SLICE(":method=TRACE|" TARGET), 405, "trace_refused" },
    { ":protocol without CONNECT", SLICE(GET "|:protocol=websocket"), 400, "bad_pseudo_header" },
    { ":protocol no token", SLICE(":method=CONNECT|:protocol=a b|" TARGET), 400,
      "bad_pseudo_header" },
    { ":protocol empty", SLICE(":method=CONNECT|:protocol=|" TARGET), 400, "bad_pseudo_header" },
    { ":protocol without a path",
      SLICE(":method=CONNECT|:protocol=websocket|:scheme=https|:authority=a"), 400, "bad_target" },
    { "a tunnel without a body", SLICE(":method=CONNECT|:protocol=websocket|" TARGET), 400,
      "tunnel_without_body" },

    { "length without a body", SLICE(GET "|content-length=1"), 400, "body_shorter_than_length" },
    { "length no number", SLICE(GET "|content-length=1x"), 400, "bad_content_length" },
    { "length negative", SLICE(GET "|content-length=-1"), 400, "bad_content_length" },
    { "length empty", SLICE(GET "|content-length="), 400, "bad_content_length" },
    { "length doubled", SLICE(GET "|content-length=0|content-length=0"), 400,
      "bad_content_length" },
    { "length too large", SLICE(GET "|content-length=9223372036854775808"), 400,
      "bad_content_length" },
    { "expectation", SLICE(GET "|expect=tea"), 417, "unknown_expectation" },
    { "too many fields", SLICE(GET "|a=1|b=2|c=3|d=4|e=5|f=6"), 431, "too_many_fields" },
    { "the first fault counts", SLICE(GET "|Abc=x|a=b\r|:x=y"), 400, "bad_field_name" },
};

static void refuses_requests(void **state)
{
    struct h2_head h = { 0 };
    (void)state;
    for (size_t i = 0; i < COUNT(bad_requests); i++) {
        const struct refusal *c = &bad_requests[i];
        struct http_fault     fault = { 0 };
        struct arena          a;
        arena_init(&a, NULL);
        add_all(&h, H2_HEAD_REQUEST, c->fields);
        if (h2_head_request(&h, &a, &limits, false, false, &fault))
            fail_msg("%s: not refused", c->what);
        if (fault.status != c->status || strcmp(fault.reason, c->reason) != 0)
            fail_msg("%s: %u %s", c->what, fault.status, fault.reason);
        arena_reset(&a);
    }
    h2_head_reset(&h);
}

/* ---- requests that are understood ---- */

struct good {
    const char  *what;
    struct slice fields;
    bool         has_body;
    bool         is_tls;
    const char  *head;
};

static const struct good good_requests[] = {
    { "least", SLICE(GET), false, false, "GET GET / http a.example 0" },
    { "in any order", SLICE(":path=/a?b|:authority=a:81|:scheme=https|:method=PUT"), false, false,
      "PUT PUT /a?b https a:81 0" },
    { "unknown method", SLICE(":method=get|" TARGET), false, false,
      "OTHER get / http a.example 0" },
    { "scheme in any case", SLICE(":method=GET|:scheme=HTTPS|:authority=a|:path=/"), false, false,
      "GET GET / https a 0" },
    { "a path that has another form",
      SLICE(":method=GET|:scheme=http|:authority=a|:path=//%61/../b?"), false, false,
      "GET GET /b? http a 0" },
    { "asterisk", SLICE(":method=OPTIONS|:scheme=http|:authority=a|:path=*"), false, false,
      "OPTIONS OPTIONS * http a 0" },
    { "host alone", SLICE(":method=GET|:scheme=http|:path=/|host=a.example"), false, false,
      "GET GET / http a.example 0" },
    { "host the same", SLICE(GET "|host=A.Example:80"), false, false,
      "GET GET / http a.example 0" },
    { "host the same by TLS", SLICE(":method=GET|:scheme=https|:authority=a|:path=/|host=a:443"),
      false, true, "GET GET / https a 0" },
    { "empty port", SLICE(":method=GET|:scheme=http|:authority=a:|:path=/"), false, false,
      "GET GET / http a 0" },
    { "fields", SLICE(GET "|a=b|accept=*/*|empty=|x-y=a\tb \xe4"), false, false,
      "GET GET / http a.example 0 a=b accept=*/* empty= x-y=a\tb \xe4" },
    { "underscore", SLICE(GET "|a_b=1|c=2|d_e=x|f=3"), false, false,
      "GET GET / http a.example 0 c=2 f=3" },
    { "underscores count in no number", SLICE(GET "|_=1|_a=1|_b=1|_c=1|_d=1|_e=1|a=b"), false,
      false, "GET GET / http a.example 0 a=b" },
    { "five fields", SLICE(GET "|a=1|b=2|c=3|d=4|e=5"), false, false,
      "GET GET / http a.example 0 a=1 b=2 c=3 d=4 e=5" },
    { "te", SLICE(GET "|te=Trailers"), false, false, "GET GET / http a.example 0 trailers-ok" },
    { "body of unknown length", SLICE(":method=POST|" TARGET), true, false,
      "POST POST / http a.example -1" },
    { "body of a length", SLICE(":method=POST|" TARGET "|content-length=12"), true, false,
      "POST POST / http a.example 12" },
    { "length of nothing", SLICE(":method=POST|" TARGET "|content-length=0"), false, false,
      "POST POST / http a.example 0" },
    { "length of nothing, END_STREAM later", SLICE(":method=POST|" TARGET "|content-length=0"),
      true, false, "POST POST / http a.example 0" },
    { "expectation", SLICE(":method=POST|" TARGET "|expect=100-Continue"), true, false,
      "POST POST / http a.example -1 expects" },
    { "expectation of nothing", SLICE(GET "|expect=100-continue"), false, false,
      "GET GET / http a.example 0" },
    { "cookies", SLICE(GET "|cookie=a=1|x=y|cookie=b|cookie=c=3; d"), false, false,
      "GET GET / http a.example 0 cookie=a=1; b; c=3; d x=y" },
    { "one cookie", SLICE(GET "|cookie=a=1; b"), false, false,
      "GET GET / http a.example 0 cookie=a=1; b" },
    { "empty cookies", SLICE(GET "|cookie=|cookie="), false, false,
      "GET GET / http a.example 0 cookie=; " },
    { "a tunnel", SLICE(":method=CONNECT|:protocol=websocket|" TARGET "|origin=b"), true, false,
      "GET GET / http a.example 0 must-switch websocket origin=b" },
    { "a tunnel with a length",
      SLICE(":method=CONNECT|:protocol=websocket|" TARGET "|content-length=5"), true, false,
      "GET GET / http a.example 0 must-switch websocket" },
    { "fields of ours", SLICE(GET "|trailer=a|http2-settings=b"), false, false,
      "GET GET / http a.example 0" },
};

static void put_request(struct buffer *b, const struct http_head *head)
{
    struct slice name = head->method ? http_method_name(head->method) : S("OTHER");
    buffer_printf(b, "%.*s %.*s %.*s%s%.*s %.*s %.*s %lld", SLICE_ARG(name),
                  SLICE_ARG(head->method_name), SLICE_ARG(head->path), head->has_query ? "?" : "",
                  SLICE_ARG(head->query), SLICE_ARG(head->scheme), SLICE_ARG(head->authority),
                  (long long)head->body_bytes);
    if (head->expects_continue) buffer_puts(b, " expects");
    if (head->accepts_trailers) buffer_puts(b, " trailers-ok");
    if (head->must_switch) buffer_puts(b, " must-switch");
    if (head->upgrade.len) buffer_printf(b, " %.*s", SLICE_ARG(head->upgrade));
    put_fields(b, &head->fields);
}

static void understands_requests(void **state)
{
    struct h2_head h = { 0 };
    (void)state;
    for (size_t i = 0; i < COUNT(good_requests); i++) {
        const struct good *c = &good_requests[i];
        struct http_fault  fault = { 0 };
        struct buffer      got = BUFFER_INIT;
        struct arena       a;
        arena_init(&a, NULL);
        add_all(&h, H2_HEAD_REQUEST, c->fields);
        struct http_head *head = h2_head_request(&h, &a, &limits, c->has_body, c->is_tls, &fault);
        if (!head) fail_msg("%s: %u %s", c->what, fault.status, fault.reason);
        /* What was received may go: the head has its own. */
        if (h.text.len) memset(h.text.data, 'x', h.text.len);
        assert_string_equal(head->protocol, "HTTP/2.0");
        put_request(&got, head);
        if (strcmp(got.data, c->head) != 0)
            fail_msg("%s: \"%s\" is not \"%s\"", c->what, got.data, c->head);
        buffer_reset(&got);
        arena_reset(&a);
    }
    h2_head_reset(&h);
}

/* The block of one request leaves nothing for the next. */
static void knows_head_by_its_method(void **state)
{
    struct h2_head h = { 0 };
    (void)state;
    add_all(&h, H2_HEAD_REQUEST, S(":method=HEAD|" TARGET "|Bad=x"));
    assert_true(h2_head_is_of_head(&h));
    add_all(&h, H2_HEAD_REQUEST, S(TARGET));
    assert_false(h2_head_is_of_head(&h));
    add_all(&h, H2_HEAD_REQUEST, S(":method=HEADS|" TARGET));
    assert_false(h2_head_is_of_head(&h));
    h2_head_reset(&h);
}

/* ---- bounds ---- */

static const char *fault_of(struct h2_head *h)
{
    return h->fault.reason ? h->fault.reason : "";
}

static void bounds_heads_by_bytes(void **state)
{
    struct h2_head     h = { 0 };
    static const char  zeros[400] = { 0 };
    struct http_limits tight = limits;
    (void)state;
    tight.header_bytes = 45; /* ":method" "GET" and 4, twice 4 and 4, and 15 */
    h2_head_begin(&h, H2_HEAD_REQUEST);
    h2_head_add(&h, S(":method"), S("GET"), &tight);
    h2_head_add(&h, S("ab"), S("cd"), &tight);
    h2_head_add(&h, S("ab"), S("cd"), &tight);
    h2_head_add(&h, S("ab"), S("cde456789"), &tight);
    assert_string_equal(fault_of(&h), "");
    h2_head_add(&h, S("a"), S(""), &tight);
    assert_string_equal(fault_of(&h), "head_too_large");
    assert_int_equal(h.fault.status, 431);
    /* The rest is only counted, however much it is. */
    uint64_t before = h.list_bytes;
    size_t   text = h.text.len;
    for (unsigned i = 0; i < 1000; i++)
        h2_head_add(&h, S("x"), slice_make(zeros, sizeof(zeros)), &tight);
    assert_int_equal(h.list_bytes - before, 1000 * (sizeof(zeros) + 5));
    assert_int_equal(h.text.len, text);
    assert_string_equal(fault_of(&h), "head_too_large");
    /* Names with "_" count too. */
    h2_head_begin(&h, H2_HEAD_REQUEST);
    for (unsigned i = 0; i < 7; i++) h2_head_add(&h, S("_"), S("1"), &tight);
    assert_string_equal(fault_of(&h), "");
    h2_head_add(&h, S("_"), S("1"), &tight);
    assert_string_equal(fault_of(&h), "head_too_large");
    h2_head_reset(&h);
}

/* ---- where they lie ---- */

/* Fields that follow each other lie as lines of HTTP/1, without a gap. */
static void fields_lie_as_lines(void **state)
{
    struct h2_head    h = { 0 };
    struct http_fault fault;
    struct arena      a;
    (void)state;
    arena_init(&a, NULL);
    add_all(&h, H2_HEAD_REQUEST, S(GET "|a=b|x_y=gone|accept=*/*|empty=|c=0123456789abcdef0123"));
    struct http_head *head = h2_head_request(&h, &a, &limits, false, false, &fault);
    assert_non_null(head);
    static const char lines[] = "a: b\r\naccept: */*\r\nempty: \r\nc: 0123456789abcdef0123\r\n";
    assert_int_equal(head->fields.count, 4);
    assert_memory_equal(head->fields.items[0].name.data, lines, sizeof(lines) - 1);
    const char *at = head->fields.items[0].name.data;
    for (unsigned i = 0; i < 4; i++) {
        const struct http_field *f = &head->fields.items[i];
        assert_ptr_equal(f->name.data, at);
        assert_ptr_equal(f->value.data, at + f->name.len + 2);
        at = f->value.data + f->value.len + 2;
    }
    /* The scanning reads past the last one. */
    for (unsigned i = 0; i < HTTP_NAME_SLACK_BYTES; i++) assert_int_equal(at[i], 0);
    arena_reset(&a);
    h2_head_reset(&h);
}

/* More fields than there is room for at first, and a text that moves as it grows. */
static void many_fields(void **state)
{
    struct h2_head     h = { 0 };
    struct http_fault  fault;
    struct http_limits wide = limits;
    struct arena       a;
    char               name[16], value[600];
    (void)state;
    arena_init(&a, NULL);
    wide.header_bytes = 1 << 20;
    wide.header_count = 1000;
    add_all(&h, H2_HEAD_REQUEST, S(GET));
    memset(value, 'v', sizeof(value));
    for (unsigned i = 0; i < 1000; i++) {
        int len = snprintf(name, sizeof(name), "n%u", i);
        h2_head_add(&h, slice_make(name, (size_t)len), slice_make(value, i % sizeof(value)), &wide);
    }
    struct http_head *head = h2_head_request(&h, &a, &wide, false, false, &fault);
    assert_non_null(head);
    assert_int_equal(head->fields.count, 1000);
    assert_true(slice_eq(head->fields.items[999].name, S("n999")));
    for (unsigned i = 0; i < 1000; i++)
        assert_int_equal(head->fields.items[i].value.len, i % sizeof(value));
    assert_true(slice_eq(head->authority, S("a.example")));
    /* Nothing of it is kept for a small one. */
    h2_head_begin(&h, H2_HEAD_REQUEST);
    assert_int_equal(h.text.capacity, 0);
    arena_reset(&a);
    h2_head_reset(&h);
}

/* ---- responses and trailers ---- */

static const struct {
    const char  *what;
    struct slice fields;
    uint16_t     status; /* 0: refused */
    int64_t      body_bytes;
    const char  *reason; /* or the fields */
} responses[] = {
    { "least", SLICE(":status=200"), 200, -1, "" },
    { "length", SLICE(":status=404|content-length=7|a=b"), 404, 7, " a=b" },
    { "informational", SLICE(":status=103|link=x"), 103, -1, " link=x" },
    { "unregistered", SLICE(":status=599"), 599, -1, "" },
    { "underscore", SLICE(":status=200|a_b=c|d=e"), 200, -1, " d=e" },
    { "set-cookie stays apart", SLICE(":status=200|set-cookie=a|set-cookie=b"), 200, -1,
      " set-cookie=a set-cookie=b" },
    { "none", SLICE("a=b"), 0, 0, "bad_status_line" },
    { "nothing at all", SLICE(""), 0, 0, "bad_status_line" },
    { "empty", SLICE(":status="), 0, 0, "bad_status_line" },
    { "two digits", SLICE(":status=20"), 0, 0, "bad_status_line" },
    { "four digits", SLICE(":status=2000"), 0, 0, "bad_status_line" },
    { "no digits", SLICE(":status=2x0"), 0, 0, "bad_status_line" },
    { "with a phrase", SLICE(":status=200 OK"), 0, 0, "bad_status_line" },
    { "too small", SLICE(":status=099"), 0, 0, "bad_status_line" },
    { "too large", SLICE(":status=600"), 0, 0, "bad_status_line" },
    { "101", SLICE(":status=101"), 0, 0, "bad_status_line" },
    { "doubled", SLICE(":status=200|:status=200"), 0, 0, "duplicate_pseudo_header" },
    { "late", SLICE("a=b|:status=200"), 0, 0, "pseudo_header_after_field" },
    { "of a request", SLICE(":status=200|:path=/"), 0, 0, "bad_pseudo_header" },
    { "upper case", SLICE(":status=200|Server=x"), 0, 0, "bad_field_name" },
    { "connection", SLICE(":status=200|connection=close"), 0, 0, "connection_specific_field" },
    { "transfer-encoding", SLICE(":status=200|transfer-encoding=chunked"), 0, 0,
      "connection_specific_field" },
    { "CR LF", SLICE(":status=200|a=b\r\nc"), 0, 0, "bad_field_value" },
    { "length no number", SLICE(":status=200|content-length=x"), 0, 0, "bad_content_length" },
    { "length doubled", SLICE(":status=200|content-length=1|content-length=2"), 0, 0,
      "bad_content_length" },
    { "too many", SLICE(":status=200|a=1|a=2|a=3|a=4|a=5|a=6"), 0, 0, "too_many_fields" },
};

static void response_heads(void **state)
{
    struct h2_head h = { 0 };
    (void)state;
    for (size_t i = 0; i < COUNT(responses); i++) {
        struct http_fault fault = { 0 };
        struct buffer     got = BUFFER_INIT;
        struct arena      a;
        arena_init(&a, NULL);
        add_all(&h, H2_HEAD_RESPONSE, responses[i].fields);
        struct http_head *head = h2_head_response(&h, &a, &fault);
        if (!head != !responses[i].status) fail_msg("%s: %s", responses[i].what, fault.reason);
        buffer_puts(&got, head ? "" : fault.reason);
        if (head) {
            put_fields(&got, &head->fields);
            assert_int_equal(head->status, responses[i].status);
            assert_int_equal(head->body_bytes, responses[i].body_bytes);
        }
        if (!slice_eq(buffer_slice(&got), slice_of(responses[i].reason)))
            fail_msg("%s:%.*s", responses[i].what, (int)got.len, got.data);
        buffer_reset(&got);
        arena_reset(&a);
    }
    h2_head_reset(&h);
}

static const struct {
    struct slice fields;
    const char  *trailers; /* NULL: refused */
    const char  *reason;
} trailer_cases[] = {
    { SLICE("grpc-status=0|x_y=1|grpc-message="), " grpc-status=0 grpc-message=", NULL },
    { SLICE(""), "", NULL },
    { SLICE("content-length=5|host=a|a=b"), " a=b", NULL },
    { SLICE("cookie=a|cookie=b|x-forwarded-for=c|authorization=d"), "", NULL },
    { SLICE("te=trailers|trailer=x|a=b"), " a=b", NULL },
    { SLICE("x-client-cert-subject=a|age=1|a=b"), " a=b", NULL },
    { SLICE(":status=200"), NULL, "bad_pseudo_header" },
    { SLICE("a=b|:path=/"), NULL, "bad_pseudo_header" },
    { SLICE("A=b"), NULL, "bad_field_name" },
    { SLICE("a=b\n"), NULL, "bad_field_value" },
    { SLICE("transfer-encoding=chunked"), NULL, "connection_specific_field" },
    { SLICE("a=1|b=2|c=3|d=4|e=5|f=6"), NULL, "too_many_fields" },
};

static void trailers(void **state)
{
    struct h2_head h = { 0 };
    (void)state;
    for (size_t i = 0; i < COUNT(trailer_cases); i++) {
        struct http_fault fault = { 0 };
        struct buffer     got = BUFFER_INIT;
        struct arena      a;
        arena_init(&a, NULL);
        add_all(&h, H2_HEAD_TRAILERS, trailer_cases[i].fields);
        struct http_fields *f = h2_head_trailers(&h, &a, &fault);
        if (trailer_cases[i].trailers) {
            assert_non_null(f);
            put_fields(&got, f);
            assert_true(slice_eq(buffer_slice(&got), slice_of(trailer_cases[i].trailers)));
        } else {
            assert_null(f);
            assert_string_equal(fault.reason, trailer_cases[i].reason);
        }
        buffer_reset(&got);
        arena_reset(&a);
    }
    h2_head_reset(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_requests),         cmocka_unit_test(understands_requests),
        cmocka_unit_test(knows_head_by_its_method), cmocka_unit_test(bounds_heads_by_bytes),
        cmocka_unit_test(fields_lie_as_lines),      cmocka_unit_test(many_fields),
        cmocka_unit_test(response_heads),           cmocka_unit_test(trailers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
