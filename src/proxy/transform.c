/* SPDX-License-Identifier: Apache-2.0
 *
 * A response's body on its way through a transform. See transform.h.
 */
#include "proxy/transform.h"

#include "proxy/attempt.h"

/* More than that unsent: the client is behind. */
enum { UNSENT_BYTES_MAX = 64 * 1024 };

struct transform {
    struct exchange *x;
    transform_run   *run;
    void            *state;
    struct job       flush;            /* at the end of a turn that brought some of it */
    uint64_t         fed_bytes;        /* of the body */
    size_t           unconsumed_bytes; /* of them, not yet told to be taken */
    bool             is_stream;        /* no length was said */
};

static void flush(struct job *j)
{
    struct transform *t = container_of(j, struct transform, flush);
    t->run(t->x, t->state, slice_make("", 0), TRANSFORM_FLUSH);
    exchange_progress(t->x);
}

void exchange_transform(struct exchange *x, struct http_head *head, transform_run *run, void *state)
{
    struct transform *t = arena_zalloc(&x->arena, sizeof(*t));
    t->x = x;
    t->run = run;
    t->state = state;
    t->is_stream = head->body_bytes < 0;
    job_init(&t->flush, flush);
    head->body_bytes = -1;
    x->transform = t;
    x->stream->copies_body = true;
}

void exchange_emit(struct exchange *x, struct slice data)
{
    x->response_bytes += data.len;
    http_stream_send_body(x->stream, data);
}

size_t transform_consume(struct exchange *x)
{
    struct transform *t = x->transform;
    if (x->stream->unsent_bytes >= UNSENT_BYTES_MAX) return 0;
    size_t bytes = t->unconsumed_bytes;
    t->unconsumed_bytes = 0;
    return bytes;
}

void transform_feed(struct exchange *x, struct slice data)
{
    struct transform *t = x->transform;
    t->fed_bytes += data.len;
    t->unconsumed_bytes += data.len;
    t->run(x, t->state, data, TRANSFORM_MORE);
    if (t->is_stream) job_queue(x->worker->loop, &t->flush);
    if (x->attempt) attempt_consumed(x->attempt, transform_consume(x));
}

void transform_finish(struct exchange *x, struct http_fields *trailers)
{
    struct transform *t = x->transform;
    if (trailers) http_fields_drop_digests(trailers); /* of bytes that nobody gets */
    job_cancel(&t->flush);
    t->run(x, t->state, slice_make("", 0), TRANSFORM_FINISH);
}

void transform_stop(struct exchange *x)
{
    if (x->transform) job_cancel(&x->transform->flush);
}

uint64_t transform_fed_bytes(const struct exchange *x)
{
    return x->transform->fed_bytes;
}
