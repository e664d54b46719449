/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/peek.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/osfile.h"
#include "backend/backend.h"
#include "backend/pool.h"

#define SLOTS	  2
#define LOCKS_MAX (16u << 20)

static int read_slot(struct backend *b, unsigned slot, struct sb_clear *out)
{
	char name[] = "mendfs.super.0";
	AUTO_BIO struct bio *r = NULL;
	int rc;

	name[sizeof(name) - 2] = (char)('0' + slot);
	r = bio_new_get(name, 0, SB_MAX_BYTES, false);
	if (!r)
		return -ENOMEM;
	(void)bio_submit(b, r); /* bio_wait tells */
	rc = bio_wait(r, clock_mono_ns() + POOL_DEADLINE_MS * 1000000ULL);
	if (rc < 0)
		return rc;
	return superblock_peek(bio_data(r)->data, bio_data(r)->len, out);
}

/* Absence is the least that one slot may tell of the folder. */
static int worse(int a, int b)
{
	return a == -ENOENT ? b : a;
}

static int read_slots(struct backend *b, struct sb_clear *out)
{
	int rc[SLOTS];
	bool found = false;

	for (unsigned i = 0; i < SLOTS; i++) {
		struct sb_clear c;

		rc[i] = read_slot(b, i, &c);
		if (rc[i] < 0 || (found && c.generation < out->generation))
			continue;
		*out = c;
		found = true;
	}
	if (found)
		return 0;
	rc[0] = worse(rc[0], rc[1]);
	return rc[0] == -ENOENT ? -ERR_NO_SUPERBLOCK : rc[0];
}

int peek_folder(const char *location, struct sb_clear *out)
{
	struct backend *b = NULL;
	int rc = backend_open(location, POOL_DEADLINE_MS, &b);

	if (rc < 0)
		return rc;
	rc = read_slots(b, out);
	backend_close(b, POOL_DEADLINE_MS);
	return rc;
}

/* "1: FLOCK  ADVISORY  WRITE 4711 08:01:131 0 EOF" */
static pid_t owner_of_line(const char *line, const struct stat *st)
{
	unsigned major_no, minor_no;
	unsigned long ino;
	int pid;

	if (sscanf(line, "%*[^:]: FLOCK %*s %*s %d %x:%x:%lu", &pid, &major_no,
		   &minor_no, &ino) != 4)
		return 0;
	if (ino != st->st_ino || major_no != major(st->st_dev) ||
	    minor_no != minor(st->st_dev))
		return 0;
	return pid;
}

pid_t peek_lock_owner(const char *location)
{
	AUTO_FREE char *path =
		mem_printf("%s/%s", driver_location_path(location), DRV_LOCK);
	AUTO_FREE uint8_t *text = NULL;
	char *line, *save = NULL;
	struct stat st;
	size_t len;
	pid_t pid = 0;

	if (!path || stat(path, &st) < 0 ||
	    os_read_file("/proc/locks", LOCKS_MAX, &text, &len) < 0)
		return 0;
	line = strtok_r((char *)text, "\n", &save);
	for (; line && pid == 0; line = strtok_r(NULL, "\n", &save))
		pid = owner_of_line(line, &st);
	return pid;
}
