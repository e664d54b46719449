/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/passphrase.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/osfile.h"
#include "tools/cli.h"

/* One more than allowed, and a newline, to notice what is too long. */
#define BUFFER (PASSPHRASE_MAX + 2)

void passphrase_release(struct passphrase *p)
{
	mem_secure_free(p->text, BUFFER);
	*p = (struct passphrase){0};
}

/* ---- files ---- */

/* Others can read it: still better said than refused. */
static void check_mode(const char *who, const char *path, int fd)
{
	struct stat st;

	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & 077))
		cli_warn(who,
			 "%s can be read by others; 'chmod 600 %s' mends "
			 "that",
			 path, path);
}

/* Pipes give their content in pieces. */
static int read_all(int fd, struct passphrase *p)
{
	while (p->len < BUFFER) {
		ssize_t n = read(fd, p->text + p->len, BUFFER - p->len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		p->len += (size_t)n;
	}
	if (p->len > 0 && p->text[p->len - 1] == '\n')
		p->len--;
	return 0;
}

static int read_file(const char *who, const char *path, struct diag *diag,
		     struct passphrase *p)
{
	AUTO_FD int fd = -1;
	int rc;

	if (strcmp(path, "-") == 0) {
		rc = read_all(STDIN_FILENO, p);
		return rc < 0 ? diag_fail(diag, rc, "standard input: %s",
					  err_text(rc))
			      : 0;
	}
	rc = fd = os_openat(AT_FDCWD, path, O_RDONLY | O_NOCTTY, 0);
	if (rc >= 0) {
		check_mode(who, path, fd);
		rc = read_all(fd, p);
	}
	return rc < 0 ? diag_fail(diag, rc, "passphrase file %s: %s", path,
				  err_text(rc))
		      : 0;
}

/* ---- terminal ---- */

static int ask_twice(struct passphrase *p, struct diag *diag)
{
	struct passphrase again = {.text = mem_secure_alloc(BUFFER)};
	int rc = again.text ? 0 : -ENOMEM;

	if (rc == 0)
		rc = passphrase_ask("The same again: ", again.text, BUFFER,
				    &again.len);
	if (rc == 0 &&
	    (again.len != p->len || memcmp(again.text, p->text, p->len) != 0))
		rc = diag_fail(diag, -EINVAL, "the two passphrases differ");
	passphrase_release(&again);
	return rc;
}

static int ask(const struct passphrase_options *o, struct diag *diag,
	       struct passphrase *p)
{
	int rc =
		passphrase_ask(o->confirm ? "New passphrase: " : "Passphrase: ",
			       p->text, BUFFER, &p->len);

	if (rc == -ENXIO)
		return diag_fail(diag, rc,
				 "no passphrase and no terminal to ask for it; "
				 "give a file that holds it (passfile), or set "
				 "MENDFS_PASSFILE");
	if (rc == 0 && o->confirm && p->len > 0)
		rc = ask_twice(p, diag);
	return rc < 0 ? diag_fail(diag, rc, "no passphrase: %s", err_text(rc))
		      : 0;
}

/* ---- which one ---- */

/* What systemd passes to a service; mem_free. NULL: nothing. */
static char *credential(void)
{
	const char *dir = getenv("CREDENTIALS_DIRECTORY");
	AUTO_FREE char *path = dir ? mem_printf("%s/mendfs", dir) : NULL;

	return path && access(path, R_OK) == 0 ? steal(&path) : NULL;
}

static int fetch(const struct passphrase_options *o, struct diag *diag,
		 struct passphrase *p)
{
	const char *file = o->file ? o->file : getenv("MENDFS_PASSFILE");
	AUTO_FREE char *cred = NULL;

	if (!file || !*file)
		file = cred = credential();
	return file ? read_file(o->who, file, diag, p) : ask(o, diag, p);
}

int passphrase_get(const struct passphrase_options *o, struct diag *diag,
		   struct passphrase *out)
{
	int rc;

	*out = (struct passphrase){.text = mem_secure_alloc(BUFFER)};
	if (!out->text)
		return -ENOMEM;
	rc = fetch(o, diag, out);
	if (rc == 0 && out->len == 0)
		rc = diag_fail(diag, -EINVAL,
			       "the passphrase is empty; mendfs always "
			       "encrypts and needs one");
	if (rc == 0 && out->len > PASSPHRASE_MAX)
		rc = diag_fail(diag, -EINVAL,
			       "the passphrase is longer than %d bytes",
			       PASSPHRASE_MAX);
	if (rc < 0)
		passphrase_release(out);
	return rc;
}
