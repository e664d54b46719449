/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/mount_opts.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "tools/cli.h"
#include "tools/location.h"
#include "tools/units.h"

#define COMMIT_MAX_S 3600
#define HELP_COLUMN  24

void mount_opts_init(struct mount_opts *o)
{
	*o = (struct mount_opts){.log = LOG_LVL_WARN};
}

void mount_opts_release(struct mount_opts *o)
{
	mem_free(o->passfile);
	mem_free(o->cache_dir);
	mem_free(o->kernel);
	mount_opts_init(o);
}

/* ---- ours ---- */

static int set_text(char **to, char *fresh)
{
	if (!fresh)
		return -ENOMEM;
	mem_free(*to);
	*to = fresh;
	return 0;
}

#define TAKE_FLAG(name, setting)                                        \
	static int take_##name(struct mount_opts *o, const char *value, \
			       struct diag *diag)                       \
	{                                                               \
		(void)value;                                            \
		(void)diag;                                             \
		o->setting;                                             \
		return 0;                                               \
	}
TAKE_FLAG(ro, volume.read_only = true)
TAKE_FLAG(rw, volume.read_only = false)
TAKE_FLAG(degraded, volume.degraded = true)
TAKE_FLAG(rollback, volume.accept_rollback = true)
TAKE_FLAG(verify, volume.verify = true)
TAKE_FLAG(allow_other, allow_other = true)
TAKE_FLAG(relatime, volume.atime = ATIME_REL)
TAKE_FLAG(strictatime, volume.atime = ATIME_STRICT)
#undef TAKE_FLAG

static int take_cache_size(struct mount_opts *o, const char *value,
			   struct diag *diag)
{
	uint64_t bytes;
	int rc = units_parse_size(value, &bytes);

	if (rc < 0 || bytes < CACHE_BUDGET_MIN || bytes > SIZE_MAX / 2)
		return diag_fail(diag, -EINVAL,
				 "cache_size=%s: not a size of 8M or more "
				 "(such as 256M or 2G)",
				 value);
	o->volume.cache_bytes = (size_t)bytes;
	return 0;
}

static int take_cache_dir(struct mount_opts *o, const char *value,
			  struct diag *diag)
{
	int rc;

	if (!*value)
		return diag_fail(diag, -EINVAL, "cache_dir: empty");
	rc = set_text(&o->cache_dir, location_absolute_path(value));
	o->volume.cache_dir = o->cache_dir;
	return rc;
}

static int take_commit(struct mount_opts *o, const char *value,
		       struct diag *diag)
{
	uint64_t seconds;
	int rc = units_parse_duration(value, &seconds);

	if (rc < 0 || seconds < 1 || seconds > COMMIT_MAX_S)
		return diag_fail(diag, -EINVAL,
				 "commit=%s: not a time from 1s to 1h", value);
	o->volume.commit_seconds = (unsigned)seconds;
	return 0;
}

static int take_passfile(struct mount_opts *o, const char *value,
			 struct diag *diag)
{
	if (!*value)
		return diag_fail(diag, -EINVAL, "passfile: empty");
	return set_text(&o->passfile, mem_strdup(value));
}

static int pass_on(struct mount_opts *o, const char *name)
{
	return set_text(&o->kernel,
			o->kernel ? mem_printf("%s,%s", o->kernel, name)
				  : mem_strdup(name));
}

static int take_noatime(struct mount_opts *o, const char *value,
			struct diag *diag)
{
	(void)value;
	(void)diag;
	o->volume.atime = ATIME_NO;
	return pass_on(o, "noatime");
}

static int take_log(struct mount_opts *o, const char *value, struct diag *diag)
{
	int level = log_level_parse(value);

	if (level < 0)
		return diag_fail(diag, -EINVAL,
				 "log=%s: not one of error, warn, info, debug",
				 value);
	o->log = (enum log_level)level;
	return 0;
}

struct known {
	const char *name;
	const char *value; /* NULL: takes none */
	const char *help;
	int (*take)(struct mount_opts *o, const char *value, struct diag *diag);
};

