// SPDX-License-Identifier: Apache-2.0
// The gNMI SetRequest that carries an instruction: one update, whose path names the plan and whose
// value is the plan's bytes, and the registered extension 999 with the envelope. Nothing else may
// ride along: what is not under the signatures is not looked at, but refused. X.2011 8.2.3-1.
#include "lib/instruction/internal.h"

#include "lib/gnmi/gnmi.pb-c.h"
#include "lib/gnmi/path.h"

#include <stdio.h>
#include <string.h>

static void path_of(const char *id, char out[PATH_TEXT_MAX + 1])
{
	snprintf(out, PATH_TEXT_MAX + 1, "/gemel/instructions/instruction[id=%s]", id);
}

struct err instruction_request_write(const char *id, const uint8_t *plan, size_t plan_len,
				     const uint8_t *envelope, size_t envelope_len, struct buf *out)
{
	char text[PATH_TEXT_MAX + 1];
	scoped(arena) struct arena *a = arena_new(1 << 16);
	Gnmi__SetRequest set = GNMI__SET_REQUEST__INIT;
	Gnmi__Update update = GNMI__UPDATE__INIT, *updates = &update;
	Gnmi__TypedValue value = GNMI__TYPED_VALUE__INIT;
	GnmiExt__Extension extension = GNMI_EXT__EXTENSION__INIT, *extensions = &extension;
	GnmiExt__RegisteredExtension registered = GNMI_EXT__REGISTERED_EXTENSION__INIT;
	ENSURE(a, ERR_LIMIT, "request: out of memory");
	ENSURE(message_name(id), ERR_USAGE, "request: no id of a plan");
	path_of(id, text);
	TRY(path_message_of_text(text, a, &update.path));
	value.value_case = GNMI__TYPED_VALUE__VALUE_PROTO_BYTES;
	value.proto_bytes.data = (uint8_t *)(uintptr_t)plan;
	value.proto_bytes.len = plan_len;
	update.val = &value;
	registered.id = GNMI_EXT__EXTENSION_ID__EID_EXPERIMENTAL;
	registered.msg.data = (uint8_t *)(uintptr_t)envelope;
	registered.msg.len = envelope_len;
	extension.ext_case = GNMI_EXT__EXTENSION__EXT_REGISTERED_EXT;
	extension.registered_ext = &registered;
	set.n_update = set.n_extension = 1;
	set.update = &updates;
	set.extension = &extensions;
	return message_write(&set, INSTRUCTION_REQUEST_MAX, out);
}

static struct err path_is(const Gnmi__Path *path, const uint8_t *plan, size_t n, struct arena *a)
{
	char want[PATH_TEXT_MAX + 1], have[PATH_TEXT_MAX + 1];
	size_t len;
	Plan *p;
	ENSURE(path, ERR_PEER, "Set: an update without a path");
	TRY(path_text_of_message(NULL, path, have, &len));
	TRY(instruction_plan_read(plan, n, a, &p));
	path_of(p->id, want);
	ENSURE(strcmp(want, have) == 0 && !*path->target && !*path->origin, ERR_PEER,
	       "Set: the update's path must be %s", want);
	return OK;
}

struct err instruction_request_open(const uint8_t *request, size_t n, struct arena *a,
				    const uint8_t **plan, size_t *plan_len,
				    const uint8_t **envelope, size_t *envelope_len)
{
	Gnmi__SetRequest *s;
	TRY(message_read(&gnmi__set_request__descriptor, request, n, INSTRUCTION_REQUEST_MAX, a,
			 &s));
	ENSURE(!s->prefix && !s->n_delete_ && !s->n_replace && !s->n_union_replace &&
		       s->n_update == 1 && s->n_extension == 1,
	       ERR_PEER, "Set: an instruction has one update and one extension, and nothing else");
	const Gnmi__Update *u = s->update[0];
	const GnmiExt__Extension *e = s->extension[0];
	ENSURE(u->val && u->val->value_case == GNMI__TYPED_VALUE__VALUE_PROTO_BYTES && !u->value &&
		       !u->duplicates,
	       ERR_PEER, "Set: the update's value must be proto_bytes");
	ENSURE(e->ext_case == GNMI_EXT__EXTENSION__EXT_REGISTERED_EXT &&
		       e->registered_ext->id == GNMI_EXT__EXTENSION_ID__EID_EXPERIMENTAL,
	       ERR_PEER, "Set: the extension must be registered number 999");
	TRY(path_is(u->path, u->val->proto_bytes.data, u->val->proto_bytes.len, a));
	*plan = u->val->proto_bytes.data;
	*plan_len = u->val->proto_bytes.len;
	*envelope = e->registered_ext->msg.data;
	*envelope_len = e->registered_ext->msg.len;
	return OK;
}
