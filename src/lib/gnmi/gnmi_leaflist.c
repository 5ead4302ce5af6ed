// SPDX-License-Identifier: Apache-2.0
// A leaf-list as RFC 7951 JSON text: 64-bit numbers quoted (6.1), binary in base64 (6.6).

#include "lib/gnmi/gnmi_fast.h"
#include "lib/gnmi/grpc_internal.h" // grpc_utf8_length
#include "lib/gnmi/wire.h"

#include <math.h>
#include <openssl/evp.h>

enum { ELEMENTS_MAX = 4096 };

static void json_string(struct buf *out, const uint8_t *s, size_t n)
{
	buf_u8(out, '"');
	for (size_t i = 0; i < n; i++) {
		if (s[i] == '"' || s[i] == '\\')
			buf_printf(out, "\\%c", s[i]);
		else if (s[i] < 0x20)
			buf_printf(out, "\\u%04x", s[i]);
		else
			buf_u8(out, s[i]);
	}
	buf_u8(out, '"');
}

static void json_base64(struct buf *out, const uint8_t *s, size_t n)
{
	buf_u8(out, '"');
	uint8_t *p = buf_space(out, (n + 2) / 3 * 4 + 1);
	if (p) {
		EVP_EncodeBlock(p, s, (int)n);
		out->len--; // its NUL
	}
	buf_u8(out, '"');
}

static struct err json_value(struct buf *out, const struct gnmi_value *v)
{
	switch (v->type) {
	case GNMI_STRING:
		ENSURE(grpc_utf8_length(v->s.bytes, v->s.len) == v->s.len, ERR_PEER,
		       "leaf-list: a string is not UTF-8");
		json_string(out, v->s.bytes, v->s.len);
		return OK;
	case GNMI_INT:
		buf_printf(out, "\"%lld\"", (long long)v->i);
		return OK;
	case GNMI_UINT:
		buf_printf(out, "\"%llu\"", (unsigned long long)v->u);
		return OK;
	case GNMI_BOOL:
		buf_str(out, v->b ? "true" : "false");
		return OK;
	case GNMI_DOUBLE:
		ENSURE(isfinite(v->d), ERR_PEER, "leaf-list: a number is not finite");
		buf_printf(out, "%.17g", v->d);
		return OK;
	case GNMI_BYTES:
		json_base64(out, v->s.bytes, v->s.len);
		return OK;
	default:
		return err_make(ERR_PEER, "leaf-list: an element is not a scalar");
	}
}

struct err gnmi_leaflist_json(const uint8_t *wire, size_t n, struct buf *out)
{
	struct cursor c = cursor_over(wire, n);
	struct wire_field f;
	unsigned count = 0;
	buf_u8(out, '[');
	while (wire_next(&c, &f)) {
		struct gnmi_value v;
		if (f.number != 1 || f.type != WIRE_BYTES)
			continue;
		ENSURE(count < ELEMENTS_MAX, ERR_LIMIT, "leaf-list: more than %d elements",
		       ELEMENTS_MAX);
		if (count++)
			buf_u8(out, ',');
		TRY(gnmi_value_read(f.sub, &v));
		TRY(json_value(out, &v));
	}
	TRY(cursor_finish(&c, "leaf-list"));
	buf_u8(out, ']');
	return buf_check(out, "leaf-list");
}
