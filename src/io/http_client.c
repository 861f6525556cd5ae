/* SPDX-License-Identifier: Apache-2.0
 *
 * HTTP calls by libcurl. See http_client.h.
 *
 * What libcurl says in its callbacks is only noted (on_header_line, on_body); the
 * owner is told after libcurl has returned, so that it may start and cancel calls,
 * and free the client. What lies between is what libcurl reads in one go.
 *
 *     libcurl -> on_header_line, on_body -> call's buffers, client's `news`
 *     http_channel: on_step -> tell_news() -> on_field, on_head, on_data, on_done
 */
#include "io/http_client.h"

#include <limits.h>
#include <stdlib.h>

#include "base/buffer.h"
#include "base/memory.h"
#include "io/http_channel.h"
#include "io/http_trouble.h"

enum {
    HEAD_MAX_BYTES = 64 * 1024,
    KEEPALIVE_IDLE_S = 30, /* a peer that is gone is noticed on a stream that says nothing */
    KEEPALIVE_STEP_S = 10,
};

struct http_client {
    struct loop         *loop;
    struct http_channel *channel;
    struct list          calls;
    struct list          news;    /* calls whose owner has something to be told */
    struct http_call    *telling; /* whose owner is being told; not freed meanwhile */
    struct job           end;     /* frees the client, when that was asked for meanwhile */
    bool                 must_end;
};

struct http_call {
    struct list          link;
    struct list          news_link;
    struct http_client  *client;
    CURL                *easy;
    struct curl_slist   *headers;
    struct http_call_ops ops;
    void                *arg;
    char                *place, *ca, *cert, *key; /* for people */
    size_t               body_max;
    size_t               body_bytes; /* so far */
    struct buffer        head;       /* lines of the response's head, not told yet */
    struct buffer        data;       /* of its body, the same */
    struct http_trouble  trouble;
    struct error         why; /* ours, or libcurl's in words */
    unsigned             status;
    bool                 is_head_told;
    bool                 is_done;
    bool                 is_cancelled;
    char                 text[CURL_ERROR_SIZE];
};

unsigned http_call_status(const struct http_call *c)
{
    return c->status;
}

/* ---- what libcurl says ---- */

static void note_news(struct http_call *c)
{
    if (list_is_empty(&c->news_link)) list_append(&c->client->news, &c->news_link);
}

static void end_head(struct http_call *c)
{
    long status = 0;
    curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
    if (status < 200 && status != 101) {
        c->head.len = 0; /* 100 Continue and its like: another head follows */
        return;
    }
    c->status = (unsigned)status;
    c->trouble.has_head = true;
    note_news(c);
}

/* A line with its end; trailers come here as well. Taking less than all ends the call. */
static size_t on_header_line(char *data, size_t size, size_t count, void *arg)
{
    struct http_call *c = arg;
    size_t            len = size * count;
    if (c->status) return len;
    if (len > HEAD_MAX_BYTES - c->head.len) {
        error_set(&c->why, "the answer's head is longer than %d bytes", HEAD_MAX_BYTES);
        return 0;
    }
    if (data[0] == '\r' || data[0] == '\n')
        end_head(c);
    else
        buffer_put(&c->head, data, len);
    return len;
}

static size_t on_body(char *data, size_t size, size_t count, void *arg)
{
    struct http_call *c = arg;
    size_t            len = size * count;
    if (c->body_max && len > c->body_max - c->body_bytes) {
        error_set(&c->why, "the answer is longer than %zu bytes", c->body_max);
        return 0;
    }
    c->body_bytes += len;
    buffer_put(&c->data, data, len);
    note_news(c);
    return len;
}

static void note_end(struct http_call *c, CURLcode code)
{
    c->is_done = true;
    c->trouble.code = code;
    if (code != CURLE_OK && !*c->why.text) http_trouble_tell(&c->trouble, &c->why);
    note_news(c);
}

static void read_ends(struct http_client *h)
{
    int            left;
    const CURLMsg *m;
    while ((m = curl_multi_info_read(http_channel_multi(h->channel), &left))) {
        char *call = NULL;
        if (m->msg != CURLMSG_DONE) continue;
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &call);
        note_end((struct http_call *)(void *)call, m->data.result);
    }
}

