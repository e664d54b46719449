/* SPDX-License-Identifier: Apache-2.0 */
/*
 * control.c - the control socket of a running daemon.
 *
 * One thread accepts; each connection is a job of a small queue, so that a
 * long sync does not keep a status waiting. A connection that waits for the
 * end ("wait") holds no thread, it is only remembered.
 */
#include "fs/control.h"

#include <jansson.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/osfile.h"
#include "base/sync.h"
#include "base/workq.h"
#include "fs/control_path.h"
#include "fs/control_status.h"

#define REQUEST_THREADS 4
#define CONNECTIONS_MAX 64 /* unanswered ones; more are turned away */
#define BACKLOG		16

struct waiter {
	SLIST_ENTRY(waiter) next;
	int fd;
};

struct control {
	struct control_options o; /* mountpoint: owned_mountpoint */
	char *mountpoint;
	struct sockaddr_un addr;
	int listen_fd;
	int stop_fd; /* eventfd */
	struct workq *acceptor;
	struct workq *requests;
	struct mutex lock;
	SLIST_HEAD(, waiter) waiters; /* under lock */
};

/* One accepted connection. */
struct connection {
	struct control *c;
	int fd;
	bool kept; /* fd lives on as a waiter's */
};

/* ---- lines ---- */

static int poll_until(int fd, short events, uint64_t deadline_ms)
{
	struct pollfd p = {.fd = fd, .events = events};
	uint64_t now = clock_mono_ms();
	int n;

	if (now >= deadline_ms)
		return -ETIMEDOUT;
	n = poll(&p, 1, (int)MIN(deadline_ms - now, INT32_MAX));
	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	return n == 0 ? -ETIMEDOUT : 0;
}

/* A line without its newline; what follows it is not looked at. */
static int read_line(int fd, char *line)
{
	uint64_t deadline = clock_mono_ms() + CONTROL_TIMEOUT_MS;
	size_t len = 0;

	while (len < CONTROL_LINE_MAX) {
		int rc = poll_until(fd, POLLIN, deadline);
		ssize_t n;
		char *end;

		if (rc < 0)
			return rc;
		n = recv(fd, line + len, CONTROL_LINE_MAX - len, MSG_DONTWAIT);
		if (n == 0)
			return -EPIPE;
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return -errno;
		if (n < 0)
			continue;
		end = memchr(line + len, '\n', (size_t)n);
		len += (size_t)n;
		if (end) {
			*end = '\0';
			return 0;
		}
	}
	return -EMSGSIZE;
}

