/* SPDX-License-Identifier: Apache-2.0
 *
 * Watching. See status_watch.h.
 */
#include "cli/status_watch.h"

#include <poll.h>
#include <stdio.h>

#include "base/clock.h"
#include "cli/cells.h"
#include "cli/status_words.h"
#include "cli/terminal.h"
#include "control/gate.h"

enum { ANSWER_WAIT_S = 5, INTERVAL_MS = 1000 };

static const uint64_t ns_of_a_ms = 1000000;

const struct admin_question status_question = {
    .path = "/v1/status",
    .accept = "application/json",
    .wait_s = ANSWER_WAIT_S,
};

struct status_watch {
    struct admin_client *client;
    struct terminal      terminal;
    struct status_view   view;
    json_t              *root; /* the last answer */
    json_t              *rates;
    uint64_t             read_ns; /* when it came */
    struct buffer        fault;   /* why there is none since; empty: there is */
    bool                 is_over;
    int                  exit_code;
};

/* ---- drawing ---- */

/* A name on the command line that a reload has taken away. */
static const char *find_vanished(const struct status_watch *w)
{
    for (size_t i = 0; i < w->view.name_count; i++)
        if (!status_upstream(w->root, w->view.names[i])) return w->view.names[i];
    return NULL;
}

static void put_note(const struct status_watch *w, struct buffer *to)
{
    const char *vanished = find_vanished(w);
    double      age_s = (double)(clock_mono_ns() - w->read_ns) / 1e9;
    if (w->fault.len) {
        buffer_puts(to, "STALE for ");
        status_put_age(to, 1, 1 + age_s);
        buffer_puts(to, ", asking again each second: ");
        buffer_put_slice(to, buffer_slice(&w->fault));
    } else if (vanished) {
        buffer_puts(to, "not configured any more: ");
        cells_put(to, slice_of(vanished));
    } else {
        buffer_puts(to, "each second; q ends");
    }
}

static void draw(struct status_watch *w)
{
    struct buffer note = BUFFER_INIT, lines = BUFFER_INIT;
    put_note(w, &note);
    terminal_size(&w->view.width, &w->view.height);
    w->view.rates = w->rates;
    w->view.note = note.data;
    w->view.is_stale = w->fault.len > 0;
    status_view_put(&lines, &w->view, w->root);
    if (!terminal_draw(&lines)) {
        w->exit_code = EXIT_FAULT;
        w->is_over = true;
    }
    buffer_reset(&lines);
    buffer_reset(&note);
}

/* ---- asking ---- */

static bool on_wake(void *arg)
{
    struct status_watch *w = arg;
    switch (terminal_read(&w->terminal)) {
    case TERMINAL_QUIT: w->is_over = true; break;
    case TERMINAL_REDRAW: draw(w); break;
    case TERMINAL_NOTHING: break;
    }
    return !w->is_over;
}

static void take(struct status_watch *w, json_t *root)
{
    uint64_t now = clock_mono_ns();
    json_decref(w->rates);
    w->rates = status_rates(w->root, root, (double)(now - w->read_ns) / 1e9);
    json_decref(w->root);
    w->root = root;
    w->read_ns = now;
    w->view.now = (double)clock_wall_us() / 1e6;
}

/* Ages stand still with the answer that they belong to. */
static void ask(struct status_watch *w)
{
    struct admin_answer a;
    struct error        e = { "" };
    json_t             *root = NULL;
    bool                has_answer = admin_client_ask(w->client, &status_question, &a);
    if (!has_answer)
        e = a.why;
    else if (a.status != 200)
        error_set(&e, "the gateway answered %ld", a.status);
    else
        root = status_parse(buffer_slice(&a.body), "upstreams", &e);
    buffer_reset(&w->fault);
    if (root)
        take(w, root);
    else
        buffer_printf(&w->fault, "%s: %s", w->client->socket, e.text);
    admin_answer_reset(&a);
}

/* ---- the loop ---- */

static void wait_until(struct status_watch *w, uint64_t end_ns)
{
    uint64_t now;
    while (!w->is_over && (now = clock_mono_ns()) < end_ns) {
        struct pollfd wake = { .fd = w->terminal.wake_fd, .events = POLLIN };
        if (poll(&wake, 1, (int)((end_ns - now) / ns_of_a_ms) + 1) > 0) (void)on_wake(w);
    }
}

static void run(struct status_watch *w)
{
    while (!w->is_over) {
        uint64_t next_ns = clock_mono_ns() + INTERVAL_MS * ns_of_a_ms;
        draw(w);
        wait_until(w, next_ns);
        if (!w->is_over) ask(w);
    }
}

int status_watch(struct admin_client *client, const struct status_view *view, json_t *root)
{
    struct error        e;
    struct status_watch w = { .client = client,
                              .view = *view,
                              .root = root,
                              .rates = json_object(),
                              .read_ns = clock_mono_ns(),
                              .fault = BUFFER_INIT,
                              .exit_code = EXIT_OK };
    if (terminal_enter(&w.terminal, &e)) {
        client->wake_fd = w.terminal.wake_fd;
        client->on_wake = on_wake;
        client->wake_arg = &w;
        run(&w);
        client->wake_fd = -1;
        terminal_leave(&w.terminal);
    } else {
        fprintf(stderr, "wharfgate status: %s\n", e.text);
        w.exit_code = EXIT_FAULT;
    }
    json_decref(w.root);
    json_decref(w.rates);
    buffer_reset(&w.fault);
    return w.exit_code;
}
