/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control socket, as a client hears it: what somebody who is no daemon of
 * ours could send. client_receive, and what people are shown of it.
 *
 * Pieces, each: length u16, bytes; what does not fit one read comes with the
 * next.
 */
#include "fuzz/fuzz.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/osfile.h"
#include "tools/client.h"
#include "tools/status_text.h"

#define WAIT_MS 0 /* all has been sent */

/* What is shown goes nowhere. */
static void mute(void)
{
	static bool done;

	if (!done)
		MUST(freopen("/dev/null", "w", stdout));
	done = true;
}

static void show(json_t *j)
{
	int code = client_code(json_string_value(json_object_get(j, "error")));

	MUST(code < 0);
	status_text_mount(j, true);
	status_text_mount(j, false);
	status_text_folder(j);
	json_decref(j);
}

static void send_pieces(int fd, struct reader *r)
{
	while (reader_left(r)) {
		size_t len;
		const uint8_t *p = fuzz_bytes(r, 16384, &len);

		if (send(fd, p, len, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
			return;
	}
}

static void receive_all(struct client *c)
{
	for (;;) {
		json_t *j = NULL;
		int rc = client_receive(c, WAIT_MS, &j);

		FUZZ_ONE_OF(rc, 0, -ETIMEDOUT, -EPIPE, -EBADMSG);
		MUST(c->len <= CLIENT_LINE_MAX);
		if (rc == 0)
			show(j);
		else if (rc != -EBADMSG || c->len == 0)
			return;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char *buf;
	struct reader r = reader_of(data, size);
	struct client c = {.fd = -1};
	int pair[2];

	fuzz_start();
	mute();
	if (!buf)
		buf = mem_alloc(CLIENT_LINE_MAX);
	MUST(buf);
	c.buf = buf;
	MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
	c.fd = pair[0];
	send_pieces(pair[1], &r);
	os_close(pair[1]);
	receive_all(&c);
	os_close(pair[0]);
	return 0;
}