/* ---- telling the owner ---- */

static struct slice trim(struct slice s)
{
    while (s.len && strchr(" \t\r\n", s.data[0])) s = slice_from(s, 1);
    while (s.len && strchr(" \t\r\n", s.data[s.len - 1])) s.len--;
    return s;
}

static void tell_fields(struct http_call *c)
{
    struct slice rest = buffer_slice(&c->head);
    while (rest.len && !c->is_cancelled) {
        size_t       end = slice_find(rest, '\n');
        struct slice line = slice_make(rest.data, end);
        size_t       colon = slice_find(line, ':');
        rest = slice_from(rest, end < rest.len ? end + 1 : end);
        if (colon == line.len || !c->ops.on_field) continue; /* the status line */
        c->ops.on_field(c, trim(slice_make(line.data, colon)), trim(slice_from(line, colon + 1)),
                        c->arg);
    }
}

static void tell(struct http_call *c)
{
    if (c->status && !c->is_head_told) {
        c->is_head_told = true;
        tell_fields(c);
        buffer_reset(&c->head);
        if (!c->is_cancelled && c->ops.on_head) c->ops.on_head(c, c->status, c->arg);
    }
    if (!c->is_cancelled && c->data.len) c->ops.on_data(c, buffer_slice(&c->data), c->arg);
    buffer_reset(&c->data);
    if (!c->is_cancelled && c->is_done)
        c->ops.on_done(c, *c->why.text ? c->why.text : NULL, c->arg);
}

static void free_call(struct http_call *c)
{
    curl_multi_remove_handle(http_channel_multi(c->client->channel), c->easy);
    curl_easy_cleanup(c->easy);
    curl_slist_free_all(c->headers);
    list_remove(&c->link);
    list_remove(&c->news_link);
    buffer_reset(&c->head);
    buffer_reset(&c->data);
    free(c->place);
    free(c->ca);
    free(c->cert);
    free(c->key);
    free(c);
}

static void on_step(void *arg)
{
    struct http_client *h = arg;
    read_ends(h);
    while (!list_is_empty(&h->news)) {
        struct http_call *c = container_of(h->news.next, struct http_call, news_link);
        list_remove(&c->news_link);
        h->telling = c;
        tell(c);
        h->telling = NULL;
        if (c->is_cancelled || c->is_done) free_call(c);
    }
    if (h->must_end) job_queue(h->loop, &h->end);
}

/* ---- calls ---- */

static const char *place_of(const struct http_endpoint *e)
{
    const char *authority = strstr(e->base, "://");
    if (e->unix_socket) return e->unix_socket;
    return authority ? authority + 3 : e->base;
}

static void keep_names(struct http_call *c, const struct http_endpoint *e)
{
    c->place = mem_strdup(place_of(e));
    c->ca = e->ca ? mem_strdup(e->ca) : NULL;
    c->cert = e->cert ? mem_strdup(e->cert) : NULL;
    c->key = e->key ? mem_strdup(e->key) : NULL;
}

static void set_url(struct http_call *c, const struct http_call_options *o)
{
    struct buffer url = BUFFER_INIT;
    buffer_printf(&url, "%s%s", o->endpoint->base, o->target);
    curl_easy_setopt(c->easy, CURLOPT_URL, url.data);
    buffer_reset(&url);
    for (const char *const *h = o->headers; h && *h; h++) {
        struct curl_slist *more = curl_slist_append(c->headers, *h);
        if (!more) abort();
        c->headers = more;
    }
    curl_easy_setopt(c->easy, CURLOPT_HTTPHEADER, c->headers);
}

/* What differs between versions of libcurl. */
static void set_new_options(CURL *easy, const struct http_endpoint *e)
{
#if LIBCURL_VERSION_NUM >= 0x075500
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
#else
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
#if LIBCURL_VERSION_NUM >= 0x075700
    /* A thread that looks up a name is left to itself; before, it was waited for. */
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
    /* Authorities in a file may be others tomorrow. */
    if (e->ca) curl_easy_setopt(easy, CURLOPT_CA_CACHE_TIMEOUT, 0L);
#else
    (void)e;
#endif
}

