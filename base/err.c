/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"

#include <stddef.h>
#include <string.h>

struct err_entry {
	const char *name;
	const char *text;
	int errno_class;
};

static const struct err_entry table[] = {
#define ERR_ENTRY(name, errno_class, text) {#name, text, errno_class},
	ERR_TABLE(ERR_ENTRY)
#undef ERR_ENTRY
};

/* NULL for the system's codes and for those nobody defined. */
static const struct err_entry *entry_of(int rc)
{
	if (rc >= -ERR_FIRST_ || rc <= -ERR_LAST_)
		return NULL;
	return &table[-rc - ERR_FIRST_ - 1];
}

static int is_system(int rc)
{
	return rc < 0 && rc >= -ERR_FIRST_;
}

int err_errno(int rc)
{
	const struct err_entry *e = entry_of(rc);

	if (e)
		return e->errno_class;
	if (is_system(rc))
		return -rc;
	return rc ? EIO : 0;
}

const char *err_name(int rc)
{
	const struct err_entry *e = entry_of(rc);
	const char *name = is_system(rc) ? strerrorname_np(-rc) : NULL;

	if (e)
		return e->name;
	if (name)
		return name;
	return rc ? "ERR_UNKNOWN" : "OK";
}

const char *err_text(int rc)
{
	const struct err_entry *e = entry_of(rc);
	const char *text = is_system(rc) ? strerrordesc_np(-rc) : NULL;

	if (e)
		return e->text;
	if (text)
		return text;
	return rc ? "unknown error" : "success";
}
