/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "backend/pool_impl.h"

void fan_run(struct fan *f, unsigned n, uint64_t deadline_ms)
{
	uint64_t until = clock_mono_ns() + deadline_ms * 1000000;

	for (unsigned i = 0; i < n; i++)
		if (f[i].to && f[i].bio)
			bio_submit(f[i].to, f[i].bio);
	for (unsigned i = 0; i < n; i++)
		if (f[i].to)
			f[i].rc =
				f[i].bio ? bio_wait(f[i].bio, until) : -ENOMEM;
}

void fan_release(struct fan *f, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		bio_unref(f[i].bio);
		f[i].bio = NULL;
	}
}

bool fan_own_trouble(int rc)
{
	return rc == -ENOMEM || rc == -EMFILE || rc == -ENFILE || rc == -EAGAIN;
}
