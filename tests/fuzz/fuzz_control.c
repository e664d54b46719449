/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control socket, as the daemon hears it: what a client sends, up to the
 * end of its side of the connection.
 *
 * It gets one line of JSON back, with "ok" and, when that is false, the name
 * of an error; who waits gets another line at the end.
 *
 * The file is included, as the way from a connection to its answer has no
 * entry of its own: outside there are threads and a socket with a name.
 */
#include "fs/control.c"

#include "fuzz/fuzz.h"
#include "fuzz/fuzz_kit_volume.h"

#define ANSWER_MAX  (256u << 10)
#define REQUEST_MAX (2 * CONTROL_LINE_MAX)

static struct volume *volume;

static int on_sync(void *arg)
{
	return volume_sync(arg);
}

static void start(void)
{
	struct volume_options o;
	struct diag d = DIAG_INIT;
	const struct fuzz_volume *fv = fuzz_volume();

	fuzz_volume_put(fv->object, fv->n);
	fuzz_volume_options(&o);
	MUST(volume_open(&o, &d, &volume) == 0);
}

static struct control *control_of(struct volume *v)
{
	static char mountpoint[] = "/mnt/\xff";
	struct control *c = mem_zalloc(sizeof(*c));

	MUST(c);
	c->o = (struct control_options){
		.v = v, .mountpoint = mountpoint, .sync = on_sync, .arg = v};
	c->mountpoint = mem_strdup(mountpoint);
	c->listen_fd = -1;
	c->stop_fd = -1;
	mutex_init(&c->lock);
	return c;
}

/* All that comes until the other side closes. */
static size_t hear(int fd, char *out)
{
	size_t len = 0;
	ssize_t n;

	while ((n = recv(fd, out + len, ANSWER_MAX - len, MSG_DONTWAIT)) > 0)
		len += (size_t)n;
	MUST(len < ANSWER_MAX);
	return len;
}

static json_t *line_of(const char **at, size_t *left)
{
	const char *end = memchr(*at, '\n', *left);
	json_t *j;

	MUST(end);
	j = json_loadb(*at, (size_t)(end - *at), JSON_REJECT_DUPLICATES, NULL);
	MUST(json_is_object(j));
	*left -= (size_t)(end + 1 - *at);
	*at = end + 1;
	return j;
}

static void check_answer(const char *text, size_t len, bool waited)
{
	json_t *j = line_of(&text, &len), *ok = json_object_get(j, "ok");
	const char *error = json_string_value(json_object_get(j, "error"));

	MUST(json_is_boolean(ok));
	if (json_is_false(ok))
		MUST(error && json_is_string(json_object_get(j, "message")));
	json_decref(j);
	if (waited) {
		j = line_of(&text, &len);
		MUST(json_is_true(json_object_get(j, "closed")));
		json_decref(j);
	}
	MUST(len == 0);
}

static void ask(const uint8_t *request, size_t len)
{
	static char answer[ANSWER_MAX];
	struct control *c = control_of(volume);
	struct connection *x = mem_zalloc(sizeof(*x));
	struct waiter *w;
	int pair[2], kept;

	MUST(x &&
	     socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
	MUST(send(pair[0], request, len, MSG_NOSIGNAL) == (ssize_t)len);
	MUST(shutdown(pair[0], SHUT_WR) == 0);
	*x = (struct connection){.c = c, .fd = pair[1]};
	serve(x);
	w = SLIST_FIRST(&c->waiters);
	kept = w ? w->fd : -1;
	control_finish(c, 0);
	check_answer(answer, hear(pair[0], answer), kept >= 0);
	os_close(kept);
	os_close(pair[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	fuzz_start();
	if (!volume)
		start();
	ask(data, MIN(size, (size_t)REQUEST_MAX));
	return 0;
}