static void set_way(CURL *easy, const struct http_endpoint *e)
{
    curl_easy_setopt(easy, CURLOPT_PROXY, ""); /* not the environment's */
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
    set_new_options(easy, e);
    if (e->ca) {
        curl_easy_setopt(easy, CURLOPT_CAINFO, e->ca);
        curl_easy_setopt(easy, CURLOPT_CAPATH, NULL); /* these alone */
    }
    if (e->cert) curl_easy_setopt(easy, CURLOPT_SSLCERT, e->cert);
    if (e->key) curl_easy_setopt(easy, CURLOPT_SSLKEY, e->key);
    if (e->unix_socket) {
        curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, e->unix_socket);
        return;
    }
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPIDLE, (long)KEEPALIVE_IDLE_S);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPINTVL, (long)KEEPALIVE_STEP_S);
}

static long bounded(uint64_t ms)
{
    return ms > INT_MAX ? INT_MAX : (long)ms;
}

static void set_rest(struct http_call *c, const struct http_call_options *o)
{
    curl_easy_setopt(c->easy, CURLOPT_CONNECTTIMEOUT_MS, bounded(o->connect_ms));
    curl_easy_setopt(c->easy, CURLOPT_TIMEOUT_MS, bounded(o->total_ms));
    curl_easy_setopt(c->easy, CURLOPT_PRIVATE, c);
    curl_easy_setopt(c->easy, CURLOPT_ERRORBUFFER, c->text);
    curl_easy_setopt(c->easy, CURLOPT_HEADERFUNCTION, on_header_line);
    curl_easy_setopt(c->easy, CURLOPT_HEADERDATA, c);
    curl_easy_setopt(c->easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(c->easy, CURLOPT_WRITEDATA, c);
}

struct http_call *http_call_start(struct http_client *h, const struct http_call_options *o,
                                  const struct http_call_ops *ops, void *arg)
{
    struct http_call *c = mem_zalloc(sizeof(*c));
    c->easy = curl_easy_init();
    if (!c->easy) abort();
    c->client = h;
    c->ops = *ops;
    c->arg = arg;
    c->body_max = o->body_max;
    keep_names(c, o->endpoint);
    c->trouble = (struct http_trouble){ .easy = c->easy,
                                        .place = c->place,
                                        .text = c->text,
                                        .ca = c->ca,
                                        .cert = c->cert,
                                        .key = c->key,
                                        .connect_ms = o->connect_ms,
                                        .total_ms = o->total_ms,
                                        .is_unix = o->endpoint->unix_socket != NULL };
    list_append(&h->calls, &c->link);
    list_init(&c->news_link);
    set_url(c, o);
    set_way(c->easy, o->endpoint);
    set_rest(c, o);
    /* It begins when libcurl's timer runs, at the end of the turn. */
    if (curl_multi_add_handle(http_channel_multi(h->channel), c->easy) != CURLM_OK) abort();
    return c;
}

void http_call_cancel(struct http_call *c)
{
    if (!c) return;
    c->is_cancelled = true;
    if (c->client->telling != c) free_call(c);
}

/* ---- clients ---- */

static void free_client(struct http_client *h)
{
    http_channel_free(h->channel);
    job_cancel(&h->end);
    free(h);
}

static void on_end(struct job *j)
{
    free_client(container_of(j, struct http_client, end));
}

struct http_client *http_client_new(struct loop *l)
{
    struct http_client *h = mem_zalloc(sizeof(*h));
    h->loop = l;
    list_init(&h->calls);
    list_init(&h->news);
    job_init(&h->end, on_end);
    h->channel = http_channel_new(l, on_step, h);
    return h;
}

void http_client_free(struct http_client *h)
{
    if (!h) return;
    LIST_EACH_SAFE (it, &h->calls) http_call_cancel(container_of(it, struct http_call, link));
    h->must_end = h->telling != NULL;
    if (!h->must_end) free_client(h);
}
