/* SPDX-License-Identifier: Apache-2.0
 *
 * Parsing of HTTP/1 heads. See h1_parse.h; docs/design/http1.md has the decision
 * on each input that may be read in two ways.
 */
#include "http/h1_parse.h"

#include <arpa/inet.h>

#include "http/scan.h"
#include "http/uri.h"

/* Does an empty line begin at `p`, just after a LF? */
static size_t empty_line(const char *p, const char *end)
{
    if (p < end && p[0] == '\n') return 1;
    return end - p >= 2 && p[0] == '\r' && p[1] == '\n' ? 2 : 0;
}

size_t h1_head_length(const char *data, size_t len, size_t from)
{
    const char *end = data + len;
    const char *p = data + (from > 2 ? from - 2 : 0);
#if defined(__SSE2__)
    const __m128i lf = _mm_set1_epi8('\n');
    const __m128i cr = _mm_set1_epi8('\r');
    for (; end - p > 16; p += 16) {
        __m128i  next = scan_load(p + 1);
        __m128i  ends = _mm_or_si128(_mm_cmpeq_epi8(next, lf), _mm_cmpeq_epi8(next, cr));
        unsigned found =
            (unsigned)_mm_movemask_epi8(_mm_and_si128(_mm_cmpeq_epi8(scan_load(p), lf), ends));
        for (; found; found &= found - 1) {
            const char *at = p + __builtin_ctz(found) + 1;
            size_t      n = empty_line(at, end);
            if (n) return (size_t)(at - data) + n;
        }
    }
#endif
    for (; p < end; p++) {
        size_t n = *p == '\n' ? empty_line(p + 1, end) : 0;
        if (n) return (size_t)(p + 1 - data) + n;
    }
    return 0;
}

size_t h1_trailers_length(const char *data, size_t len, size_t from)
{
    size_t n = len ? empty_line(data, data + len) : 0;
    return n ? n : h1_head_length(data, len, from);
}

/* ---- field lines ---- */

static inline bool is_crlf(const char *p)
{
    uint16_t two;
    memcpy(&two, p, sizeof(two));
    return two == htons('\r' << 8 | '\n');
}

/* Why the byte cannot stand where it does. */
static bool refuse_byte(char c, const char *otherwise, struct http_fault *f)
{
    return http_refuse(f, 400, c == '\n' ? "bare_lf" : c == '\r' ? "bare_cr" : otherwise);
}

/* http_fields_add() without a call while there is room. */
static inline void fields_put(struct http_fields *f, struct arena *a, enum http_field_id id,
                              struct slice name, struct slice value)
{
    if (f->count == f->capacity) {
        http_fields_add(f, a, id, name, value);
        return;
    }
    struct http_field *field = &f->items[f->count++];
    field->name = name;
    field->value = value;
    field->id = (uint16_t)id;
    field->is_dropped = false;
    f->present |= UINT64_C(1) << id;
}

static inline bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* What is wrong with a line that does not begin with a name and ":". */
static bool refuse_name(const char *p, struct http_fault *f)
{
    if (is_blank(*p)) return http_refuse(f, 400, "obs_fold");
    while (http_char_is(*p, CHAR_TOKEN)) p++;
    bool has_blank = is_blank(*p);
    while (is_blank(*p)) p++;
    if (has_blank && *p == ':') return http_refuse(f, 400, "space_before_colon");
    if (*p == '\r' && p[1] == '\n') return http_refuse(f, 400, "bad_field_name");
    return refuse_byte(*p, "bad_field_name", f);
}

/* Looks at a name that is not known. *is_kept: programs in the manner of CGI
 * cannot tell "_" from "-", so that names with it are not passed on. */
static bool check_name(struct slice name, bool *is_kept)
{
    size_t i = 0;
    while (i < name.len && http_char_is(name.data[i], CHAR_NAME)) i++;
    *is_kept = i == name.len;
    return *is_kept ? name.len != 0 : http_is_token(name);
}

/* The value from `p`, which is after the colon. Returns the byte after its line,
 * or NULL. */
