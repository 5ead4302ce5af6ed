// SPDX-License-Identifier: Apache-2.0
#include "telemetry/sources.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct sources {
	struct siphash_key key;
	struct source entry[SOURCES];
	struct source others; // those for whom there was no place
};

struct sources *sources_new(const struct siphash_key *key)
{
	struct sources *s = calloc(1, sizeof *s);
	if (s) {
		s->key = *key;
		snprintf(s->others.text, sizeof s->others.text, "many sources");
	}
	return s;
}

void sources_free(struct sources *s)
{
	free(s);
}

static void key_of(const struct sockaddr *from, uint8_t out[16])
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	memset(out, 0, 16);
	if (from->sa_family == AF_INET) {
		memcpy(out, mapped, sizeof mapped);
		memcpy(out + 12, &((const struct sockaddr_in *)from)->sin_addr, 4);
	} else if (from->sa_family == AF_INET6) {
		const struct in6_addr *a = &((const struct sockaddr_in6 *)from)->sin6_addr;
		memcpy(out, a, IN6_IS_ADDR_V4MAPPED(a) ? 16 : 8);
	}
}

static void words(struct source *e)
{
	char text[INET6_ADDRSTRLEN] = "";
	if (e->key[10] == 0xff && e->key[11] == 0xff) {
		inet_ntop(AF_INET, e->key + 12, e->text, sizeof e->text);
	} else {
		inet_ntop(AF_INET6, e->key, text, sizeof text);
		snprintf(e->text, sizeof e->text, "%.45s/64", text);
	}
}

struct source *sources_get(struct sources *s, const struct sockaddr *from, int64_t now_ns)
{
	uint8_t key[16];
	key_of(from, key);
	size_t set = siphash(&s->key, key, sizeof key) % (SOURCES / SOURCES_WAYS) * SOURCES_WAYS;
	struct source *oldest = NULL;
	for (size_t i = set; i < set + SOURCES_WAYS; i++) {
		struct source *e = &s->entry[i];
		if (e->seen_ns && memcmp(e->key, key, sizeof key) == 0) {
			e->seen_ns = now_ns;
			return e;
		}
		// One that still owes tokens is not forgotten while another can be.
		if (e->open == 0 && (!oldest || e->seen_ns < oldest->seen_ns))
			oldest = e;
	}
	if (!oldest || (oldest->seen_ns && oldest->handshakes.full_ns > now_ns))
		return &s->others;
	*oldest = (struct source){.seen_ns = now_ns};
	memcpy(oldest->key, key, sizeof key);
	words(oldest);
	return oldest;
}

const char *source_text(const struct sockaddr *from, char out[SOURCE_TEXT_MAX])
{
	char text[INET6_ADDRSTRLEN] = "";
	if (from->sa_family == AF_INET) {
		const struct sockaddr_in *a = (const struct sockaddr_in *)from;
		inet_ntop(AF_INET, &a->sin_addr, text, sizeof text);
		snprintf(out, SOURCE_TEXT_MAX, "%s:%u", text, ntohs(a->sin_port));
	} else if (from->sa_family == AF_INET6) {
		const struct sockaddr_in6 *a = (const struct sockaddr_in6 *)from;
		inet_ntop(AF_INET6, &a->sin6_addr, text, sizeof text);
		snprintf(out, SOURCE_TEXT_MAX, "[%s]:%u", text, ntohs(a->sin6_port));
	} else {
		snprintf(out, SOURCE_TEXT_MAX, "local");
	}
	return out;
}
