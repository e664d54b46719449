/* SPDX-License-Identifier: Apache-2.0 */
#include "repair/check_impl.h"

/* "dentry, inode: 12, 7": which rows it is about is the subject. */
static void take(void *arg, const char *code, const char *text)
{
	struct check *c = arg;
	enum finding_id id = finding_by_name(code);

	if (id == FINDING_COUNT)
		check_report(c, FINDING_INDEX_OTHER, code, "%s", text);
	else
		check_tell(c, id, text);
}

int check_rules(struct check *c)
{
	int rc;

	if (!c->t->ix)
		return 0;
	rc = index_check(c->t->ix, take, c);
	if (rc < 0 && !check_own_trouble(rc)) {
		check_report(c, FINDING_INDEX_UNREADABLE, "index", "%s",
			     err_text(rc));
		rc = 0;
	}
	return rc < 0 ? rc : 0;
}