static inline const char *parse_value(const char *p, struct slice *value, struct http_fault *f)
{
    if (*p == ' ') p++;
    while (is_blank(*p)) p++;
    const char *end = scan_control(p);
    const char *next = end + 2;
    if (!is_crlf(end)) {
        refuse_byte(*end, "bad_field_value", f);
        return NULL;
    }
    if (is_blank(end[-1]))
        while (end > p && is_blank(end[-1])) end--;
    *value = slice_make(p, (size_t)(end - p));
    return next;
}

/* Field lines from `p` up to the empty line that ends the head, into `fields` while
 * there is room and one by one after that. Returns the byte after it, or NULL. */
static const char *parse_fields(struct http_fields *fields, const char *p, struct arena *a,
                                const struct http_limits *limits, struct http_fault *f)
{
    unsigned left = limits->header_count;
    for (; *p != '\r'; left--) {
        if (left == 0) {
            http_refuse(f, 431, "too_many_fields");
            return NULL;
        }
        struct slice       name = slice_make(p, (size_t)(scan_colon(p) - p));
        enum http_field_id id = http_name_lookup(name.data, name.len);
        bool               is_kept = true;
        if (id == FIELD_OTHER && !check_name(name, &is_kept)) {
            refuse_name(p, f);
            return NULL;
        }
        struct slice value;
        p = parse_value(p + name.len + 1, &value, f);
        if (!p) return NULL;
        if (is_kept) fields_put(fields, a, id, name, value);
    }
    if (is_crlf(p)) return p + 2;
    http_refuse(f, 400, "bare_cr");
    return NULL;
}

struct h1_message *h1_message_new(struct arena *a, size_t head_bytes)
{
    size_t             capacity = head_bytes / 32 + 8;
    struct h1_message *m;
    if (capacity > 64) capacity = 64;
    m = arena_alloc(a, sizeof(*m) + capacity * sizeof(struct http_field));
    *m = (struct h1_message){ 0 };
    m->head.fields.items = (struct http_field *)(void *)(m + 1);
    m->head.fields.capacity = (uint16_t)capacity;
    return m;
}

/* ---- request ---- */

static bool parse_method(struct http_head *head, const char **at, struct http_fault *f)
{
    const char *p = *at;
    while (http_char_is(*p, CHAR_TOKEN)) p++;
    head->method_name = slice_make(*at, (size_t)(p - *at));
    if (head->method_name.len == 0)
        return http_refuse(f, 400, *p == '\n' ? "bare_lf" : "bad_method");
    if (*p != ' ') return refuse_byte(*p == '\r' && p[1] == '\n' ? ' ' : *p, "bad_method", f);
    head->method = http_method_lookup(head->method_name);
    *at = p + 1;
    if (head->method == HTTP_CONNECT) return http_refuse(f, 405, "connect_refused");
    if (head->method == HTTP_TRACE) return http_refuse(f, 405, "trace_refused");
    return true;
}

/* "HTTP/" DIGIT "." DIGIT. Returns the byte after it, or NULL. */
static const char *parse_version(const char *p, struct h1_message *m, struct http_fault *f)
{
    if (memcmp(p, "HTTP/1.1", 8) == 0) {
        m->minor_version = 1;
        m->head.protocol = "HTTP/1.1";
        return p + 8;
    }
    if (memcmp(p, "HTTP/", 5) != 0 || p[5] < '0' || p[5] > '9' || p[6] != '.' || p[7] < '0' ||
        p[7] > '9') {
        http_refuse(f, 400, "bad_version");
        return NULL;
    }
    if (p[5] != '1') {
        http_refuse(f, 505, "unsupported_version");
        return NULL;
    }
    m->minor_version = p[7] != '0';
    m->head.protocol = m->minor_version ? "HTTP/1.1" : "HTTP/1.0";
    return p + 8;
}

