/* SPDX-License-Identifier: Apache-2.0 */
#include "base/diag.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/err.h"

int diag_fail(struct diag *d, int rc, const char *fmt, ...)
{
	va_list ap;

	if (!d || d->text[0])
		return rc;
	va_start(ap, fmt);
	if (vsnprintf(d->text, sizeof(d->text), fmt, ap) < 0)
		d->text[0] = '\0';
	va_end(ap);
	return rc;
}

const char *diag_text(const struct diag *d, int rc)
{
	return d && d->text[0] ? d->text : err_text(rc);
}
