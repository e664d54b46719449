/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bytes of a lease: what comes back, what is refused, which of several
 * counts, and who can still be alive.
 */
#include "unit/backend/pool_kit.h"

#include <unistd.h>

#include "backend/lease.h"

struct fixture {
	struct keyring *keys;
	struct pool_id pool;
	struct lease_seal seal;
	struct lease l;
	struct buf *slot;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	assert_int_equal(keyring_new(&f->keys), 0);
	memset(f->pool.b, 7, sizeof(f->pool.b));
	assert_int_equal(lease_seal_init(&f->seal, &f->pool, f->keys), 0);
	f->l = (struct lease){.epoch = 5,
			      .counter = 9,
			      .state = LEASE_HELD,
			      .pid = 4711,
			      .started = 77,
			      .name = "north"};
	rnd_bytes(f->l.owner, LEASE_ID);
	rnd_bytes(f->l.epoch_id, LEASE_ID);
	rnd_bytes(f->l.host, LEASE_ID);
	rnd_bytes(f->l.boot, LEASE_ID);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	mem_fail_at(0, 0);
	buf_unref(f->slot);
	lease_seal_release(&f->seal);
	keyring_free(f->keys);
	free(f);
	return 0;
}

static void encode(struct fixture *f)
{
	buf_unref(f->slot);
	f->slot = NULL;
	assert_int_equal(lease_encode(&f->seal, &f->l, &f->slot), 0);
	assert_int_equal(f->slot->len, LEASE_SLOT);
}

static int decode(struct fixture *f, struct lease *out)
{
	return lease_decode(f->slot->data, f->slot->len, &f->pool, f->keys,
			    out);
}

static void test_comes_back(void **state)
{
	struct fixture *f = *state;
	struct lease got;

	encode(f);
	assert_int_equal(decode(f, &got), 0);
	assert_memory_equal(&got, &f->l, sizeof(got));
	f->l.state = LEASE_RELEASED;
	f->l.counter = UINT64_MAX;
	memset(f->l.name, 'x', HOST_TEXT);
	encode(f);
	assert_int_equal(decode(f, &got), 0);
	assert_memory_equal(&got, &f->l, sizeof(got));
	/* One sector: what is behind stays zero. */
	for (size_t i = 512; i < LEASE_SLOT; i++)
		assert_int_equal(f->slot->data[i], 0);
}

static void test_every_bit_counts(void **state)
{
	struct fixture *f = *state;
	struct lease got;
	size_t len = sizeof(struct lease_header) + sizeof(struct lease_body) +
		     AEAD_TAG;

	encode(f);
	for (size_t i = 0; i < len; i++) {
		int rc;

		f->slot->data[i] ^= (uint8_t)(1 << i % 8);
		rc = decode(f, &got);
		assert_true(rc == -ERR_AUTH || rc == -ERR_FORMAT);
		f->slot->data[i] ^= (uint8_t)(1 << i % 8);
	}
	for (size_t i = 0; i < len; i++)
		assert_int_equal(lease_decode(f->slot->data, i, &f->pool,
					      f->keys, &got),
				 -ERR_TRUNCATED);
	assert_int_equal(
		lease_decode(f->slot->data, len, &f->pool, f->keys, &got), 0);
}

static void test_of_others(void **state)
{
	struct fixture *f = *state;
	struct keyring *other;
	struct lease got;

	encode(f);
	f->pool.b[3]++;
	assert_int_equal(decode(f, &got), -ERR_FORMAT);
	f->pool.b[3]--;
	assert_int_equal(keyring_new(&other), 0);
	assert_int_equal(lease_decode(f->slot->data, LEASE_SLOT, &f->pool,
				      other, &got),
			 -ERR_AUTH);
	keyring_free(other);
}

