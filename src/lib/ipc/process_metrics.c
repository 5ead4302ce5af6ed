// SPDX-License-Identifier: Apache-2.0
// A process's figures: kept here as they are set, sent whole each second, so that the parent and
// northbound need not remember what came before.
#include "lib/ipc/process_internal.h"

#include "lib/base/log.h"
#include "lib/ipc/messages.pb-c.h"

#include <stdlib.h>
#include <string.h>

enum {
	METRICS_MAX = 512,
	TEXT_MAX = 200,
	BYTES_MAX = 60 << 10, // METRICS is 64 KiB, and the parent adds figures of its own
};

static Ipc__Metric store[METRICS_MAX], *list[METRICS_MAX];
static size_t n_metrics, n_bytes;
static bool refused; // said once

static Ipc__Metric *find(const char *name, const char *labels)
{
	for (size_t i = 0; i < n_metrics; i++)
		if (strcmp(store[i].name, name) == 0 && strcmp(store[i].labels, labels) == 0)
			return &store[i];
	return NULL;
}

static Ipc__Metric *add(const char *name, const char *labels, const char *help)
{
	size_t lengths[] = {strlen(name), strlen(labels), strlen(help)}, bytes = 24;
	for (int i = 0; i < 3; i++) {
		bytes += lengths[i];
		if (lengths[i] > TEXT_MAX)
			return NULL;
	}
	if (n_metrics == METRICS_MAX || n_bytes + bytes > BYTES_MAX)
		return NULL;
	Ipc__Metric *m = &store[n_metrics];
	ipc__metric__init(m);
	m->name = strdup(name);
	m->labels = strdup(labels);
	m->help = strdup(help);
	if (!m->name || !m->labels || !m->help) {
		free(m->name);
		free(m->labels);
		free(m->help);
		return NULL;
	}
	list[n_metrics++] = m;
	n_bytes += bytes;
	return m;
}

void process_metric(struct process *p, const char *name, const char *labels, double value,
		    bool counter, const char *help)
{
	if (!labels)
		labels = "";
	Ipc__Metric *m = find(name, labels);
	if (!m)
		m = add(name, labels, help ? help : "");
	if (!m) {
		if (!refused)
			log_warning("more figures than fit: %s{%s} and others are not shown", name,
				    labels);
		refused = true;
		return;
	}
	m->value = value;
	m->counter = counter;
}

struct err process_metrics_send(struct process *p)
{
	Ipc__Metrics m = IPC__METRICS__INIT;
	m.process = (char *)(uintptr_t)process_name(p->id);
	m.metrics = list;
	m.n_metrics = n_metrics;
	return process_send(p, PROCESS_PARENT, IPC_METRICS, &m.base);
}
