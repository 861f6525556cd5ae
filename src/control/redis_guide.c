/* SPDX-License-Identifier: Apache-2.0
 *
 * Who tells where Redis is: any Sentinel that answers, or any node of the cluster that
 * does. See redis_watch.h.
 *
 * One is asked again and again; when it is silent, or tells nothing of use, the next one
 * is. A Sentinel's word may be old (it was cut off from the others): when the master that it
 * names does not answer for some time, another one is asked.
 */
#include <stdio.h>
#include <stdlib.h>

#include "conf/value.h"
#include "control/redis_watch_parts.h"

enum {
    SENTINEL_ASK_MS = 5000,
    CLUSTER_ASK_MS = 10000,
    TROUBLED_ASK_MS = 1000, /* while Redis does not answer */
    ASK_MIN_MS = 200,
    VAIN_MAX = 3,   /* answers that have not helped */
    SEATS_MAX = 32, /* of Sentinels, with those that they tell of */
};

static struct redis_watch *of_link(struct redis_link *l)
{
    return container_of(l, struct redis_watch, guide.link);
}

static bool is_needed(const struct redis_watch *w)
{
    return w->is_cluster || w->guide.master.len;
}

/* ---- questions ---- */

static void ask(struct redis_watch *w, enum redis_question question)
{
    struct redis_guide *g = &w->guide;
    const struct slice  questions[][3] = {
         [ASK_MASTER] = { S("SENTINEL"), S("GET-MASTER-ADDR-BY-NAME"), g->master },
         [ASK_SENTINELS] = { S("SENTINEL"), S("SENTINELS"), g->master },
         [ASK_SLOTS] = { S("CLUSTER"), S("SLOTS") },
    };
    g->question = question;
    if (question != ASK_SENTINELS) {
        g->asked_ms = w->options.loop->clock.now_ms;
        g->must_ask = false;
    }
    redis_link_ask(&g->link, questions[question], question == ASK_SLOTS ? 2 : 3);
}

static void ask_first(struct redis_watch *w)
{
    ask(w, w->is_cluster ? ASK_SLOTS : ASK_MASTER);
}

/* Nothing is being asked; the next question, no earlier than it may be. */
static void plan(struct redis_watch *w, uint64_t after_ms)
{
    struct redis_guide *g = &w->guide;
    uint64_t            passed_ms = w->options.loop->clock.now_ms - g->asked_ms;
    uint64_t            least_ms = passed_ms < ASK_MIN_MS ? ASK_MIN_MS - passed_ms : 0;
    deadline_set(w->options.loop, &g->deadline, after_ms > least_ms ? after_ms : least_ms);
}

static void rest(struct redis_watch *w)
{
    uint64_t after_ms = w->is_cluster ? CLUSTER_ASK_MS : SENTINEL_ASK_MS;
    if (!w->beat.is_up || w->beat.trouble[0]) after_ms = TROUBLED_ASK_MS;
    plan(w, w->guide.must_ask ? 0 : after_ms);
}

static void run_deadline(struct deadline *d)
{
    struct redis_watch *w = container_of(d, struct redis_watch, guide.deadline);
    struct redis_guide *g = &w->guide;
    if (!g->link.is_up || redis_link_is_asking(&g->link)) return;
    if (g->vain_count < VAIN_MAX || g->seats->count == 1) {
        ask_first(w);
        return;
    }
    g->vain_count = 0;
    g->turn++;
    redis_link_move(&g->link);
}

void redis_guide_ask_soon(struct redis_watch *w)
{
    struct redis_guide *g = &w->guide;
    if (!is_needed(w) || !g->link.is_up) return; /* asks once it is */
    g->must_ask = true;
    if (!redis_link_is_asking(&g->link)) plan(w, 0);
}

/* ---- whom to ask ---- */

/* The nodes of the cluster come first: the URL's may be one that has left it. */
static const struct redis_node *candidate(struct redis_watch *w, size_t turn)
{
    const struct redis_map *m = redis_store_map(&w->store), *seats = w->guide.seats;
    size_t                  nodes = w->is_cluster ? m->count : 0;
    turn %= nodes + seats->count;
    return turn < nodes ? &m->nodes[turn] : &seats->nodes[turn - nodes];
}

static const struct redis_node *aim(struct redis_link *l, struct redis_target *to)
{
    struct redis_watch *w = of_link(l);
    struct redis_guide *g = &w->guide;
    size_t count = g->seats->count + (w->is_cluster ? redis_store_map(&w->store)->count : 0);
    to->tls = w->options.tls;
    to->username = g->username;
    to->password = g->password;
    if (w->is_cluster) redis_watch_login(w, to);
    for (size_t i = 0; i < count; i++) {
        const struct redis_node *n = candidate(w, g->turn + i);
        if (n->address.family == ADDRESS_NONE) continue;
        g->turn += i;
        return n;
    }
    return NULL;
}

static void on_ready(struct redis_link *l)
{
    struct redis_watch *w = of_link(l);
    ask_first(w);
    if (w->guide.master.len) redis_link_move(&w->guide.news);
}

static void on_down(struct redis_link *l)
{
    struct redis_watch *w = of_link(l);
    w->guide.turn++;
    if (!l->at) return;
    redis_names_turn(&w->names, l->at->nodes[0].host);
    redis_names_fill(&w->names, w->guide.seats);
}

/* ---- Sentinels ---- */

static bool tell_master(struct redis_watch *w, struct slice host, struct slice port)
{
    uint64_t number;
    if (!host.len || !value_number(port, &number) || !number || number > UINT16_MAX) return false;
    redis_watch_tell(w, redis_map_of_one(host, (uint16_t)number));
    return true;
}

