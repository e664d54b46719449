/* SPDX-License-Identifier: Apache-2.0 */
#include "base_place.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/stat.h>

/* transfers */

static void what_is_written_is_read(void **state)
{
	AUTO_FD int fd = new_file(*state, "f");
	char got[16];

	assert_int_equal(os_pwrite(fd, "hello", 5, 3), 0);
	assert_int_equal(os_pread(fd, got, 5, 3), 5);
	assert_memory_equal(got, "hello", 5);
	assert_int_equal(os_pread(fd, got, 3, 0), 3);
	assert_memory_equal(got, "\0\0\0", 3);
}

static void a_read_is_short_only_at_the_end(void **state)
{
	AUTO_FD int fd = new_file(*state, "f");
	char got[16];

	assert_int_equal(os_pwrite(fd, "12345", 5, 0), 0);
	assert_int_equal(os_pread(fd, got, sizeof(got), 2), 3);
	assert_int_equal(os_pread(fd, got, sizeof(got), 5), 0);
	assert_int_equal(os_pread(fd, got, sizeof(got), 500), 0);
	assert_int_equal(os_pread(fd, got, 0, 0), 0);
	assert_int_equal(os_pwrite(fd, got, 0, 0), 0);
}

/* The kernel takes the part below the limit first: the rest must follow. */
static void a_short_write_goes_on(void **state)
{
	AUTO_FD int fd = new_file(*state, "f");
	AUTO_FREE char *data = mem_zalloc(8192);
	struct rlimit old, low;
	uint64_t size = 0;
	int rc;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	low = (struct rlimit){5000, old.rlim_max};
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
	rc = os_pwrite(fd, data, 8192, 0);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	signal(SIGXFSZ, SIG_DFL);
	assert_int_equal(rc, -EFBIG);
	assert_int_equal(os_fsize(fd, &size), 0);
	assert_int_equal(size, 5000);
}

static void errors_are_negative_errnos(void **state)
{
	const struct place *p = *state;
	char c = 0;
	uint64_t size;

	assert_int_equal(os_openat(p->dir, "absent", O_RDONLY, 0), -ENOENT);
	assert_int_equal(os_pread(-1, &c, 1, 0), -EBADF);
	assert_int_equal(os_pwrite(-1, &c, 1, 0), -EBADF);
	assert_int_equal(os_fsync(-1), -EBADF);
	assert_int_equal(os_fdatasync(-1), -EBADF);
	assert_int_equal(os_ftruncate(-1, 0), -EBADF);
	assert_int_equal(os_fallocate(-1, 0, 1), -EBADF);
	assert_int_equal(os_fsize(-1, &size), -EBADF);
	assert_int_equal(os_unlinkat(p->dir, "absent", 0), -ENOENT);
	assert_int_equal(os_renameat(p->dir, "absent", p->dir, "b"), -ENOENT);
	assert_int_equal(os_mkdirat(p->dir, "absent/x", 0700), -ENOENT);
	os_close(-1);
}

static void an_offset_past_the_largest_is_refused(void **state)
{
	AUTO_FD int fd = new_file(*state, "f");
	char c = 0;

	assert_int_equal(os_pread(fd, &c, 1, UINT64_MAX), -EINVAL);
	assert_int_equal(os_pwrite(fd, &c, 1, 1ULL << 63), -EINVAL);
	assert_int_equal(os_ftruncate(fd, UINT64_MAX), -EINVAL);
}

static void descriptors_are_not_inherited(void **state)
{
	AUTO_FD int fd = new_file(*state, "f");

	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
}

static void sizes_are_set_and_told(void **state)
{
	AUTO_FD int fd = new_file(*state, "f");
	uint64_t size = 1;
	int rc;

	assert_int_equal(os_fsize(fd, &size), 0);
	assert_int_equal(size, 0);
	assert_int_equal(os_ftruncate(fd, 12345), 0);
	assert_int_equal(os_fsize(fd, &size), 0);
	assert_int_equal(size, 12345);
	rc = os_fallocate(fd, 0, 65536);
	assert_true(rc == 0 || rc == -EOPNOTSUPP);
	assert_int_equal(os_fsync(fd), 0);
	assert_int_equal(os_fdatasync(fd), 0);
}

static void allocated_blocks_are_there(void **state)
{
	AUTO_FD int fd = new_file(*state, "f");
	int rc = os_fallocate(fd, 0, 65536);
	struct stat st;

	if (rc == -EOPNOTSUPP)
		skip();
	assert_int_equal(rc, 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, 65536);
	assert_true(st.st_blocks * 512 >= 65536);
}

