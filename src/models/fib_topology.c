// SPDX-License-Identifier: Apache-2.0
// The engine's still part: devices, ports, links, bindings and their names.
#include "models/fib_internal.h"

#include <stdlib.h>
#include <string.h>

struct fib_name {
	const char *name; // NULL: empty
	uint32_t scope, number;
};

enum { NAMES_FIRST = 256, ARRAY_FIRST = 4 };

void *fib_grow(void *array, uint32_t n, uint32_t *cap, size_t item)
{
	if (n < *cap)
		return array;
	uint32_t more = *cap ? *cap * 2 : ARRAY_FIRST;
	void *p = more > *cap ? realloc(array, more * item) : NULL;
	if (p)
		*cap = more;
	return p;
}

// --- names

static uint32_t name_hash(uint32_t scope, const char *name, size_t n)
{
	uint32_t h = 2166136261u ^ scope * 0x9e3779b1u;
	for (size_t i = 0; i < n; i++)
		h = (h ^ (uint8_t)name[i]) * 16777619u;
	return h;
}

static struct fib_name *name_slot(const struct fib_names *t, uint32_t scope, const char *name,
				  size_t n)
{
	for (uint32_t at = name_hash(scope, name, n);; at++) {
		struct fib_name *s = &t->slots[at & (t->cap - 1)];
		if (!s->name ||
		    (s->scope == scope && strncmp(s->name, name, n) == 0 && !s->name[n]))
			return s;
	}
}

static int64_t name_find(const struct fib_names *t, uint32_t scope, const char *name, size_t n)
{
	const struct fib_name *s = t->cap ? name_slot(t, scope, name, n) : NULL;
	return s && s->name ? (int64_t)s->number : FIB_NONE;
}

static struct err name_add(struct fib_names *t, uint32_t scope, const char *name, uint32_t number)
{
	if (t->n * 2 >= t->cap) {
		struct fib_names old = *t;
		t->cap = t->cap ? t->cap * 2 : NAMES_FIRST;
		t->slots = calloc(t->cap, sizeof *t->slots);
		if (!t->slots) {
			*t = old;
			return err_make(ERR_LIMIT, "out of memory for names");
		}
		for (uint32_t i = 0; i < old.cap; i++)
			if (old.slots[i].name)
				*name_slot(t, old.slots[i].scope, old.slots[i].name,
					   strlen(old.slots[i].name)) = old.slots[i];
		free(old.slots);
	}
	*name_slot(t, scope, name, strlen(name)) = (struct fib_name){name, scope, number};
	t->n++;
	return OK;
}

static struct err name_copy(const char *name, const char *what, char **out)
{
	size_t n = strlen(name);
	ENSURE(n >= 1 && n <= FIB_NAME_MAX, ERR_USAGE, "a %s's name has 1 to %d bytes", what,
	       FIB_NAME_MAX);
	*out = strdup(name);
	ENSURE(*out, ERR_LIMIT, "out of memory for names");
	return OK;
}

// --- parts

struct fib *fib_new(size_t bytes)
{
	struct fib *f = calloc(1, sizeof *f);
	if (f)
		f->limit = bytes ? bytes : (size_t)16 << 30;
	return f;
}

static struct err still(const struct fib *f)
{
	ENSURE(!f->sealed, ERR_USAGE, "the topology must be complete before the first route");
	return OK;
}

struct err fib_device_add(struct fib *f, const char *name, uint32_t *device)
{
	TRY(still(f));
	ENSURE(fib_device_find(f, name, strlen(name)) == FIB_NONE, ERR_USAGE,
	       "device %s: declared twice", name);
	ENSURE(f->n_devices < FIB_DEVICES_MAX, ERR_LIMIT, "more than %d devices", FIB_DEVICES_MAX);
	void *p = fib_grow(f->devices, f->n_devices, &f->cap_devices, sizeof *f->devices);
	ENSURE(p, ERR_LIMIT, "out of memory for devices");
	f->devices = p;
	struct fib_device *d = &f->devices[f->n_devices];
	*d = (struct fib_device){0};
	d->sets = calloc(1, sizeof *d->sets);
	ENSURE(d->sets, ERR_LIMIT, "out of memory for devices");
	d->n_sets = d->cap_sets = 1;
	*device = f->n_devices++;
	TRY(name_copy(name, "device", &d->name));
	return name_add(&f->device_names, 0, d->name, *device);
}

