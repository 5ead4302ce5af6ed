// SPDX-License-Identifier: Apache-2.0
// json0: each object that may occur more than once is an array, each text is {"value": ...}.

#include "agent/lldp.h"

#include <jansson.h>
#include <string.h>

static struct err load(const char *json, size_t n, json_t **out)
{
	json_error_t why;
	ENSURE(n <= LLDP_JSON_MAX, ERR_LIMIT, "lldpcli printed more than %d bytes", LLDP_JSON_MAX);
	*out = json_loadb(json, n, JSON_REJECT_DUPLICATES, &why);
	ENSURE(*out, ERR_PEER, "lldpcli's JSON, line %d: %s", why.line, why.text);
	return OK;
}

static const json_t *first(const json_t *o, const char *name)
{
	const json_t *list = json_object_get(o, name);
	return json_is_array(list) ? json_array_get(list, 0) : list;
}

// The text of the first `name` in `o`, cut to a bound; NULL: none.
static const char *text(const json_t *o, const char *name, char out[LLDP_TEXT_MAX + 1])
{
	const char *s = json_string_value(json_object_get(first(o, name), "value"));
	if (!s)
		return NULL;
	size_t n = strlen(s);
	if (n > LLDP_TEXT_MAX) // not in the middle of a UTF-8 character
		for (n = LLDP_TEXT_MAX; n && ((unsigned char)s[n] & 0xc0) == 0x80;)
			n--;
	memcpy(out, s, n);
	out[n] = 0;
	return out;
}

static void neighbour(struct tree *tree, const json_t *interface, int64_t now_ns)
{
	const json_t *chassis = first(interface, "chassis"), *port = first(interface, "port");
	const char *name = json_string_value(json_object_get(interface, "name"));
	char id[LLDP_TEXT_MAX + 1], port_id[LLDP_TEXT_MAX + 1], t[LLDP_TEXT_MAX + 1];
	char key[PATH_KEY_TEXT], key_id[PATH_KEY_TEXT], key_port[PATH_KEY_TEXT];
	struct leaf_path p;
	struct leaf_writer w = {tree, &p, now_ns, 0};
	if (!name || !text(chassis, "id", id) || !text(port, "id", port_id))
		return;
	leaf_at(&p, "/lldp/interfaces/interface[name=%s]/neighbors/neighbor[id=%s %s]/state",
		path_key(key, name), path_key(key_id, id), path_key(key_port, port_id));
	leaf_text(&w, "chassis-id", id);
	leaf_text(&w, "port-id", port_id);
	leaf_text(&w, "system-name", text(chassis, "name", t));
	leaf_text(&w, "port-description", text(port, "descr", t));
	leaf_text(&w, "management-address", text(chassis, "mgmt-ip", t));
}

struct err lldp_read_neighbours(struct tree *tree, const char *json, size_t n, int64_t now_ns)
{
	json_t *root = NULL, *interface;
	TRY(load(json, n, &root));
	const json_t *lldp = first(root, "lldp");
	const json_t *list = json_object_get(lldp, "interface");
	size_t i;
	if (!lldp) {
		json_decref(root);
		return err_make(ERR_PEER, "lldpcli's JSON has no \"lldp\"");
	}
	tree_pass_begin(tree, "/lldp/interfaces");
	json_array_foreach(list, i, interface) if (i < LLDP_NEIGHBOURS_MAX)
		neighbour(tree, interface, now_ns);
	tree_pass_end(tree, "/lldp/interfaces", 0);
	json_decref(root);
	return OK;
}

struct err lldp_read_chassis(struct tree *tree, const char *json, size_t n, int64_t now_ns)
{
	json_t *root = NULL;
	char t[LLDP_TEXT_MAX + 1];
	struct leaf_path p;
	struct leaf_writer w = {tree, &p, now_ns, 0};
	TRY(load(json, n, &root));
	const json_t *chassis = first(first(root, "local-chassis"), "chassis");
	leaf_at(&p, "/lldp/state");
	tree_pass_begin(tree, "/lldp/state");
	leaf_text(&w, "system-name", text(chassis, "name", t));
	leaf_text(&w, "chassis-id", text(chassis, "id", t));
	tree_pass_end(tree, "/lldp/state", 0);
	json_decref(root);
	return chassis ? OK : err_make(ERR_PEER, "lldpcli's JSON has no \"local-chassis\"");
}