static void names_are_made_moved_and_removed(void **state)
{
	const struct place *p = *state;

	assert_int_equal(os_mkdirat(p->dir, "d", 0700), 0);
	assert_int_equal(os_mkdirat(p->dir, "d", 0700), -EEXIST);
	os_close(new_file(p, "a"));
	assert_int_equal(os_renameat(p->dir, "a", p->dir, "d/b"), 0);
	assert_int_equal(os_unlinkat(p->dir, "d", AT_REMOVEDIR), -ENOTEMPTY);
	assert_int_equal(os_unlinkat(p->dir, "d/b", 0), 0);
	assert_int_equal(os_unlinkat(p->dir, "d", AT_REMOVEDIR), 0);
	assert_int_equal(names_in(p), 0);
}

/* interruption */

static atomic_uint handled;

static void handle(int number)
{
	(void)number;
	atomic_fetch_add(&handled, 1);
}

struct opener {
	char *path;
	atomic_bool done;
	int rc;
};

static void *open_to_read(void *arg)
{
	struct opener *o = arg;

	o->rc = os_openat(AT_FDCWD, o->path, O_RDONLY, 0);
	atomic_store(&o->done, true);
	return NULL;
}

/* A FIFO's reader sleeps in open until a writer comes, or a signal. */
static void a_signal_does_not_end_a_call(void **state)
{
	AUTO_FREE char *path = in(*state, "fifo");
	struct opener o = {.path = path};
	struct sigaction act = {.sa_handler = handle}; /* no SA_RESTART */
	pthread_t t;
	int writer;

	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(sigaction(SIGUSR1, &act, NULL), 0);
	assert_int_equal(pthread_create(&t, NULL, open_to_read, &o), 0);
	for (int i = 0; i < 20 && !atomic_load(&o.done); i++) {
		pthread_kill(t, SIGUSR1);
		usleep(1000);
	}
	writer = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	while (writer < 0 && errno == ENXIO && !atomic_load(&o.done)) {
		usleep(1000);
		writer = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	}
	pthread_join(t, NULL);
	signal(SIGUSR1, SIG_DFL);
	assert_true(atomic_load(&handled) > 0);
	assert_true(o.rc >= 0);
	os_close(o.rc);
	os_close(writer);
}

/* the seam */

static void every_call_counts_and_can_fail(void **state)
{
	const struct place *p = *state;
	AUTO_FD int fd = new_file(p, "f");
	uint64_t size;
	char c = 0;

	os_fail_at(1, ENOSPC, 1);
	assert_int_equal(os_openat(p->dir, "f", O_RDONLY, 0), -ENOSPC);
	assert_int_equal(os_pread(fd, &c, 1, 0), -ENOSPC);
	assert_int_equal(os_pwrite(fd, &c, 1, 0), -ENOSPC);
	assert_int_equal(os_fsync(fd), -ENOSPC);
	assert_int_equal(os_fdatasync(fd), -ENOSPC);
	assert_int_equal(os_ftruncate(fd, 0), -ENOSPC);
	assert_int_equal(os_fallocate(fd, 0, 1), -ENOSPC);
	assert_int_equal(os_fsize(fd, &size), -ENOSPC);
	assert_int_equal(os_unlinkat(p->dir, "f", 0), -ENOSPC);
	assert_int_equal(os_renameat(p->dir, "f", p->dir, "g"), -ENOSPC);
	assert_int_equal(os_mkdirat(p->dir, "d", 0700), -ENOSPC);
	assert_int_equal(os_count(), 11);
	os_fail_at(0, 0, 0);
	/* a call that fails does nothing */
	assert_int_equal(names_in(p), 1);
	assert_int_equal(os_fsize(fd, &size), 0);
	assert_int_equal(size, 0);
}

static void only_the_nth_call_fails(void **state)
{
	AUTO_FD int fd = new_file(*state, "f");

	os_fail_at(3, EDQUOT, 0);
	for (int i = 1; i <= 5; i++)
		assert_int_equal(os_fsync(fd), i == 3 ? -EDQUOT : 0);
	assert_int_equal(os_count(), 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_PLACE(what_is_written_is_read),
		IN_PLACE(a_read_is_short_only_at_the_end),
		IN_PLACE(a_short_write_goes_on),
		IN_PLACE(errors_are_negative_errnos),
		IN_PLACE(an_offset_past_the_largest_is_refused),
		IN_PLACE(descriptors_are_not_inherited),
		IN_PLACE(sizes_are_set_and_told),
		IN_PLACE(allocated_blocks_are_there),
		IN_PLACE(names_are_made_moved_and_removed),
		IN_PLACE(a_signal_does_not_end_a_call),
		IN_PLACE(every_call_counts_and_can_fail),
		IN_PLACE(only_the_nth_call_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