static void hear_master(struct redis_watch *w, const struct redis_reply *r)
{
    struct redis_guide *g = &w->guide;
    char                why[REDIS_TROUBLE_MAX];
    if (r->kind == REDIS_KIND_NIL)
        snprintf(why, sizeof(why), "it knows no master %.*s", SLICE_ARG(g->master));
    else
        snprintf(why, sizeof(why), "%s", "it tells of no master");
    if (!tell_master(w, redis_text_at(r, 0), redis_text_at(r, 1))) {
        redis_link_fail(&g->link, why);
        return;
    }
    g->vain_count = w->beat.is_up ? 0 : g->vain_count + 1;
    ask(w, ASK_SENTINELS);
}

/* Fields and values in turn. */
static struct slice field_of(const struct redis_reply *r, struct slice name)
{
    for (size_t i = 0; i + 1 < r->count; i += 2)
        if (slice_eq(redis_text_at(r, i), name)) return redis_text_at(r, i + 1);
    return S("");
}

static void hear_sentinels(struct redis_watch *w, const struct redis_reply *r)
{
    struct redis_map *seats = w->guide.seats;
    for (size_t i = 0; r->kind == REDIS_KIND_ARRAY && i < r->count; i++) {
        struct slice host = field_of(&r->items[i], S("ip"));
        uint64_t     port;
        if (!value_number(field_of(&r->items[i], S("port")), &port)) continue;
        if (!host.len || !port || port > UINT16_MAX || seats->count >= SEATS_MAX) continue;
        if (redis_map_find(seats, host, (uint16_t)port) == REDIS_NO_NODE)
            redis_map_add(seats, host, (uint16_t)port);
    }
    redis_names_fill(&w->names, seats);
    rest(w);
}

/* "name old-host old-port new-host new-port" */
static void on_news(struct redis_link *l, const struct redis_reply *r)
{
    struct redis_watch *w = container_of(l, struct redis_watch, guide.news);
    struct slice        rest_of = redis_text_at(r, 2), words[5];
    for (size_t i = 0; i < 5; i++) {
        size_t end = slice_find(rest_of, ' ');
        words[i] = slice_make(rest_of.data, end);
        rest_of = slice_from(rest_of, end + (end < rest_of.len));
    }
    if (slice_eq(words[0], w->guide.master)) tell_master(w, words[3], words[4]);
}

/* Where the questions go. */
static const struct redis_node *aim_news(struct redis_link *l, struct redis_target *to)
{
    struct redis_watch *w = container_of(l, struct redis_watch, guide.news);
    if (!w->guide.link.is_up) return NULL;
    to->tls = w->options.tls;
    to->username = w->guide.username;
    to->password = w->guide.password;
    return &w->guide.link.at->nodes[0];
}

static void on_news_ready(struct redis_link *l)
{
    const struct slice subscribe[] = { S("SUBSCRIBE"), S("+switch-master") };
    redis_link_ask(l, subscribe, 2);
}

static void on_news_reply(struct redis_link *l, const struct redis_reply *r)
{
    if (r->kind == REDIS_KIND_ERROR) redis_link_complain(l, "SUBSCRIBE is refused");
}

/* Questions find out as well. */
static void on_news_down(struct redis_link *l)
{
    (void)l;
}

static const struct redis_link_ops news_ops = {
    .aim = aim_news,
    .on_ready = on_news_ready,
    .on_reply = on_news_reply,
    .on_message = on_news,
    .on_down = on_news_down,
};

/* ---- clusters ---- */

static void hear_slots(struct redis_watch *w, const struct redis_reply *r)
{
    struct redis_guide *g = &w->guide;
    struct error        e;
    struct redis_map   *m = redis_map_of_slots(r, g->link.at->nodes[0].host, &e);
    if (!m) {
        redis_link_fail(&g->link, e.text);
        return;
    }
    redis_watch_tell(w, m);
    rest(w);
}

static void on_reply(struct redis_link *l, const struct redis_reply *r)
{
    struct redis_watch *w = of_link(l);
    char                why[REDIS_TROUBLE_MAX];
    if (r->kind == REDIS_KIND_ERROR && w->guide.question != ASK_SENTINELS) {
        snprintf(why, sizeof(why), "%.*s", SLICE_ARG(r->text));
        redis_link_fail(l, why);
        return;
    }
    switch (w->guide.question) {
    case ASK_MASTER: hear_master(w, r); break;
    case ASK_SENTINELS: hear_sentinels(w, r); break;
    case ASK_SLOTS: hear_slots(w, r); break;
    }
}

static const struct redis_link_ops link_ops = {
    .aim = aim,
    .on_ready = on_ready,
    .on_reply = on_reply,
    .on_down = on_down,
};

/* ---- life ---- */

void redis_guide_begin(struct redis_watch *w)
{
    struct redis_guide *g = &w->guide;
    const char         *what = w->is_cluster ? "redis cluster" : "redis sentinel";
    deadline_init(&g->deadline, run_deadline);
    redis_link_init(&g->link, w->options.loop, what, &link_ops);
    redis_link_init(&g->news, w->options.loop, NULL, &news_ops);
    redis_names_fill(&w->names, g->seats);
    if (is_needed(w)) redis_link_move(&g->link);
}

void redis_guide_reset(struct redis_watch *w)
{
    redis_link_reset(&w->guide.link);
    redis_link_reset(&w->guide.news);
    deadline_remove(&w->guide.deadline);
    redis_map_free(w->guide.seats);
}