static int send_all(int fd, const char *data, size_t len)
{
	uint64_t deadline = clock_mono_ms() + CONTROL_TIMEOUT_MS;

	while (len > 0) {
		int rc = poll_until(fd, POLLOUT, deadline);
		ssize_t n;

		if (rc < 0)
			return rc;
		n = send(fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return -errno;
		if (n > 0) {
			data += n;
			len -= (size_t)n;
		}
	}
	return 0;
}

/* Takes the reference of j; NULL counts as no memory. */
static void send_json(int fd, json_t *j)
{
	char *text = j ? json_dumps(j, JSON_COMPACT) : NULL;
	int rc = text ? send_all(fd, text, strlen(text)) : -ENOMEM;

	if (rc == 0)
		rc = send_all(fd, "\n", 1);
	if (rc < 0)
		log_event(LOG_LVL_INFO, "control_answer", "rc=%s",
			  err_name(rc));
	free(text);
	json_decref(j);
}

static void send_error(int fd, int rc)
{
	send_json(fd, json_pack("{s:b,s:s,s:s}", "ok", 0, "error", err_name(rc),
				"message", err_text(rc)));
}

/* ---- commands ---- */

static void cmd_ping(struct connection *x)
{
	send_json(x->fd, json_pack("{s:b,s:i}", "ok", 1, "pid", (int)getpid()));
}

static void cmd_status(struct connection *x)
{
	json_t *j = NULL;
	int rc = control_status_json(x->c->o.v, x->c->mountpoint, &j);

	if (rc < 0)
		send_error(x->fd, rc);
	else
		send_json(x->fd, j);
}

static void cmd_sync(struct connection *x)
{
	int rc = x->c->o.sync(x->c->o.arg);

	if (rc < 0)
		send_error(x->fd, rc);
	else
		send_json(x->fd, json_pack("{s:b}", "ok", 1));
}

static bool is_gone(int fd)
{
	struct pollfd p = {.fd = fd};

	return poll(&p, 1, 0) == 1 && (p.revents & (POLLHUP | POLLERR));
}

/* Clients that ended: each would hold a descriptor for good. */
static void forget_gone_locked(struct control *c)
{
	struct waiter *w = SLIST_FIRST(&c->waiters), *next;

	SLIST_INIT(&c->waiters);
	for (; w; w = next) {
		next = SLIST_NEXT(w, next);
		if (!is_gone(w->fd)) {
			SLIST_INSERT_HEAD(&c->waiters, w, next);
			continue;
		}
		os_close(w->fd);
		mem_free(w);
	}
}

static void cmd_wait(struct connection *x)
{
	struct waiter *w = mem_alloc(sizeof(*w));

	if (!w) {
		send_error(x->fd, -ENOMEM);
		return;
	}
	cmd_ping(x);
	w->fd = x->fd;
	x->kept = true;
	MUTEX_GUARD(&x->c->lock);
	forget_gone_locked(x->c);
	SLIST_INSERT_HEAD(&x->c->waiters, w, next);
}

static const struct {
	const char *name;
	void (*run)(struct connection *x);
} commands[] = {
	{"ping", cmd_ping},
	{"status", cmd_status},
	{"sync", cmd_sync},
	{"wait", cmd_wait},
};

static void run_command(struct connection *x, const char *line)
{
	json_t *j = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
	const char *name = json_string_value(json_object_get(j, "command"));
	size_t i = 0;

	while (name && i < ARRAY_LEN(commands) &&
	       strcmp(commands[i].name, name) != 0)
		i++;
	if (name && i < ARRAY_LEN(commands))
		commands[i].run(x);
	else
		send_error(x->fd, -ERR_USAGE);
	json_decref(j);
}

static void serve(void *arg)
{
	AUTO_FREE struct connection *x = arg;
	char line[CONTROL_LINE_MAX];
	int rc = control_path_check_peer(x->fd, geteuid());

	if (rc == 0)
		rc = read_line(x->fd, line);
	if (rc < 0)
		send_error(x->fd, rc);
	else
		run_command(x, line);
	if (!x->kept)
		os_close(x->fd);
}

/* ---- accepting ---- */

static int take_connection(struct control *c)
{
	AUTO_FREE struct connection *x = mem_zalloc(sizeof(*x));
	int fd =
		accept4(c->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	int rc = x ? 0 : -ENOMEM;

	if (fd < 0)
		return errno == EAGAIN || errno == ECONNABORTED ? 0 : -errno;
	if (rc == 0 && workq_load(c->requests) >= CONNECTIONS_MAX)
		rc = -EBUSY;
	if (rc == 0) {
		*x = (struct connection){.c = c, .fd = fd};
		rc = workq_submit(c->requests, serve, x);
	}
	if (rc < 0)
		os_close(fd);
	else
		(void)steal(&x);
	return rc;
}

#define AFTER_FAILURE_MS 100 /* out of descriptors: no busy loop */

static void accept_all(void *arg)
{
	struct control *c = arg;
	struct pollfd p[2] = {
		{.fd = c->listen_fd, .events = POLLIN},
		{.fd = c->stop_fd, .events = POLLIN},
	};

	while (!(p[1].revents & POLLIN)) {
		int rc = 0;

		if (poll(p, 2, -1) < 0)
			rc = errno == EINTR ? 0 : -errno;
		else if (p[0].revents)
			rc = take_connection(c);
		if (rc < 0)
			(void)poll(&p[1], 1, AFTER_FAILURE_MS);
	}
}

/* ---- start and end ---- */

static int listen_at(struct control *c)
{
	int rc = control_path_make(c->o.major, c->o.minor, &c->addr);
	int type = SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK;

	if (rc < 0)
		return rc;
	c->listen_fd = socket(AF_UNIX, type, 0);
	if (c->listen_fd < 0)
		return -errno;
	/* Of a mount that is gone: the number is ours now. */
	(void)unlink(c->addr.sun_path);
	if (bind(c->listen_fd, (const struct sockaddr *)&c->addr,
		 sizeof(c->addr)) < 0 ||
	    listen(c->listen_fd, BACKLOG) < 0)
		return -errno;
	return 0;
}

static int start_threads(struct control *c)
{
	int rc = workq_new("control-req", REQUEST_THREADS, &c->requests);

	if (rc == 0)
		rc = workq_new("control", 1, &c->acceptor);
	return rc < 0 ? rc : workq_submit(c->acceptor, accept_all, c);
}

int control_start(const struct control_options *o, struct diag *diag,
		  struct control **out)
{
	struct control *c = mem_zalloc(sizeof(*c));
	int rc;

	if (!c)
		return -ENOMEM;
	c->o = *o;
	c->listen_fd = -1;
	mutex_init(&c->lock);
	c->mountpoint = mem_strdup(o->mountpoint);
	c->stop_fd = eventfd(0, EFD_CLOEXEC);
	rc = c->stop_fd < 0 ? -errno : c->mountpoint ? 0 : -ENOMEM;
	if (rc == 0)
		rc = listen_at(c);
	if (rc == 0)
		rc = start_threads(c);
	if (rc < 0) {
		const char *where = c->addr.sun_path;

		rc = diag_fail(diag, rc,
			       "control socket %s: %s; its folder "
			       "must belong to you alone (mode 0700)",
			       *where ? where : "folder", err_text(rc));
		control_quiesce(c);
		control_finish(c, rc);
		return rc;
	}
	*out = c;
	return 0;
}

void control_quiesce(struct control *c)
{
	uint64_t one = 1;

	if (!c)
		return;
	if (c->listen_fd >= 0)
		(void)unlink(c->addr.sun_path);
	if (c->stop_fd >= 0 && write(c->stop_fd, &one, sizeof(one)) < 0)
		log_event(LOG_LVL_ERROR, "eventfd", "rc=%s", err_name(-errno));
	workq_free(steal(&c->acceptor));
	workq_free(steal(&c->requests));
	os_close(c->listen_fd);
	c->listen_fd = -1;
}

void control_finish(struct control *c, int rc)
{
	struct waiter *w;

	if (!c)
		return;
	while ((w = SLIST_FIRST(&c->waiters))) {
		SLIST_REMOVE_HEAD(&c->waiters, next);
		send_json(w->fd,
			  json_pack("{s:b,s:s?,s:s?}", "closed", 1, "error",
				    rc ? err_name(rc) : NULL, "message",
				    rc ? err_text(rc) : NULL));
		mem_free(w);
	}
	os_close(c->stop_fd);
	mutex_destroy(&c->lock);
	mem_free(c->mountpoint);
	mem_free(c);
}
