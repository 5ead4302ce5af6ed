// SPDX-License-Identifier: Apache-2.0
// The state of the twin itself: processes as the parent sees them, and figures of this process.
#include "management/management.h"

#include "lib/base/clock.h"

#include <stdio.h>
#include <string.h>

struct err status_take(struct management *m, const struct ipc_message *msg)
{
	struct err e = OK;
	uint64_t restarts = 0;
	Ipc__ProcessStatus *s = IPC_UNPACK(process_status, msg, m->p->scratch, &e);
	if (!s)
		return e;
	for (size_t i = 0; i < s->n_processes; i++)
		restarts += s->processes[i]->restarts;
	for (size_t i = 0; restarts > m->seen_restarts && i < s->n_processes; i++) {
		const Ipc__ProcessInfo *p = s->processes[i];
		if (p->restarts && now_of(m) - p->started_ns < 60 * NS_PER_S)
			alert(m, "warning", "process.restarted", p->name, "parent", p->last_exit,
			      "See the process's own log; report it if it happens again.", 1);
	}
	m->seen_restarts = restarts;
	buf_reset(&m->status);
	buf_append(&m->status, msg->bytes, msg->len);
	m->status_ns = now_of(m);
	return buf_check(&m->status, "PROCESS_STATUS");
}

static json_t *process_json(const Ipc__ProcessInfo *p)
{
	return json_pack("{s:s,s:b,s:I,s:I,s:I,s:o,s:I,s:s,s:o}", "name", p->name, "running",
			 p->running, "pid", (json_int_t)p->pid, "uid", (json_int_t)p->uid,
			 "restarts", (json_int_t)p->restarts, "started",
			 time_or_null(p->started_ns), "rss_bytes", (json_int_t)p->rss_bytes,
			 "sandbox", p->sandbox, "last_exit",
			 *p->last_exit ? json_string(p->last_exit) : json_null());
}

static json_t *processes(struct management *m)
{
	json_t *list = json_array();
	struct err e = OK;
	Ipc__ProcessStatus *s = ipc_unpack(&ipc__process_status__descriptor, m->status.data,
					   m->status.len, m->p->scratch, &e);
	for (size_t i = 0; s && i < s->n_processes; i++)
		json_array_append_new(list, process_json(s->processes[i]));
	return list;
}

static json_t *states(struct management *m)
{
	json_t *j = json_object();
	unsigned counts[DEVICE_STATES] = {0};
	for (size_t i = 0; i < devices_count(m->devices); i++)
		counts[devices_at(m->devices, i)->state]++;
	for (unsigned i = 0; i < DEVICE_STATES; i++)
		if (counts[i])
			json_object_set_new(j, device_state_name((enum device_state)i),
					    json_integer(counts[i]));
	return j;
}

json_t *status_json(struct management *m)
{
	bool all = true;
	size_t i;
	json_t *p, *list = processes(m);
	json_array_foreach(list, i, p) all = all && json_is_true(json_object_get(p, "running"));
	return json_pack("{s:s,s:s,s:o,s:o,s:o,s:I,s:I,s:I,s:I}", "name", m->p->conf->name,
			 "status", all && json_array_size(list) ? "ok" : "degraded", "as_of",
			 time_or_null(m->status_ns), "processes", list, "devices", states(m),
			 "alerts", (json_int_t)alerts_active(m), "sessions",
			 (json_int_t)sessions_count(m->sessions, NULL), "policy_version",
			 (json_int_t)m->snapshot_version, "records_waiting",
			 (json_int_t)outbox_waiting(m));
}

void status_metrics(struct management *m)
{
	struct process *p = m->p;
	unsigned counts[DEVICE_STATES] = {0};
	for (size_t i = 0; i < devices_count(m->devices); i++)
		counts[devices_at(m->devices, i)->state]++;
	for (unsigned i = 0; i < DEVICE_STATES; i++) {
		char labels[48];
		snprintf(labels, sizeof labels, "state=\"%s\"",
			 device_state_name((enum device_state)i));
		process_metric(p, "gemel_devices", labels, counts[i], false,
			       "devices in the inventory by admission state");
	}
	process_metric(p, "gemel_sessions", "", (double)sessions_count(m->sessions, NULL), false,
		       "log-ins that are open");
	process_metric(p, "gemel_alerts_active", "", (double)alerts_active(m), false,
		       "active alerts");
	process_metric(p, "gemel_records_waiting", "", (double)outbox_waiting(m), false,
		       "records that the ledger has not taken yet");
	process_metric(p, "gemel_management_refused_total", "", (double)m->refused, true,
		       "refusals of devices, log-ins and requests");
	process_metric(p, "gemel_management_logins_total", "", (double)m->logins, true,
		       "good log-ins");
	process_metric(p, "gemel_management_certificates_total", "", (double)m->enrolled, true,
		       "certificates issued to devices");
}
