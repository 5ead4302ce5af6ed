// SPDX-License-Identifier: Apache-2.0
// The smallest TCTI (TSS 2.0 TPM Command Transmission Interface): raw commands out, raw responses
// in, over one descriptor. A response is u16 tag, u32 total size, u32 code ...; a stream may
// deliver it in pieces, a TPM device only whole, so reads ask for as much as fits.

#include "lib/crypto/tpm_internal.h"

#include "lib/base/cursor.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

enum { HEADER = 10 };

static const uint64_t magic = 0x67656d656c747069; // "gemeltpi"

static struct tpm_tcti *own(TSS2_TCTI_CONTEXT *c)
{
	return (struct tpm_tcti *)c;
}

static TSS2_RC transmit(TSS2_TCTI_CONTEXT *c, size_t n, const uint8_t *command)
{
	struct tpm_tcti *t = own(c);
	t->len = 0;
	while (n > 0) {
		ssize_t done = write(t->fd, command, n);
		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0 && errno == EAGAIN) {
			poll(&(struct pollfd){t->fd, POLLOUT, 0}, 1, -1);
			continue;
		}
		if (done <= 0)
			return TSS2_TCTI_RC_IO_ERROR;
		command += done;
		n -= (size_t)done;
	}
	return TSS2_RC_SUCCESS;
}

// The size that the response says it has; 0 while that is not known; -1: nonsense.
static ssize_t response_size(const struct tpm_tcti *t)
{
	if (t->len < HEADER)
		return 0;
	struct cursor c = cursor_over(t->response, t->len);
	cursor_be16(&c);
	uint32_t size = cursor_be32(&c);
	return size < HEADER || size > TPM_MESSAGE_MAX || size < t->len ? -1 : (ssize_t)size;
}

static TSS2_RC fill(struct tpm_tcti *t, int32_t timeout)
{
	for (;;) {
		ssize_t size = response_size(t);
		if (size < 0)
			return TSS2_TCTI_RC_MALFORMED_RESPONSE;
		if (size > 0 && t->len == (size_t)size)
			return TSS2_RC_SUCCESS;
		int ready = poll(&(struct pollfd){t->fd, POLLIN, 0}, 1, timeout);
		if (ready < 0 && errno == EINTR)
			continue;
		if (ready == 0)
			return TSS2_TCTI_RC_TRY_AGAIN;
		ssize_t n = read(t->fd, t->response + t->len, sizeof t->response - t->len);
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n <= 0)
			return TSS2_TCTI_RC_IO_ERROR;
		t->len += (size_t)n;
	}
}

static TSS2_RC receive(TSS2_TCTI_CONTEXT *c, size_t *n, uint8_t *response, int32_t timeout)
{
	struct tpm_tcti *t = own(c);
	TSS2_RC rc = fill(t, timeout);
	if (rc != TSS2_RC_SUCCESS)
		return rc;
	size_t room = *n;
	*n = t->len;
	if (!response) // asks only for the size
		return TSS2_RC_SUCCESS;
	if (room < t->len)
		return TSS2_TCTI_RC_INSUFFICIENT_BUFFER;
	memcpy(response, t->response, t->len);
	memset(t->response, 0, t->len);
	t->len = 0;
	return TSS2_RC_SUCCESS;
}

static void finalize(TSS2_TCTI_CONTEXT *c)
{
	(void)c;
}

static TSS2_RC cancel(TSS2_TCTI_CONTEXT *c)
{
	(void)c;
	return TSS2_TCTI_RC_NOT_IMPLEMENTED;
}

static TSS2_RC poll_handles(TSS2_TCTI_CONTEXT *c, TSS2_TCTI_POLL_HANDLE *handles, size_t *n)
{
	if (handles && *n >= 1)
		handles[0] = (TSS2_TCTI_POLL_HANDLE){own(c)->fd, POLLIN, 0};
	*n = 1;
	return TSS2_RC_SUCCESS;
}

// The locality belongs to whoever connected us; a process cannot raise its own.
static TSS2_RC set_locality(TSS2_TCTI_CONTEXT *c, uint8_t locality)
{
	(void)c;
	return locality == 0 ? TSS2_RC_SUCCESS : TSS2_TCTI_RC_NOT_PERMITTED;
}

static TSS2_RC make_sticky(TSS2_TCTI_CONTEXT *c, TPM2_HANDLE *handle, uint8_t sticky)
{
	(void)c, (void)handle, (void)sticky;
	return TSS2_TCTI_RC_NOT_IMPLEMENTED;
}

void tpm_tcti_init(struct tpm_tcti *t, int fd)
{
	memset(t, 0, sizeof *t);
	t->common.v1.magic = magic;
	t->common.v1.version = 2;
	t->common.v1.transmit = transmit;
	t->common.v1.receive = receive;
	t->common.v1.finalize = finalize;
	t->common.v1.cancel = cancel;
	t->common.v1.getPollHandles = poll_handles;
	t->common.v1.setLocality = set_locality;
	t->common.makeSticky = make_sticky;
	t->fd = fd;
}