/* RFC 9112 section 3.2.2. Cuts scheme and authority off the target. */
static bool parse_absolute_form(struct http_head *head, struct http_fault *f)
{
    struct slice target = head->target;
    size_t       scheme = slice_find(target, ':');
    head->scheme = slice_make(target.data, scheme);
    if (slice_eq_nocase(head->scheme, S("http")))
        head->scheme = S("http");
    else if (slice_eq_nocase(head->scheme, S("https")))
        head->scheme = S("https");
    else
        return http_refuse(f, 400, "bad_target");
    target = slice_from(target, scheme);
    if (!slice_starts_with(target, S("://"))) return http_refuse(f, 400, "bad_target");
    target = slice_from(target, 3);
    size_t n = 0;
    while (n < target.len && target.data[n] != '/' && target.data[n] != '?') n++;
    struct uri_authority authority;
    if (!uri_authority(slice_make(target.data, n), &authority))
        return http_refuse(f, 400, "bad_target");
    head->authority = authority.text;
    head->target = slice_from(target, n);
    return true;
}

static bool parse_target(struct http_head *head, struct arena *a, const struct http_limits *limits,
                         struct http_fault *f)
{
    if (head->target.data[0] == '/') return http_split_target(head, a, limits, f);
    if (slice_eq(head->target, S("*"))) {
        if (head->method != HTTP_OPTIONS) return http_refuse(f, 400, "bad_target");
        head->path = head->target;
        return true;
    }
    if (!parse_absolute_form(head, f)) return false;
    if (head->target.len == 0 && head->method == HTTP_OPTIONS) {
        head->target = head->path = S("*"); /* RFC 9112 section 3.2.4 */
        return true;
    }
    if (head->target.len == 0 || head->target.data[0] == '?') {
        char *to = arena_alloc(a, head->target.len + 1);
        to[0] = '/';
        if (head->target.len) memcpy(to + 1, head->target.data, head->target.len);
        head->target = slice_make(to, head->target.len + 1);
    }
    return http_split_target(head, a, limits, f);
}

/* Returns the byte after the request line, or NULL. */
static const char *parse_request_line(struct h1_message *m, const char *p, struct http_fault *f)
{
    struct http_head *head = &m->head;
    if (!parse_method(head, &p, f)) return NULL;
    const char *end = scan_not_vchar(p);
    head->target = slice_make(p, (size_t)(end - p));
    if (*end != ' ' || head->target.len == 0) {
        bool is_simple = end[0] == '\r' && end[1] == '\n' && head->target.len;
        if (is_simple)
            http_refuse(f, 400, "http_0_9");
        else
            refuse_byte(*end, "bad_target", f);
        return NULL;
    }
    p = parse_version(end + 1, m, f);
    if (!p) return NULL;
    if (p[0] == '\r' && p[1] == '\n') return p + 2;
    refuse_byte(p[0], "bad_version", f);
    return NULL;
}

/* RFC 9112 sections 6.1 and 6.3. */
static bool check_request_framing(struct h1_message *m, struct http_fault *f)
{
    const struct http_control *control = &m->control;
    if (control->is_chunked) {
        if (m->minor_version == 0) return http_refuse(f, 400, "transfer_encoding_in_http_1_0");
        if (control->content_length >= 0)
            return http_refuse(f, 400, "length_with_transfer_encoding");
    }
    m->head.body_bytes = control->is_chunked            ? -1
                         : control->content_length >= 0 ? control->content_length
                                                        : 0;
    if (m->minor_version == 0 || m->head.body_bytes == 0) m->head.expects_continue = false;
    if (m->minor_version == 0) m->head.upgrade = slice_make("", 0); /* RFC 9110 section 7.8 */
    return true;
}

static bool check_line_length(struct slice begun, const struct http_limits *limits,
                              struct http_fault *f)
{
    size_t most = limits->request_line_bytes + (size_t)2;
    if (begun.len < most || memchr(begun.data, '\n', most)) return true;
    return http_refuse(f, 414, "request_line_too_long");
}

bool h1_check_begun_request(struct slice begun, const struct http_limits *limits,
                            struct http_fault *f)
{
    if (!check_line_length(begun, limits, f)) return false;
    if (begun.len && !http_char_is(begun.data[0], CHAR_TOKEN))
        return http_refuse(f, 400, begun.data[0] == '\n' ? "bare_lf" : "bad_method");
    if (slice_find(begun, '\n') < begun.len) {
        struct h1_message scratch = { 0 };
        if (!parse_request_line(&scratch, begun.data, f)) return false;
    }
    return begun.len <= limits->header_bytes || http_refuse(f, 431, "head_too_large");
}