/* Authentic, but made by a program that went wrong. */
static void test_nonsense(void **state)
{
	struct fixture *f = *state;
	struct lease got;

	f->l.state = LEASE_WITHDRAWN + 1;
	encode(f);
	assert_int_equal(decode(f, &got), -ERR_RANGE);
	f->l.state = (enum lease_state)0;
	f->l.counter++;
	encode(f);
	assert_int_equal(decode(f, &got), -ERR_RANGE);
	f->l.state = LEASE_HELD;
	f->l.epoch = 0;
	f->l.counter++;
	encode(f);
	assert_int_equal(decode(f, &got), -ERR_RANGE);
}

/* Neither the one before nor whom it took over from is written over. */
static void test_slots(void **state)
{
	struct fixture *f = *state;
	unsigned seen = 0;

	for (f->l.epoch = 5; f->l.epoch < 7; f->l.epoch++)
		for (f->l.counter = 1; f->l.counter < 3; f->l.counter++) {
			uint64_t at = lease_offset(&f->l);

			assert_int_equal(at % LEASE_SLOT, 0);
			assert_true(at < LEASE_FILE);
			seen |= 1u << at / LEASE_SLOT;
		}
	assert_int_equal(seen, 15);
}

static int read_from(struct fixture *f, struct lease_list *list,
		     const struct buf *file, uint64_t from)
{
	const struct lease_reader r = {
		.pool = &f->pool, .keys = f->keys, .from = from};

	return lease_list_read(list, file, &r);
}

static void put_slot(struct fixture *f, struct buf *file)
{
	encode(f);
	memcpy(file->data + lease_offset(&f->l), f->slot->data, LEASE_SLOT);
}

static void test_list(void **state)
{
	struct fixture *f = *state;
	struct lease_reader r = {.pool = &f->pool, .keys = f->keys};
	struct lease_list list = {.n = 0};
	struct buf *file = buf_new(LEASE_FILE);
	uint8_t first[LEASE_ID], second[LEASE_ID];

	assert_non_null(file);
	rnd_bytes(file->data, file->len);
	assert_int_equal(read_from(f, &list, file, 0), 0);
	assert_int_equal(list.n, 0);
	memcpy(first, f->l.owner, LEASE_ID);
	put_slot(f, file);
	f->l.counter++;
	put_slot(f, file);
	rnd_bytes(f->l.owner, LEASE_ID);
	memcpy(second, f->l.owner, LEASE_ID);
	f->l.epoch = 6;
	f->l.counter = 1;
	lease_seal_release(&f->seal);
	assert_int_equal(lease_seal_init(&f->seal, &f->pool, f->keys), 0);
	put_slot(f, file);
	assert_int_equal(read_from(f, &list, file, 0), 0);
	assert_int_equal(list.n, 2);
	assert_int_equal(lease_list_find(&list, first)->counter, 10);
	assert_int_equal(lease_list_find(&list, second)->epoch, 6);
	/* What was known stays if it is newer. */
	f->l.counter = 20;
	assert_int_equal(lease_list_add(&list, &f->l), 0);
	assert_int_equal(read_from(f, &list, file, 0), 0);
	assert_int_equal(lease_list_find(&list, second)->counter, 20);
	lease_list_release(&list);
	assert_int_equal(read_from(f, &list, file, 6), 0);
	assert_int_equal(list.n, 1);
	lease_list_release(&list);
	/* One's own need not be opened again. */
	r.known = f->seal.salt;
	assert_int_equal(lease_list_read(&list, file, &r), 0);
	assert_int_equal(list.n, 1);
	assert_non_null(lease_list_find(&list, first));
	lease_list_release(&list);
	/* Shorter than it should be: what is whole counts. */
	file->len = 2 * LEASE_SLOT + 100;
	assert_int_equal(read_from(f, &list, file, 0), 0);
	assert_int_equal(list.n, 1);
	lease_list_release(&list);
	buf_unref(file);
}

