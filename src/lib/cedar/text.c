// SPDX-License-Identifier: Apache-2.0
#include "lib/cedar/text.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

struct cedar_text cedar_text(const char *s)
{
	return (struct cedar_text){s, strlen(s)};
}

struct err cedar_no_memory(void)
{
	return err_make(ERR_LIMIT, "memory is out, or a policy set, schema or store is too large");
}

bool cedar_vec_grow(void *v, size_t size, size_t n, size_t *cap)
{
	void **where = v;
	size_t more = *cap ? *cap * 2 : 8;
	void *p = more < SIZE_MAX / size ? realloc(*where, more * size) : NULL;
	if (!p)
		return false;
	*where = p;
	*cap = more;
	return true;
}

static uint64_t process_key(void)
{
	static _Atomic uint64_t key;
	uint64_t k = atomic_load_explicit(&key, memory_order_relaxed);
	while (!k) {
		uint64_t fresh = 0, none = 0;
		if (getrandom(&fresh, sizeof fresh, 0) != sizeof fresh)
			abort(); // no randomness: nothing else in this process would be safe either
		atomic_compare_exchange_strong(&key, &none, fresh | 1);
		k = atomic_load(&key);
	}
	return k;
}

static uint64_t load(const uint8_t *p, size_t n)
{
	uint64_t v = 0;
	memcpy(&v, p, n);
	return v;
}

uint64_t cedar_hash(const void *bytes, size_t n, uint64_t seed)
{
	const uint8_t *p = bytes;
	uint64_t h = hash_mix(process_key() ^ seed, n + 1);
	for (; n > 8; n -= 8, p += 8)
		h = hash_mix(h ^ load(p, 8), 0xa0761d6478bd642fu);
	return n ? hash_mix(h ^ load(p, n), 0x8ebc6af09c88c6e3u) : h;
}

