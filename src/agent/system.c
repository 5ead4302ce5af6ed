// SPDX-License-Identifier: Apache-2.0

#include "agent/system.h"

#include "agent/version.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

enum { TEXT = 4096, SHORT = 128 };

struct system {
	struct tree *tree;
	int memory, processors; // descriptors of /proc/meminfo, /proc/stat
	char software[SHORT], vendor[SHORT], product[SHORT], serial[SHORT];
	uint64_t boot_s, busy, total;
};

// The whole of a small file, from its start; "" when it cannot be read.
static const char *read_again(int fd, char out[TEXT])
{
	ssize_t n = fd >= 0 ? pread(fd, out, TEXT - 1, 0) : 0;
	out[n > 0 ? n : 0] = 0;
	return out;
}

static int open_file(const char *path)
{
	return open(path, O_RDONLY | O_CLOEXEC);
}

// A one-line text file, printable; "" when there is none.
static void line(const char *path, char out[SHORT])
{
	char bytes[TEXT];
	int fd = open_file(path);
	read_again(fd, bytes);
	if (fd >= 0)
		close(fd);
	size_t i = 0;
	for (; bytes[i] >= 0x20 && bytes[i] < 0x7f && i + 1 < SHORT; i++)
		out[i] = bytes[i];
	while (i && out[i - 1] == ' ')
		i--;
	out[i] = 0;
}

// PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"
static void software_name(char out[SHORT])
{
	char bytes[TEXT];
	int fd = open_file("/etc/os-release");
	const char *at = strstr(read_again(fd, bytes), "PRETTY_NAME=\"");
	struct utsname u;
	if (fd >= 0)
		close(fd);
	size_t n = at ? strcspn(at += strlen("PRETTY_NAME=\""), "\"\n") : 0;
	snprintf(out, SHORT, "%.*s%sLinux %.60s", (int)(n < 60 ? n : 60), at ? at : "",
		 n ? ", " : "", uname(&u) == 0 ? u.release : "");
}

static uint64_t field(const char *text, const char *name)
{
	const char *at = strstr(text, name);
	return at ? strtoull(at + strlen(name), NULL, 10) : 0;
}

struct err system_open(struct tree *tree, struct system **out)
{
	struct system *s = calloc(1, sizeof *s);
	ENSURE(s, ERR_LIMIT, "out of memory");
	s->tree = tree;
	s->memory = open_file("/proc/meminfo");
	s->processors = open_file("/proc/stat");
	software_name(s->software);
	line("/sys/class/dmi/id/sys_vendor", s->vendor);
	line("/sys/class/dmi/id/product_name", s->product);
	line("/sys/class/dmi/id/product_serial", s->serial);
	int fd = s->processors;
	// /proc/stat may be long (one line for each interrupt): btime stands behind them.
	static char bytes[1 << 17];
	ssize_t n = fd >= 0 ? pread(fd, bytes, sizeof bytes - 1, 0) : 0;
	bytes[n > 0 ? n : 0] = 0;
	s->boot_s = field(bytes, "\nbtime ");
	*out = s;
	return OK;
}

void system_close(struct system *s)
{
	if (!s)
		return;
	if (s->memory >= 0)
		close(s->memory);
	if (s->processors >= 0)
		close(s->processors);
	free(s);
}

static void component(struct system *s, const char *name, const char *type, const char *description,
		      const char *version, int64_t now_ns)
{
	struct leaf_path p;
	struct leaf_writer w = {s->tree, &p, now_ns, 0};
	bool chassis = strcmp(type, "CHASSIS") == 0;
	leaf_at(&p, "/components/component[name=%s]/state", name);
	leaf_text(&w, "type", type);
	leaf_text(&w, "description", description);
	leaf_text(&w, "software-version", version);
	if (chassis && s->vendor[0])
		leaf_text(&w, "mfg-name", s->vendor);
	if (chassis && s->serial[0])
		leaf_text(&w, "serial-no", s->serial);
}

void system_read(struct system *s, int64_t now_ns)
{
	struct leaf_path p;
	struct leaf_writer w = {s->tree, &p, now_ns, 0};
	struct utsname u;
	leaf_at(&p, "/system/state");
	if (uname(&u) == 0) {
		char name[PATH_KEY_TEXT];
		leaf_text(&w, "hostname", path_key(name, u.nodename));
	}
	leaf_uint(&w, "boot-time", s->boot_s * 1000000000u);
	leaf_text(&w, "software-version", s->software);
	component(s, "chassis", "CHASSIS", s->product[0] ? s->product : "not told by the firmware",
		  s->software, now_ns);
	component(s, "agent", "SOFTWARE_MODULE", "gemel-agent", GEMEL_VERSION, now_ns);
	system_sample(s, now_ns);
}

static void processors(struct system *s, int64_t now_ns)
{
	char bytes[TEXT];
	unsigned long long v[8] = {0};
	struct leaf_path p;
	struct leaf_writer w = {s->tree, &p, now_ns, TREE_VOLATILE};
	// cpu  user nice system idle iowait irq softirq steal
	if (sscanf(read_again(s->processors, bytes), "cpu %llu %llu %llu %llu %llu %llu %llu %llu",
		   v, v + 1, v + 2, v + 3, v + 4, v + 5, v + 6, v + 7) < 4)
		return;
	uint64_t total = 0;
	for (int i = 0; i < 8; i++)
		total += v[i];
	uint64_t busy = total - v[3] - v[4];
	// Idle and I/O wait may step back a little from one reading to the next.
	uint64_t part = total > s->total && busy > s->busy
				? (busy - s->busy) * 100 / (total - s->total)
				: 0;
	s->busy = busy;
	s->total = total;
	leaf_at(&p, "/system/cpus/cpu[index=ALL]/state/total");
	leaf_uint(&w, "instant", part <= 100 ? part : 100);
}

void system_sample(struct system *s, int64_t now_ns)
{
	char bytes[TEXT];
	struct leaf_path p;
	struct leaf_writer w = {s->tree, &p, now_ns, TREE_VOLATILE};
	read_again(s->memory, bytes);
	uint64_t total = field(bytes, "MemTotal:"), available = field(bytes, "MemAvailable:");
	leaf_at(&p, "/system/memory/state");
	if (total) {
		leaf_uint(&w, "physical", total * 1024);
		leaf_uint(&w, "used", (total > available ? total - available : 0) * 1024);
	}
	processors(s, now_ns);
}