static const struct known ours[] = {
	{"ro", NULL, "read only: nothing is written to any folder", take_ro},
	{"rw", NULL, "read and write (default)", take_rw},
	{"degraded", NULL, "write without a majority of the folders",
	 take_degraded},
	{"accept_rollback", NULL,
	 "mount though acknowledged data may be missing", take_rollback},
	{"cache_size", "SIZE", "memory for cached data (256M)",
	 take_cache_size},
	{"cache_dir", "DIR", "where the local index is kept", take_cache_dir},
	{"commit", "TIME", "make changes durable at least this often (5s)",
	 take_commit},
	{"passfile", "FILE", "file that holds the passphrase, - for stdin",
	 take_passfile},
	{"verify", NULL, "check what was sealed before it is written",
	 take_verify},
	{"allow_other", NULL, "let other users in, too", take_allow_other},
	{"noatime", NULL, "do not record when files are read", take_noatime},
	{"relatime", NULL, "record it once a day or after changes (default)",
	 take_relatime},
	{"strictatime", NULL, "record it always", take_strictatime},
	{"log", "LEVEL", "error, warn (default), info or debug", take_log},
};

/* ---- those of others ---- */

static const char *const of_kernel[] = {
	"suid",	  "nosuid", "dev",   "nodev",	"exec",
	"noexec", "sync",   "async", "dirsync",
};

static const char *const skipped[] = {
	"defaults", "nofail", "auto",  "noauto", "user",
	"nouser",   "users",  "owner", "group",	 "_netdev",
};

/* Whole families of them: comments in fstab and for systemd. */
static const char *const skipped_prefixes[] = {"x-", "X-", "comment="};

static bool in_list(const char *const *list, size_t n, const char *word)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(list[i], word) == 0)
			return true;
	return false;
}

static bool is_skipped(const char *word)
{
	for (size_t i = 0; i < ARRAY_LEN(skipped_prefixes); i++)
		if (strncmp(word, skipped_prefixes[i],
			    strlen(skipped_prefixes[i])) == 0)
			return true;
	return in_list(skipped, ARRAY_LEN(skipped), word);
}

/* ---- parsing ---- */

static int take_known(struct mount_opts *o, const struct known *k,
		      const char *value, struct diag *diag)
{
	if (k->value && !value)
		return diag_fail(diag, -EINVAL,
				 "mount option '%s' needs a value: %s=%s",
				 k->name, k->name, k->value);
	if (!k->value && value)
		return diag_fail(diag, -EINVAL,
				 "mount option '%s' takes no value", k->name);
	return k->take(o, value, diag);
}

static int take_word(struct mount_opts *o, char *word, struct diag *diag)
{
	char *value;

	if (is_skipped(word))
		return 0;
	if (in_list(of_kernel, ARRAY_LEN(of_kernel), word))
		return pass_on(o, word);
	value = strchr(word, '=');
	if (value)
		*value++ = '\0';
	for (size_t i = 0; i < ARRAY_LEN(ours); i++)
		if (strcmp(ours[i].name, word) == 0)
			return take_known(o, &ours[i], value, diag);
	if (o->sloppy) {
		cli_warn("mount.mendfs", "unknown mount option '%s' skipped",
			 word);
		return 0;
	}
	return diag_fail(diag, -EINVAL, "unknown mount option '%s'", word);
}

int mount_opts_parse(struct mount_opts *o, const char *list, struct diag *diag)
{
	AUTO_FREE char *text = mem_strdup(list);
	char *word, *save = NULL;
	int rc = text ? 0 : -ENOMEM;

	for (word = text ? strtok_r(text, ",", &save) : NULL; word && rc == 0;
	     word = strtok_r(NULL, ",", &save))
		rc = take_word(o, word, diag);
	return rc;
}

void mount_opts_help(void)
{
	printf("\nmount options (-o):\n");
	for (size_t i = 0; i < ARRAY_LEN(ours); i++) {
		char left[64];

		snprintf(left, sizeof(left), "  %s%s%s", ours[i].name,
			 ours[i].value ? "=" : "",
			 ours[i].value ? ours[i].value : "");
		printf("%-*s%s\n", HELP_COLUMN, left, ours[i].help);
	}
	printf("suid, dev, exec, sync, dirsync and their opposites are passed "
	       "to the kernel.\n");
}
