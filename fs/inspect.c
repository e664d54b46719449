/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/inspect.h"

#include "base/mem.h"
#include "fs/volume_impl.h"

static int open_steps(struct inspect *in, const struct volume_options *o,
		      struct diag *diag)
{
	struct volume *v;
	int rc = volume_new(o, &in->volume);

	if (rc < 0)
		return rc;
	v = in->volume;
	rc = recovery_inspect(v, o, diag, in);
	in->pool = v->pool;
	in->store = v->store;
	in->ix = v->ix;
	in->js = v->js;
	if (rc < 0)
		return rc;
	in->local_rc = local_peek(o->cache_dir, &v->pool->id, v->pool->keys,
				  &in->local);
	return in->local_rc == -ENOMEM ? -ENOMEM : 0;
}

int inspect_open(const struct volume_options *o, struct diag *diag,
		 struct inspect **out)
{
	struct inspect *in = mem_zalloc(sizeof(*in));
	struct volume_options own = {
		.location = o->location,
		.n = o->n,
		.pass = o->pass,
		.pass_len = o->pass_len,
		.cache_dir = o->cache_dir,
		.read_only = true,
		/* An older pool is a finding, not a reason to refuse. */
		.accept_rollback = true,
	};
	int rc = in ? open_steps(in, &own, diag) : -ENOMEM;

	if (rc < 0) {
		inspect_close(in);
		return rc;
	}
	*out = in;
	return 0;
}

void inspect_close(struct inspect *in)
{
	if (!in)
		return;
	if (in->volume)
		volume_crash(in->volume);
	manifest_release(&in->manifest);
	mem_free(in);
}