struct err fib_port_add(struct fib *f, uint32_t device, const char *name, uint32_t *port)
{
	struct fib_device *d = &f->devices[device];
	ENSURE(fib_port_find(f, device, name, strlen(name)) == FIB_NONE, ERR_USAGE,
	       "port %s of %s: declared twice", name, d->name);
	ENSURE(f->n_ports < FIB_PORTS_MAX, ERR_LIMIT, "more than %d ports", FIB_PORTS_MAX);
	void *p = fib_grow(f->ports, f->n_ports, &f->cap_ports, sizeof *f->ports);
	ENSURE(p, ERR_LIMIT, "out of memory for ports");
	f->ports = p;
	f->ports[f->n_ports] = (struct fib_port){.device = device};
	uint32_t *own = realloc(d->ports, (d->n_ports + 1) * sizeof *own);
	ENSURE(own, ERR_LIMIT, "out of memory for ports");
	d->ports = own;
	own[d->n_ports++] = f->n_ports;
	*port = f->n_ports++;
	TRY(name_copy(name, "port", &f->ports[*port].name));
	return name_add(&f->port_names, device, f->ports[*port].name, *port);
}

static struct err number_add(uint32_t **list, uint32_t *n, uint32_t number, bool once)
{
	for (uint32_t i = 0; once && i < *n; i++)
		if ((*list)[i] == number)
			return OK;
	uint32_t *p = realloc(*list, (*n + 1) * sizeof *p);
	ENSURE(p, ERR_LIMIT, "out of memory for ports");
	*list = p;
	p[(*n)++] = number;
	return OK;
}

struct err fib_link_add(struct fib *f, uint32_t from_port, uint32_t to_port)
{
	TRY(still(f));
	struct fib_port *from = &f->ports[from_port];
	struct fib_device *to = &f->devices[f->ports[to_port].device];
	TRY(number_add(&from->links, &from->n_links, to_port, true));
	return number_add(&to->in_ports, &to->n_in_ports, to_port, true);
}

struct err fib_split_horizon(struct fib *f, bool on)
{
	TRY(still(f));
	f->split_horizon = on;
	return OK;
}

struct err fib_acl_add(struct fib *f, uint32_t device, const char *name, uint32_t *acl)
{
	ENSURE(fib_acl_find(f, device, name, strlen(name)) == FIB_NONE, ERR_USAGE,
	       "access list %s of %s: declared twice", name, f->devices[device].name);
	void *p = fib_grow(f->lists, f->n_lists, &f->cap_lists, sizeof *f->lists);
	ENSURE(p, ERR_LIMIT, "out of memory for access lists");
	f->lists = p;
	f->lists[f->n_lists] = (struct fib_list){.device = device};
	*acl = f->n_lists++;
	TRY(name_copy(name, "access list", &f->lists[*acl].name));
	return name_add(&f->list_names, device, f->lists[*acl].name, *acl);
}

struct err fib_acl_bind(struct fib *f, uint32_t port, bool out, uint32_t acl)
{
	TRY(still(f));
	struct fib_port *p = &f->ports[port];
	f->has_acls = true;
	return out ? number_add(&p->out, &p->n_out, acl, false)
		   : number_add(&p->in, &p->n_in, acl, false);
}

int64_t fib_device_find(const struct fib *f, const char *name, size_t n)
{
	return name_find(&f->device_names, 0, name, n);
}

int64_t fib_port_find(const struct fib *f, uint32_t device, const char *name, size_t n)
{
	return name_find(&f->port_names, device, name, n);
}

int64_t fib_acl_find(const struct fib *f, uint32_t device, const char *name, size_t n)
{
	return name_find(&f->list_names, device, name, n);
}

uint32_t fib_devices(const struct fib *f)
{
	return f->n_devices;
}

const char *fib_device_name(const struct fib *f, uint32_t device)
{
	return f->devices[device].name;
}

const char *fib_port_name(const struct fib *f, uint32_t port)
{
	return f->ports[port].name;
}

static void device_free(struct fib_device *d)
{
	for (uint32_t i = 0; i < d->n_sets; i++) {
		free(d->sets[i].ports);
		free(d->sets[i].hops);
	}
	free(d->sets);
	free(d->ports);
	free(d->in_ports);
	free(d->name);
}

void fib_free(struct fib *f)
{
	if (!f)
		return;
	if (f->sealed)
		fib_atoms_stop(f);
	for (uint32_t i = 0; i < f->n_devices; i++)
		device_free(&f->devices[i]);
	for (uint32_t i = 0; i < f->n_ports; i++) {
		free(f->ports[i].name);
		free(f->ports[i].links);
		free(f->ports[i].in);
		free(f->ports[i].out);
	}
	for (uint32_t i = 0; i < f->n_lists; i++) {
		free(f->lists[i].name);
		free(f->lists[i].rules);
	}
	free(f->devices);
	free(f->ports);
	free(f->lists);
	free(f->device_names.slots);
	free(f->port_names.slots);
	free(f->list_names.slots);
	free(f->routes.keys);
	free(f->routes.sets);
	free(f->seen);
	free(f->stack);
	free(f->undo);
	free(f);
}