// Decodes one character; 0 bytes when it is not UTF-8 (RFC 3629: no surrogates, no long forms).
static size_t utf8_next(const char *s, size_t n, uint32_t *out)
{
	const uint8_t *p = (const uint8_t *)s;
	if (p[0] < 0x80) {
		*out = p[0];
		return 1;
	}
	size_t len = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
	if (p[0] < 0xc2 || p[0] > 0xf4 || n < len)
		return 0;
	uint32_t c = p[0] & (0x7fu >> len);
	for (size_t i = 1; i < len; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (p[i] & 0x3f);
	}
	static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
	if (c < least[len] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
		return 0;
	*out = c;
	return len;
}

bool cedar_utf8_valid(struct cedar_text t)
{
	for (size_t i = 0; i < t.n;) {
		if ((uint8_t)t.s[i] < 0x80) {
			i++;
			continue;
		}
		uint32_t c;
		size_t n = utf8_next(t.s + i, t.n - i, &c);
		if (!n)
			return false;
		i += n;
	}
	return true;
}

void cedar_position(struct cedar_text source, size_t at, unsigned *line, unsigned *column)
{
	*line = 1;
	*column = 1;
	for (size_t i = 0; i < at && i < source.n; i++) {
		if (source.s[i] == '\n') {
			++*line;
			*column = 1;
		} else if (((uint8_t)source.s[i] & 0xc0) != 0x80) {
			++*column;
		}
	}
}

struct err cedar_syntax(struct cedar_text source, size_t at, const char *format, ...)
{
	unsigned line, column;
	cedar_position(source, at, &line, &column);
	char text[ERR_TEXT_MAX];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	return err_make(ERR_USAGE, "%u:%u: %s", line, column, text);
}

bool cedar_reserved(struct cedar_text ident)
{
	static const char *const words[] = {"true", "false", "if",   "then", "else",
					    "in",   "is",    "like", "has"};
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (text_is(ident, words[i]))
			return true;
	return false;
}

static bool letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool ident_valid(struct cedar_text t)
{
	if (!t.n || !letter(t.s[0]))
		return false;
	for (size_t i = 1; i < t.n; i++)
		if (!letter(t.s[i]) && !(t.s[i] >= '0' && t.s[i] <= '9'))
			return false;
	return true;
}

bool cedar_name_valid(struct cedar_text name, bool internal)
{
	for (;;) {
		const char *colon = name.n ? memmem(name.s, name.n, "::", 2) : NULL;
		struct cedar_text part = {name.s, colon ? (size_t)(colon - name.s) : name.n};
		if (!ident_valid(part) || cedar_reserved(part) ||
		    (!internal && text_is(part, "__cedar")))
			return false;
		if (!colon)
			return true;
		name.n -= part.n + 2;
		name.s = colon + 2;
	}
}

struct cedar_text cedar_basename(struct cedar_text name)
{
	for (size_t i = name.n; i > 0; i--)
		if (name.s[i - 1] == ':')
			return (struct cedar_text){name.s + i, name.n - i};
	return name;
}

struct cedar_text cedar_namespace(struct cedar_text name)
{
	size_t base = cedar_basename(name).n;
	return (struct cedar_text){name.s, name.n > base ? name.n - base - 2 : 0};
}

struct cedar_text cedar_qualify(struct arena *a, struct cedar_text ns, struct cedar_text name)
{
	if (!ns.n)
		return name;
	char *s = arena_alloc(a, ns.n + 2 + name.n);
	if (!s)
		return (struct cedar_text){NULL, 0};
	memcpy(s, ns.s, ns.n);
	memcpy(s + ns.n, "::", 2);
	memcpy(s + ns.n + 2, name.s, name.n);
	return (struct cedar_text){s, ns.n + 2 + name.n};
}

struct cedar_text cedar_copy(struct arena *a, struct cedar_text t)
{
	char *s = arena_alloc(a, t.n + 1);
	if (!s)
		return (struct cedar_text){NULL, 0};
	if (t.n)
		memcpy(s, t.s, t.n);
	return (struct cedar_text){s, t.n};
}

// The first part at the front, the last at the end, the others one after the other, each as early
// as it goes. memmem is linear, so the whole is at most parts x text.
bool cedar_pattern_matches(const struct pattern *p, struct cedar_text t)
{
	struct cedar_text first = p->part[0], last = p->part[p->n - 1];
	if (p->n == 1)
		return text_equal(first, t);
	if (t.n < first.n + last.n || (first.n && memcmp(t.s, first.s, first.n) != 0) ||
	    (last.n && memcmp(t.s + t.n - last.n, last.s, last.n) != 0))
		return false;
	struct cedar_text rest = {t.s + first.n, t.n - first.n - last.n};
	for (uint32_t i = 1; i + 1 < p->n; i++) {
		struct cedar_text part = p->part[i];
		if (!part.n)
			continue;
		const char *at = rest.n ? memmem(rest.s, rest.n, part.s, part.n) : NULL;
		if (!at)
			return false;
		rest.n -= (size_t)(at - rest.s) + part.n;
		rest.s = at + part.n;
	}
	return true;
}

static size_t utf8_put(char *out, uint32_t c)
{
	if (c < 0x80) {
		out[0] = (char)c;
		return 1;
	}
	size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
	for (size_t i = n - 1; i > 0; i--, c >>= 6)
		out[i] = (char)(0x80 | (c & 0x3f));
	out[0] = (char)((0xf00 >> n & 0xff) | c);
	return n;
}

static int hex(char c)
{
	return c >= '0' && c <= '9'   ? c - '0'
	       : c >= 'a' && c <= 'f' ? c - 'a' + 10
	       : c >= 'A' && c <= 'F' ? c - 'A' + 10
				      : -1;
}

// \u{1F600}: one to six digits, underscores between them. Returns the bytes read, 0 when wrong.
static size_t unicode_escape(const char *s, size_t n, uint32_t *out)
{
	uint32_t c = 0;
	unsigned digits = 0;
	if (n < 3 || s[0] != '{' || s[1] == '_')
		return 0;
	for (size_t i = 1; i < n; i++) {
		if (s[i] == '}') {
			*out = c;
			bool scalar = c <= 0x10ffff && !(c >= 0xd800 && c < 0xe000);
			return digits && digits <= 6 && scalar ? i + 1 : 0;
		}
		if (s[i] == '_')
			continue;
		if (hex(s[i]) < 0 || ++digits > 6)
			return 0;
		c = c << 4 | (uint32_t)hex(s[i]);
	}
	return 0;
}

// One escape after its backslash. Returns the bytes read, 0 when it is none.
static size_t escape(const char *s, size_t n, uint32_t *out)
{
	static const char from[] = "nrt\\0'\"", to[] = "\n\r\t\\\0'\"";
	const char *at = n ? memchr(from, s[0], sizeof from - 1) : NULL;
	if (at) {
		*out = (uint8_t)to[at - from];
		return 1;
	}
	if (n >= 3 && s[0] == 'x' && hex(s[1]) >= 0 && hex(s[1]) < 8 && hex(s[2]) >= 0) {
		*out = (uint32_t)(hex(s[1]) << 4 | hex(s[2]));
		return 3;
	}
	size_t used = n && s[0] == 'u' ? unicode_escape(s + 1, n - 1, out) : 0;
	return used ? used + 1 : 0;
}

struct unescaper {
	struct cedar_text source, raw;
	char *out;
	size_t n;
	struct pattern *pattern; // NULL for a plain string
};

static void star(struct unescaper *u)
{
	struct pattern *p = u->pattern;
	struct cedar_text *part = &p->part[p->n - 1];
	part->n = (size_t)(u->out + u->n - part->s);
	p->part[p->n++].s = u->out + u->n;
}

static struct err unescape(struct unescaper *u)
{
	for (size_t i = 0; i < u->raw.n;) {
		const char *s = u->raw.s + i;
		uint32_t c = 0;
		if (*s == '*' && u->pattern) {
			star(u);
			i++;
		} else if (*s == '\\' && u->pattern && i + 1 < u->raw.n && s[1] == '*') {
			u->out[u->n++] = '*';
			i += 2;
		} else if (*s == '\\') {
			size_t used = escape(s + 1, u->raw.n - i - 1, &c);
			if (!used)
				return cedar_syntax(
					u->source, (size_t)(s - u->source.s),
					"this escape is unknown: allowed are \\n \\r \\t \\\\ \\0 "
					"\\' \\\" \\xHH up to \\x7f, \\u{H}, and in a pattern \\*");
			u->n += utf8_put(u->out + u->n, c);
			i += used + 1;
		} else if (*s == '\r') {
			return cedar_syntax(u->source, (size_t)(s - u->source.s),
					    "a bare carriage return: write \\r");
		} else {
			u->out[u->n++] = *s;
			i++;
		}
	}
	if (u->pattern) {
		struct cedar_text *part = &u->pattern->part[u->pattern->n - 1];
		part->n = (size_t)(u->out + u->n - part->s);
	}
	return OK;
}

struct err cedar_unescape(struct arena *a, struct cedar_text source, struct cedar_text raw,
			  struct cedar_text *out)
{
	*out = raw;
	if (!raw.n || (!memchr(raw.s, '\\', raw.n) && !memchr(raw.s, '\r', raw.n)))
		return OK; // a view: sources live as long as what is made of them
	struct unescaper u = {.source = source, .raw = raw, .out = arena_alloc(a, raw.n)};
	NEED(u.out);
	TRY(unescape(&u));
	*out = (struct cedar_text){u.out, u.n};
	return OK;
}

struct err cedar_unescape_pattern(struct arena *a, struct cedar_text source, struct cedar_text raw,
				  const struct pattern **out)
{
	size_t stars = 0;
	for (size_t i = 0; i < raw.n; i++)
		stars += raw.s[i] == '*';
	struct pattern *p = arena_alloc(a, sizeof *p + (stars + 1) * sizeof *p->part);
	struct unescaper u = {source, raw, arena_alloc(a, raw.n + 1), 0, p};
	NEED(p);
	NEED(u.out);
	p->n = 1;
	p->part[0].s = u.out;
	TRY(unescape(&u));
	*out = p;
	return OK;
}
