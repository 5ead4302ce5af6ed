// SPDX-License-Identifier: Apache-2.0
#include "northbound/prometheus.h"

#include "lib/base/sabotage.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct sample {
	const char *process;
	const Ipc__Metric *m;
};

static bool name_char(char c, bool first)
{
	char low = c | 0x20;
	return (low >= 'a' && low <= 'z') || c == '_' || (!first && c >= '0' && c <= '9');
}

bool prometheus_name_good(const char *name)
{
	for (size_t i = 0; name[i]; i++)
		if (i > 200 || (!name_char(name[i], i == 0) && name[i] != ':'))
			return false;
	return name[0];
}

bool prometheus_labels_good(const char *s)
{
	if (!*s)
		return true;
	for (;;) {
		const char *start = s;
		while (name_char(*s, s == start))
			s++;
		if (s == start || s[0] != '=' || s[1] != '"')
			return false;
		for (s += 2; *s != '"'; s++) {
			if ((unsigned char)*s < 0x20) // also the end
				return false;
			if (*s == '\\' && !strchr("\\\"n", *++s))
				return false;
			if (!*s)
				return false;
		}
		if (*++s == 0)
			return true;
		if (*s++ != ',')
			return false;
	}
}

static int by_name(const void *a, const void *b)
{
	const struct sample *x = a, *y = b;
	int order = strcmp(x->m->name, y->m->name);
	if (order == 0)
		order = strcmp(x->process, y->process);
	return order ? order : strcmp(x->m->labels, y->m->labels);
}

static void value_print(double v, struct buf *out)
{
	if (isnan(v))
		buf_str(out, "NaN");
	else if (isinf(v))
		buf_str(out, v > 0 ? "+Inf" : "-Inf");
	else
		buf_printf(out, "%.17g", v);
	buf_str(out, "\n");
}

static void head_print(const Ipc__Metric *m, struct buf *out)
{
	buf_printf(out, "# HELP %s ", m->name);
	for (const char *c = m->help; *c; c++)
		if ((unsigned char)*c >= 0x20 && *c != '\\')
			buf_u8(out, (uint8_t)*c);
	buf_printf(out, sabotaged("standard-form") ? "\nTYPE %s is %s\n" : "\n# TYPE %s %s\n",
		   m->name, m->counter ? "counter" : "gauge");
}

void prometheus_render(const Ipc__Metrics *const *sets, size_t n, struct buf *out,
		       unsigned *refused)
{
	size_t total = 0, used = 0;
	*refused = 0;
	for (size_t i = 0; i < n; i++)
		total += sets[i]->n_metrics;
	struct sample *all = calloc(total + 1, sizeof *all);
	for (size_t i = 0; all && i < n; i++)
		for (size_t k = 0; k < sets[i]->n_metrics; k++) {
			const Ipc__Metric *m = sets[i]->metrics[k];
			if (prometheus_name_good(m->name) && prometheus_labels_good(m->labels) &&
			    prometheus_name_good(sets[i]->process))
				all[used++] = (struct sample){sets[i]->process, m};
			else
				(*refused)++;
		}
	if (used)
		qsort(all, used, sizeof *all, by_name);
	for (size_t i = 0; i < used; i++) {
		const Ipc__Metric *m = all[i].m;
		if (i == 0 || strcmp(all[i - 1].m->name, m->name) != 0)
			head_print(m, out);
		else if (by_name(&all[i - 1], &all[i]) == 0)
			continue; // the same sample twice would spoil the whole scrape
		buf_printf(out, "%s{process=\"%s\"%s%s} ", m->name, all[i].process,
			   *m->labels ? "," : "", m->labels);
		value_print(m->value, out);
	}
	free(all);
}
