/* SPDX-License-Identifier: Apache-2.0
 *
 * Answers of our own that are streamed: an origin's source is asked for one piece
 * after the other, while little is unsent. Ranges of files go on as such, to be
 * read where they are written; only a transform of the body has them read here.
 */
#include "proxy/exchange.h"

enum {
    UNSENT_BYTES = 64 * 1024, /* as much, and the source is not asked */
    /* Given of a file at once: a client that takes everything gets so much for each round of the
     * loop's jobs, some MiB a turn, and others have theirs. */
    RANGE_BYTES = 256 * 1024,
    /* Given to a transform at once, which may make next to nothing of it. */
    FED_BYTES = 128 * 1024,
    READ_BYTES = 16 * 1024, /* a large block of the loop */
};

static void go_on(struct job *j)
{
    reply_stream_pump(container_of(j, struct exchange, reply_stream.job));
}

void exchange_reply_stream(struct exchange *x, struct http_head *head, reply_source *next,
                           void *source, const char *reason)
{
    x->reason = reason;
    x->reply_stream = (struct reply_stream){ .next = next, .source = source };
    job_init(&x->reply_stream.job, go_on);
    exchange_send_local(x, head, slice_make("", 0));
}

void reply_stream_queue(struct exchange *x)
{
    job_queue(x->worker->loop, &x->reply_stream.job);
}

void reply_stream_stop(struct exchange *x)
{
    if (x->reply_stream.next) job_cancel(&x->reply_stream.job);
}

bool reply_stream_is_short(const struct exchange *x)
{
    const struct outq_file *f = x->reply_stream.piece.range.file;
    return x->reply_stream.next && f && f->is_short;
}

static struct outq_range cut(struct outq_range *left, size_t most)
{
    struct outq_range part = *left;
    if (part.bytes > most) part.bytes = most;
    left->offset += part.bytes;
    left->bytes -= part.bytes;
    return part;
}

/* Returns how much of it a transform was fed. */
static size_t give_range(struct exchange *x, struct outq_range *left)
{
    if (!x->transform) {
        struct outq_range part = cut(left, RANGE_BYTES);
        x->response_bytes += part.bytes;
        http_stream_send_range(x->stream, &part);
        exchange_progress(x);
        return 0;
    }
    struct block_pool *pool = &x->worker->loop->large_blocks;
    struct outq_range  part = cut(left, READ_BYTES);
    char              *data = block_take(pool);
    if (outq_read_range(&part, data)) exchange_respond_body(x, slice_make(data, part.bytes));
    block_give(pool, data);
    return part.bytes;
}

void reply_stream_pump(struct exchange *x)
{
    struct reply_stream *s = &x->reply_stream;
    size_t               fed_bytes = 0;
    while (x->stream->unsent_bytes < UNSENT_BYTES && !reply_stream_is_short(x)) {
        if (fed_bytes >= FED_BYTES) {
            reply_stream_queue(x);
            return;
        }
        if (s->piece.range.bytes) {
            fed_bytes += give_range(x, &s->piece.range);
            continue;
        }
        s->piece.bytes = slice_make("", 0);
        if (!s->next(s->source, &s->piece)) {
            exchange_respond_end(x, NULL);
            return;
        }
        if (s->piece.bytes.len) exchange_respond_body(x, s->piece.bytes);
    }
    if (reply_stream_is_short(x)) exchange_fail(x, 500, "file_changed");
}