bool h1_parse_request(struct h1_message *m, struct slice text, struct arena *a,
                      const struct http_limits *limits, bool is_tls, struct http_fault *f)
{
    struct http_head *head = &m->head;
    if (!check_line_length(text, limits, f)) return false;
    const char *p = parse_request_line(m, text.data, f);
    if (!p) return false;
    if (text.len > limits->header_bytes) return http_refuse(f, 431, "head_too_large");
    p = parse_fields(&head->fields, p, a, limits, f);
    if (!p) return false;
    m->head_bytes = (size_t)(p - text.data);
    return http_control_take(head, &m->control, true, f) && parse_target(head, a, limits, f) &&
           http_check_host(head, &m->control, m->minor_version > 0, is_tls, f) &&
           check_request_framing(m, f);
}

/* ---- response ---- */

/* RFC 9112 section 4. The space before an absent reason may be absent too. */
static const char *parse_status_line(struct h1_message *m, const char *p, struct http_fault *f)
{
    static const char *const malformed = "bad_status_line";
    p = parse_version(p, m, f);
    http_refuse(f, 502, malformed);
    if (!p) return NULL;
    if (*p != ' ') return NULL;
    unsigned status = 0;
    for (p++; *p >= '0' && *p <= '9' && status < 1000; p++)
        status = status * 10 + (unsigned)(*p - '0');
    if (status < 100 || status > 599 || p[-4] != ' ') return NULL;
    m->head.status = (uint16_t)status;
    if (*p != ' ' && *p != '\r') return NULL;
    if (*p == ' ') p++;
    return parse_value(p, &m->head.reason, f);
}

/* RFC 9112 section 6.3, without what depends on the request. */
static bool check_response_framing(struct h1_message *m, struct http_fault *f)
{
    const struct http_control *control = &m->control;
    if (control->is_chunked) {
        if (m->minor_version == 0) return http_refuse(f, 502, "transfer_encoding_in_http_1_0");
        if (control->content_length >= 0)
            return http_refuse(f, 502, "length_with_transfer_encoding");
    }
    m->head.body_bytes = control->content_length;
    return true;
}

/* The first frame of HTTP/2 is SETTINGS, of stream 0 (RFC 9113 sections 4.1, 3.4). */
static const char *no_status_line(struct slice begun)
{
    const unsigned char *p = (const unsigned char *)begun.data;
    bool is_frame = begun.len >= 9 && !p[0] && p[3] == 4 && !p[5] && !p[6] && !p[7] && !p[8];
    return is_frame ? "speaks_http_2" : "bad_status_line";
}

bool h1_check_begun_response(struct slice begun, const struct http_limits *limits,
                             struct http_fault *f)
{
    struct slice expected = S("HTTP/1.");
    size_t       n = begun.len < expected.len ? begun.len : expected.len;
    if (memcmp(begun.data, expected.data, n) != 0)
        return http_refuse(f, 502, no_status_line(begun));
    return begun.len <= limits->header_bytes || http_refuse(f, 502, "head_too_large");
}

static bool parse_response(struct h1_message *m, struct slice text, struct arena *a,
                           const struct http_limits *limits, struct http_fault *f)
{
    const char *p = parse_status_line(m, text.data, f);
    if (!p) return false;
    if (text.len > limits->header_bytes) return http_refuse(f, 502, "head_too_large");
    p = parse_fields(&m->head.fields, p, a, limits, f);
    if (!p) return false;
    m->head_bytes = (size_t)(p - text.data);
    return http_control_take(&m->head, &m->control, false, f) && check_response_framing(m, f);
}

bool h1_parse_response(struct h1_message *m, struct slice text, struct arena *a,
                       const struct http_limits *limits, struct http_fault *f)
{
    if (parse_response(m, text, a, limits, f)) return true;
    f->status = 502;
    return false;
}

bool h1_parse_trailers(struct http_fields *trailers, struct slice text, struct arena *a,
                       const struct http_limits *limits, struct http_fault *f)
{
    if (!parse_fields(trailers, text.data, a, limits, f)) return false;
    http_trailers_clean(trailers);
    return true;
}
