/* SPDX-License-Identifier: Apache-2.0
 *
 * Routes that containers' labels make: part of every plan while the configuration has
 * discovery.docker, and the reason for a new one when they change. See gate_parts.h.
 */
#include "control/gate_parts.h"

#include "conf/part.h"

void gate_offer_labels(struct gate *g, struct settings *s, struct label_offer *o)
{
    *o = (struct label_offer){ .is_made = s->discovery.docker != NULL };
    arena_init(&o->arena, NULL);
    if (!o->is_made) return;
    size_t count = docker_offer_routes(g->docker, &o->arena, &o->parts);
    conf_take_parts(s, o->parts, count, &o->arena);
}

void gate_settle_labels(struct gate *g, const struct label_offer *o)
{
    if (o->is_made) docker_settle_routes(g->docker, o->parts);
}

void label_offer_reset(struct label_offer *o)
{
    arena_reset(&o->arena);
}

void gate_take_labels(void *gate)
{
    struct gate       *g = gate;
    struct conf_report report;
    if (g->stop_count || !g->current || !g->current->settings->discovery.docker) return;
    conf_report_init(&report);
    (void)gate_reload(g, RELOAD_LABELS, &report);
    conf_report_reset(&report);
}
