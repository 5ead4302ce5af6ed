// SPDX-License-Identifier: Apache-2.0
// Payloads: the first byte chooses the message of messages.proto, the rest is its bytes. What is
// accepted packs and unpacks again to the same; what is not leaves an error.

#include "lib/ipc/messages.pb-c.h"
#include "lib/ipc/ipc.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const ProtobufCMessageDescriptor *const all[] = {
	&ipc__listener__descriptor,	 &ipc__channel__descriptor,
	&ipc__ready__descriptor,	 &ipc__dial__descriptor,
	&ipc__dialled__descriptor,	 &ipc__process_status__descriptor,
	&ipc__metrics__descriptor,	 &ipc__broken__descriptor,
	&ipc__publish__descriptor,	 &ipc__key_sign__descriptor,
	&ipc__key_signed__descriptor,	 &ipc__key_public__descriptor,
	&ipc__cert_request__descriptor,	 &ipc__cert_issued__descriptor,
	&ipc__enrol_request__descriptor, &ipc__enrol_answer__descriptor,
	&ipc__admit_request__descriptor, &ipc__admit_answer__descriptor,
	&ipc__session_end__descriptor,	 &ipc__device_drop__descriptor,
	&ipc__target__descriptor,	 &ipc__observed__descriptor,
	&ipc__device_state__descriptor,	 &ipc__grant__descriptor,
	&ipc__grant_revoke__descriptor,	 &ipc__series__descriptor,
	&ipc__batch_ack__descriptor,	 &ipc__batch_refused__descriptor,
	&ipc__feed_end__descriptor,	 &ipc__feed_ack__descriptor,
	&ipc__state_at__descriptor,	 &ipc__state_end__descriptor,
	&ipc__record__descriptor,	 &ipc__recorded__descriptor,
	&ipc__witness_ask__descriptor,	 &ipc__witness_answer__descriptor,
	&ipc__policy__descriptor,	 &ipc__session_check__descriptor,
	&ipc__session__descriptor,	 &ipc__api_request__descriptor,
	&ipc__api_answer__descriptor,	 &ipc__api_cancel__descriptor,
	&ipc__event__descriptor,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	const ProtobufCMessageDescriptor *d = all[data[0] % (sizeof all / sizeof *all)];
	struct arena *a = arena_new(8 << 20);
	struct err e = OK;
	ProtobufCMessage *m = ipc_unpack(d, data + 1, size - 1, a, &e);
	if (!m && e.code != ERR_PEER)
		abort();
	if (m) {
		size_t n = protobuf_c_message_get_packed_size(m);
		uint8_t *bytes = malloc(n + 1), *again = malloc(n + 1);
		if (!bytes || !again || protobuf_c_message_pack(m, bytes) != n)
			abort();
		ProtobufCMessage *back = ipc_unpack(d, bytes, n, a, &e);
		if (back && (protobuf_c_message_get_packed_size(back) != n ||
			     protobuf_c_message_pack(back, again) != n || memcmp(bytes, again, n)))
			abort();
		free(bytes);
		free(again);
	}
	arena_free(a);
	return 0;
}
