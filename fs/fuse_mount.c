/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuse_mount.c - a mounted volume: session, loop, signals, end.
 *
 * How it ends
 *
 *   unmounted by somebody  the kernel has written its pages before; reading
 *                          requests fails with ENODEV, the loop returns
 *   signal                 the thread "signals" has fusermount3 unmount it,
 *                          and it goes on as above
 *   signal, but in use     the same thread lets the collector bring in the
 *                          pages, and ends the loop; then it is detached
 *   kill -9                the kernel fails all requests as /dev/fuse is
 *                          closed, but not while the collector waits in the
 *                          kernel for pages: its thread, which keeps
 *                          /dev/fuse and the locks of the folders, is freed
 *                          when somebody forces an unmount
 *                          (fuse_unmount_force). That is why it stays
 *                          attached to the end, where it can be found.
 *
 * libfuse's loop waits on a semaphore in the main thread and looks at the
 * session's end only when that wait is interrupted; a signal just before the
 * wait would be missed. So the main thread is kicked (KICK_SIGNAL) until the
 * loop has returned.
 */
#include "fs/fuse_mount.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/osfile.h"
#include "base/workq.h"
#include "fs/fuse_impl.h"
#include "fs/fuse_mounts.h"
#include "fs/fuse_unmount.h"

#define KICK_SIGNAL   SIGUSR2
#define KICK_MS	      10
#define READ_AHEAD_KB "4096"
#define DIRTY_PERCENT "50"

/* ---- the kernel's limits for this mount ---- */

static void set_bdi(const struct fuse_mount *m, const char *file,
		    const char *value)
{
	AUTO_FREE char *path =
		mem_printf("/sys/class/bdi/%u:%u/%s", m->major, m->minor, file);
	AUTO_FD int fd = -1;
	int rc = path ? 0 : -ENOMEM;

	if (rc == 0)
		rc = fd = os_openat(AT_FDCWD, path, O_WRONLY, 0);
	if (rc >= 0)
		rc = os_pwrite(fd, value, strlen(value), 0);
	if (rc < 0)
		log_event(LOG_LVL_INFO, "bdi", "file=%s rc=%s", file,
			  err_name(rc));
}

static void raise_limits(const struct fuse_mount *m)
{
	if (geteuid() != 0)
		return;
	set_bdi(m, "read_ahead_kb", READ_AHEAD_KB);
	set_bdi(m, "max_ratio", DIRTY_PERCENT);
}

/* ---- signals ---- */

static void watched_signals(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGHUP);
}

static void on_kick(int signo)
{
	(void)signo;
}

/* Makes the loop return though the file system is still there. */
static void end_loop(struct fuse_mount *m)
{
	fuse_session_exit(m->se);
	while (!atomic_load(&m->ended)) {
		pthread_kill(m->main, KICK_SIGNAL);
		(void)poll(NULL, 0, KICK_MS);
	}
}

static void end_mount(struct fuse_mount *m)
{
	int rc = fuse_unmount(m->mountpoint, false, true);

	if (rc == 0 && !fuse_mounts_shared(m->major, m->minor))
		return; /* the loop ends by itself */
	log_event(LOG_LVL_WARN, "ended_in_use", "rc=%s", err_name(rc));
	m->detached = rc == 0;
	rc = fuse_pages_collect(m->pages);
	if (rc < 0)
		log_event(LOG_LVL_WARN, "collect", "rc=%s", err_name(rc));
	fuse_pages_stop(m->pages);
	end_loop(m);
}

/* Until a signal comes or stop_fd is written to. */
static void wait_for_signal(void *arg)
{
	struct fuse_mount *m = arg;
	AUTO_FD int fd = -1;
	struct pollfd p[2];
	sigset_t set;
	int n;

	watched_signals(&set);
	fd = signalfd(-1, &set, SFD_CLOEXEC);
	p[0] = (struct pollfd){.fd = fd, .events = POLLIN};
	p[1] = (struct pollfd){.fd = m->stop_fd, .events = POLLIN};
	do {
		n = poll(p, 2, -1);
	} while (n < 0 && errno == EINTR);
	if (n > 0 && !(p[1].revents & POLLIN)) {
		log_event(LOG_LVL_INFO, "signal", "action=unmount");
		end_mount(m);
	}
}

static int watch_signals(struct fuse_mount *m)
{
	struct sigaction kick = {.sa_handler = on_kick};
	sigset_t set;
	int rc;

	watched_signals(&set);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	sigaction(KICK_SIGNAL, &kick, NULL);
	m->stop_fd = eventfd(0, EFD_CLOEXEC);
	if (m->stop_fd < 0)
		return -errno;
	rc = workq_new("signals", 1, &m->signals);
	return rc < 0 ? rc : workq_submit(m->signals, wait_for_signal, m);
}

/* ---- mounting ---- */

static int add_option(struct fuse_args *args, const char *text)
{
	return fuse_opt_add_arg(args, "-o") == 0 &&
			       fuse_opt_add_arg(args, text) == 0
		       ? 0
		       : -ENOMEM;
}

/* A source may hold what separates options; libfuse unescapes it again. */
static int add_source(struct fuse_args *args, const char *source)
{
	AUTO_FREE char *text = mem_printf("fsname=%s", source);
	char *list = NULL;
	int rc = -ENOMEM;

	if (!text)
		return rc;
	for (char *p = text; *p; p++)
		if ((unsigned char)*p < ' ')
			*p = '?';
	if (fuse_opt_add_opt_escaped(&list, text) == 0)
		rc = add_option(args, list);
	free(list);
	return rc;
}

static int make_args(const struct fuse_mount_options *o, bool read_only,
		     struct fuse_args *args)
{
	int rc = fuse_opt_add_arg(args, "mendfs") == 0 ? 0 : -ENOMEM;