static void test_no_memory(void **state)
{
	struct fixture *f = *state;
	struct lease_list list = {.n = 0};
	struct buf *file = buf_new(LEASE_FILE);
	unsigned fails = 0;
	int rc = -ENOMEM;

	assert_non_null(file);
	memset(file->data, 0, file->len);
	put_slot(f, file);
	for (unsigned i = 1; rc; i++) {
		mem_fail_at(i, 0);
		rc = read_from(f, &list, file, 0);
		mem_fail_at(0, 0);
		assert_true(!rc || rc == -ENOMEM);
		fails += rc != 0;
	}
	assert_true(fails > 0);
	assert_int_equal(list.n, 1);
	lease_list_release(&list);
	buf_unref(file);
}

/* ---- who can be alive ---- */

static const struct host north = {.machine = "0123",
				  .boot = "boot-1",
				  .name = "north",
				  .pid = 100,
				  .started = 5};

static struct lease lease_of(struct fixture *f, const struct host *h)
{
	struct lease l = f->l;

	assert_int_equal(lease_set_host(&l, h, f->keys), 0);
	return l;
}

static bool may_live(struct fixture *f, struct host owner, struct host me)
{
	struct lease l = lease_of(f, &owner), self = lease_of(f, &me);

	return lease_may_live(&l, &self);
}

static void test_who_may_live(void **state)
{
	struct fixture *f = *state;
	struct host me = north, owner = north;
	struct host_process p;

	/* This very process: its locks have told. */
	assert_false(may_live(f, owner, me));
	/* A process of this machine that is not there. */
	owner.pid = 0x7fffffff;
	assert_false(may_live(f, owner, me));
	/* One that is: the locks did not tell everything. */
	assert_int_equal(host_process(getpid(), &p), 0);
	owner.pid = getpid();
	owner.started = p.started;
	assert_true(may_live(f, owner, me));
	owner.started = 0;
	assert_true(may_live(f, owner, me));
	/* Another process that got its number. */
	owner.started = p.started + 1;
	assert_false(may_live(f, owner, me));
	/* Before this machine was started anew. */
	owner.started = p.started;
	strcpy(owner.boot, "boot-0");
	assert_false(may_live(f, owner, me));
	/* Another machine. */
	strcpy(owner.machine, "4567");
	assert_true(may_live(f, owner, me));
	/* A clone that was given a name of its own. */
	owner = north;
	strcpy(owner.name, "south");
	assert_true(may_live(f, owner, me));
}

static void test_unknown_hosts(void **state)
{
	struct fixture *f = *state;
	struct host me = north, owner = north;
	struct lease l;

	owner.machine[0] = me.machine[0] = '\0';
	assert_true(may_live(f, owner, me));
	owner = me = north;
	owner.boot[0] = '\0';
	assert_true(may_live(f, owner, me));
	owner = north;
	me.boot[0] = '\0';
	assert_true(may_live(f, owner, me));
	/* Over is over, whoever it was. */
	l = lease_of(f, &owner);
	l.state = LEASE_RELEASED;
	assert_false(lease_may_live(&l, &f->l));
	l.state = LEASE_WITHDRAWN;
	assert_false(lease_may_live(&l, &f->l));
}

static void test_names_are_told(void **state)
{
	struct fixture *f = *state;
	struct host h = north;
	struct lease l;
	char text[160];

	memset(h.name, 'n', HOST_TEXT);
	memset(h.machine, 'm', HOST_TEXT);
	l = lease_of(f, &h);
	lease_describe(&l, text, sizeof(text));
	assert_non_null(strstr(text, "process 100"));
	assert_non_null(strstr(text, h.name));
	/* What tells the machine is not readable for who has no key. */
	encode(f);
	assert_null(memmem(f->slot->data, LEASE_SLOT, "north", 5));
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_comes_back),    T(test_every_bit_counts),
		T(test_of_others),     T(test_nonsense),
		T(test_slots),	       T(test_list),
		T(test_no_memory),     T(test_who_may_live),
		T(test_unknown_hosts), T(test_names_are_told),
	};

	return cmocka_run_group_tests(tests, kit_start, kit_stop);
}