	if (rc == 0)
		rc = add_source(args, o->source);
	if (rc == 0)
		rc = add_option(args, "subtype=mendfs,default_permissions");
	if (rc == 0 && o->allow_other)
		rc = add_option(args, "allow_other");
	if (rc == 0 && o->kernel[0])
		rc = add_option(args, o->kernel);
	if (rc == 0 && read_only)
		rc = add_option(args, "ro");
	return rc;
}

__attribute__((format(printf, 2, 0))) static void
log_libfuse(enum fuse_log_level level, const char *fmt, va_list ap)
{
	char line[512];
	size_t len;

	if (vsnprintf(line, sizeof(line), fmt, ap) < 0)
		return;
	len = strcspn(line, "\n");
	line[len] = '\0';
	log_event(level <= FUSE_LOG_WARNING ? LOG_LVL_WARN : LOG_LVL_DEBUG,
		  "libfuse", "text=\"%s\"", line);
}

static int find_device(struct fuse_mount *m)
{
	struct mounted at;
	int rc = fuse_mounts_find(m->mountpoint, false, &at);

	if (rc < 0)
		return rc;
	m->major = at.major;
	m->minor = at.minor;
	mounted_release(&at);
	return 0;
}

static int make_session(struct fuse_mount *m,
			const struct fuse_mount_options *o, struct diag *diag)
{
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	int rc = make_args(o, volume_read_only(m->v), &args);

	fuse_set_log_func(log_libfuse);
	if (rc == 0) {
		m->se = fuse_session_new(&args, &fuse_ops_table,
					 sizeof(fuse_ops_table), m);
		if (!m->se)
			rc = diag_fail(diag, -EINVAL,
				       "%s: libfuse refuses the mount options",
				       o->mountpoint);
	}
	fuse_opt_free_args(&args);
	return rc;
}

static int mount_session(struct fuse_mount *m, struct diag *diag)
{
	int rc;

	errno = 0;
	if (fuse_session_mount(m->se, m->mountpoint) != 0) {
		rc = errno ? -errno : -EPERM;
		return diag_fail(diag, rc,
				 "%s: cannot mount: %s; check that /dev/fuse "
				 "is there and that fusermount3 is installed",
				 m->mountpoint, err_text(rc));
	}
	rc = fuse_session_custom_io(m->se, &fuse_wire_io,
				    fuse_session_fd(m->se));
	return rc < 0 ? rc : find_device(m);
}

/* What serving needs besides the session. */
static int make_helpers(struct fuse_mount *m)
{
	int rc = fuse_pages_new(m->se, &m->pages);

	if (rc == 0)
		rc = workq_new("parked", FUSE_PARKED_THREADS, &m->parked);
	return rc < 0 ? rc : watch_signals(m);
}

int fuse_mount_new(struct volume *v, const struct fuse_mount_options *o,
		   struct diag *diag, struct fuse_mount **out)
{
	struct fuse_mount *m = mem_zalloc(sizeof(*m));
	int rc;

	if (!m)
		return -ENOMEM;
	m->v = v;
	m->stop_fd = -1;
	m->main = pthread_self();
	m->mountpoint = mem_strdup(o->mountpoint);
	rc = m->mountpoint ? make_session(m, o, diag) : -ENOMEM;
	if (rc == 0)
		rc = mount_session(m, diag);
	if (rc == 0)
		rc = make_helpers(m);
	if (rc < 0) {
		fuse_mount_free(m);
		return diag_fail(diag, rc, "%s: cannot mount: %s",
				 o->mountpoint, err_text(rc));
	}
	raise_limits(m);
	*out = m;
	return 0;
}

/* ---- running ---- */

static unsigned idle_threads(void)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned n = cpus > 0 ? (unsigned)cpus + 2 : 0;

	return MIN(MAX(n, FUSE_THREADS_IDLE), FUSE_THREADS_MAX);
}

int fuse_mount_run(struct fuse_mount *m)
{
	struct fuse_loop_config *cfg = fuse_loop_cfg_create();
	int rc = -ENOMEM;

	if (cfg) {
		fuse_loop_cfg_set_max_threads(cfg, FUSE_THREADS_MAX);
		fuse_loop_cfg_set_idle_threads(cfg, idle_threads());
		rc = fuse_session_loop_mt(m->se, cfg);
		fuse_loop_cfg_destroy(cfg);
	}
	atomic_store(&m->ended, true);
	return rc > 0 ? -EIO : rc;
}

static void stop_signals(struct fuse_mount *m)
{
	uint64_t one = 1;

	if (m->stop_fd >= 0 && write(m->stop_fd, &one, sizeof(one)) < 0)
		log_event(LOG_LVL_ERROR, "eventfd", "rc=%s", err_name(-errno));
	workq_free(steal(&m->signals));
	os_close(m->stop_fd);
}

void fuse_mount_free(struct fuse_mount *m)
{
	if (!m)
		return;
	atomic_store(&m->ended, true);
	stop_signals(m);
	workq_free(m->parked);
	fuse_pages_free(m->pages);
	/* Detached by us: the path may be another mount's by now. */
	if (m->se && !m->detached)
		fuse_session_unmount(m->se);
	if (m->se)
		fuse_session_destroy(m->se);
	mem_free(m->mountpoint);
	mem_free(m);
}

unsigned fuse_mount_major(const struct fuse_mount *m)
{
	return m->major;
}

unsigned fuse_mount_minor(const struct fuse_mount *m)
{
	return m->minor;
}

int fuse_mount_sync(struct fuse_mount *m)
{
	int rc = fuse_pages_collect(m->pages);

	return rc < 0 ? rc : volume_sync(m->v);
}
