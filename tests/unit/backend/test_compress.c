/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/base/base_test.h"

#include <malloc.h>
#include <string.h>

#include "backend/compress.h"
#include "base/bytes.h"
#include "base/mem.h"
#include "base/rnd.h"
#include "base/workq.h"

#define CHUNK ((size_t)128 * 1024)
#define GUARD 0x5a

static void fill_text(uint8_t *p, size_t len)
{
	static const char *const words[] = {"segment ",	   "fragment ",
					    "stripe ",	   "journal\n",
					    "epoch ",	   "0, ",
					    "checkpoint ", "index."};
	size_t at = 0;

	while (at < len) {
		const char *w = words[rnd_below(ARRAY_LEN(words))];
		size_t n = MIN(strlen(w), len - at);

		memcpy(p + at, w, n);
		at += n;
	}
}

static uint8_t *block_of(size_t len, void (*fill)(uint8_t *, size_t))
{
	uint8_t *p = mem_alloc(len);

	assert_non_null(p);
	fill(p, len);
	return p;
}

static void fill_zero(uint8_t *p, size_t len)
{
	memset(p, 0, len);
}

static void fill_noise(uint8_t *p, size_t len)
{
	rnd_bytes(p, len);
}

/* Compresses within a guarded buffer of just len bytes; the result's size. */
static size_t guarded_try(int level, const uint8_t *in, size_t len,
			  uint8_t **out)
{
	uint8_t *b = mem_alloc(len + 16);

	assert_non_null(b);
	memset(b, GUARD, len + 16);
	size_t n = compress_try(level, in, len, b);
	for (size_t i = 0; i < 16; i++)
		assert_int_equal(b[len + i], GUARD);
	assert_true(n == 0 || n < len - len / 16);
	*out = b;
	return n;
}

static size_t round_trip(int level, const uint8_t *in, size_t len)
{
	uint8_t *packed;
	uint8_t *back = mem_alloc(len + 16);

	assert_non_null(back);
	memset(back, GUARD, len + 16);
	size_t n = guarded_try(level, in, len, &packed);
	if (n) {
		assert_int_equal(decompress(packed, n, back, len), 0);
		assert_memory_equal(back, in, len);
		assert_int_equal(back[len], GUARD);
	}
	mem_free(packed);
	mem_free(back);
	return n;
}

static void sizes_and_levels(void **state)
{
	static const int levels[] = {-5, 0, 1, 3, 9, 19, 100, -999};
	static const size_t sizes[] = {64,    100,	 1000,	 4095,
				       4096,  16384,	 65537,	 131071,
				       CHUNK, CHUNK + 1, 1 << 20};

	(void)state;
	for (size_t l = 0; l < ARRAY_LEN(levels); l++) {
		for (size_t s = 0; s < ARRAY_LEN(sizes); s++) {
			size_t len = sizes[s];
			uint8_t *zero = block_of(len, fill_zero);
			uint8_t *text = block_of(len, fill_text);

			/* the fastest levels find little in a short block */
			bool few = levels[l] < 0 && len < 4096;
			size_t n = round_trip(levels[l], zero, len);
			assert_true(n > 0 || few);
			n = round_trip(levels[l], text, len);
			assert_true(n > 0 || len < 1000 || few ||
				    levels[l] < -5);
			mem_free(zero);
			mem_free(text);
		}
	}
}

static void tiny(void **state)
{
	uint8_t in[64];

	(void)state;
	for (size_t len = 0; len <= sizeof(in); len++) {
		memset(in, 'a', sizeof(in));
		round_trip(1, in, len);
		rnd_bytes(in, sizeof(in));
		assert_int_equal(round_trip(1, in, len), 0);
	}
	assert_int_equal(compress_try(1, NULL, 0, NULL), 0);
}

static void level_none(void **state)
{
	uint8_t *zero = block_of(CHUNK, fill_zero);
	uint8_t *out = block_of(CHUNK, fill_noise);

	(void)state;
	assert_int_equal(compress_try(COMPRESS_NONE, zero, CHUNK, out), 0);
	mem_free(zero);
	mem_free(out);
}

static void noise_stays(void **state)
{
	(void)state;
	for (size_t len = 1000; len < 600000; len = len * 5 / 4 + 1) {
		uint8_t *noise = block_of(len, fill_noise);

		assert_int_equal(round_trip(1, noise, len), 0);
		assert_int_equal(round_trip(12, noise, len), 0);
		mem_free(noise);
	}
}

/* What looks like noise byte by byte but is there twice. */
static void repeated_noise_shrinks(void **state)
{
	uint8_t *b = mem_alloc(CHUNK);

	(void)state;
	assert_non_null(b);
	for (size_t period = 700; period <= CHUNK / 2; period += period / 3) {
		rnd_bytes(b, period);
		for (size_t i = period; i < CHUNK; i++)
			b[i] = b[i - period];
		size_t n = round_trip(1, b, CHUNK);
		assert_true(n > 0);
		assert_true(n < period + CHUNK / 16);
	}
	mem_free(b);
}

/* Noise with a part that shrinks, wherever that part is. */
static void partial_noise_shrinks(void **state)
{
	enum {
		PARTS = 8
	};
	uint8_t *b = mem_alloc(CHUNK);

	(void)state;
	assert_non_null(b);
	for (size_t i = 0; i < PARTS; i++) {
		size_t at = i * (CHUNK / PARTS);

		rnd_bytes(b, CHUNK);
		fill_text(b + at, CHUNK / PARTS);
		assert_true(round_trip(1, b, CHUNK) > 0);
		rnd_bytes(b, CHUNK);
		memset(b + at, 0, CHUNK / PARTS);
		assert_true(round_trip(1, b, CHUNK) > 0);
	}
	mem_free(b);
}

/* Pages of 4 KiB: a head of noise, then zeros, or the other way round. */
static void pages_shrink(void **state)
{
	uint8_t *b = mem_zalloc(CHUNK);

	(void)state;
	assert_non_null(b);
	for (size_t at = 0; at < CHUNK; at += 4096)
		rnd_bytes(b + at, 2048);
	assert_true(round_trip(1, b, CHUNK) > 0);
	for (size_t at = 0; at < CHUNK; at += 4096) {
		memset(b + at, 0, 2048);
		rnd_bytes(b + at + 2048, 2048);
	}
	assert_true(round_trip(1, b, CHUNK) > 0);
	mem_free(b);
}

/* What would shrink by less than a sixteenth is left alone. */
static void small_gains_are_no_gains(void **state)
{
	unsigned kept = 0;

	(void)state;
	for (size_t len = 4000; len <= CHUNK; len = len * 3 / 2) {
		for (size_t parts = 0; parts < 32; parts++) {
			uint8_t *b = block_of(len, fill_noise);
			size_t zeros = len / 128 * parts;

			memset(b + (len - zeros) / 2, 0, zeros);
			size_t n = round_trip(1, b, len);
			assert_true(n == 0 || zeros > len / 16);
			assert_true(n > 0 || zeros < len / 8);
			kept += n == 0;
			mem_free(b);
		}
	}
	assert_true(kept > 0);
}

/* Bytes of 7 bits of entropy, without any repeats: Huffman's work. */
static void skewed_bytes_shrink(void **state)
{
	uint8_t *b = block_of(CHUNK, fill_noise);

	(void)state;
	for (size_t i = 0; i < CHUNK; i++)
		b[i] &= 0x7f;
	assert_true(round_trip(1, b, CHUNK) > 0);
	mem_free(b);
}

/* --- decompress --------------------------------------------------------- */

struct packed {
	size_t len; /* of the original */
	size_t n;
	uint8_t *in, *bytes, *out;
};

static struct packed packed_make(size_t len)
{
	struct packed p = {.len = len};

	p.in = block_of(len, fill_text);
	p.n = guarded_try(1, p.in, len, &p.bytes);
	p.out = mem_alloc(2 * len + 16);
	assert_non_null(p.out);
	assert_true(p.n > 0);
	return p;
}

static void packed_release(struct packed *p)
{
	mem_free(p->in);
	mem_free(p->bytes);
	mem_free(p->out);
}

/* Whatever comes in, nothing is written behind out_len. */
static int guarded_decompress(const void *in, size_t n, struct packed *p,
			      size_t out_len)
{
	memset(p->out, GUARD, 2 * p->len + 16);
	int rc = decompress(in, n, p->out, out_len);
	for (size_t i = out_len; i < out_len + 16; i++)
		assert_int_equal(p->out[i], GUARD);
	return rc;
}

static void wrong_sizes(void **state)
{
	struct packed p = packed_make(3000);

	(void)state;
	for (size_t out_len = 0; out_len <= 2 * p.len; out_len++)
		assert_int_equal(guarded_decompress(p.bytes, p.n, &p, out_len),
				 out_len == p.len ? 0 : -ERR_CORRUPT);
	for (size_t n = 0; n < p.n; n++)
		assert_int_equal(guarded_decompress(p.bytes, n, &p, p.len),
				 -ERR_CORRUPT);
	p.bytes[p.n] = 0; /* there is room behind */
	assert_int_equal(guarded_decompress(p.bytes, p.n + 1, &p, p.len),
			 -ERR_CORRUPT);
	packed_release(&p);
}

static void damaged(void **state)
{
	struct packed p = packed_make(3000);
	unsigned refused = 0;

	(void)state;
	for (size_t bit = 0; bit < 8 * p.n; bit++) {
		p.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		int rc = guarded_decompress(p.bytes, p.n, &p, p.len);
		assert_true(rc == 0 || rc == -ERR_CORRUPT);
		refused += rc != 0;
		p.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	assert_true(refused > 0);
	packed_release(&p);
}

static void garbage(void **state)
{
	struct packed p = packed_make(3000);
	uint8_t in[300];

	(void)state;
	for (unsigned t = 0; t < 20000; t++) {
		size_t n = rnd_below(sizeof(in) + 1);

		rnd_bytes(in, sizeof(in));
		if (t % 2) /* as far as the blocks */
			memcpy(in, p.bytes, MIN(p.n, 4 + rnd_below(16)));
		int rc = guarded_decompress(in, n, &p, p.len);
		assert_true(rc == 0 || rc == -ERR_CORRUPT);
	}
	packed_release(&p);
}

/* Frames that zstd would take but compress_try never makes. */
static void foreign_frames(void **state)
{
	/* magic, "single segment, 1 byte of size", size 0, empty last block */
	static const uint8_t empty[] = {0x28, 0xb5, 0x2f, 0xfd, 0x20,
					0x00, 0x01, 0x00, 0x00};
	/* skippable frame of 0 bytes */
	static const uint8_t skip[] = {0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0};
	/* no size told; a raw last block of 1 byte */
	static const uint8_t no_size[] = {0x28, 0xb5, 0x2f, 0xfd, 0x00,
					  0x00, 0x09, 0x00, 0x00, 'x'};
	struct packed p = packed_make(3000);
	uint8_t two[4096];

	(void)state;
	assert_int_equal(guarded_decompress(empty, sizeof(empty), &p, 0), 0);
	assert_int_equal(guarded_decompress(skip, sizeof(skip), &p, 0),
			 -ERR_CORRUPT);
	assert_int_equal(guarded_decompress(no_size, sizeof(no_size), &p, 1),
			 -ERR_CORRUPT);
	/* one behind the other, in both orders */
	assert_true(p.n + sizeof(skip) + sizeof(empty) <= sizeof(two));
	memcpy(two, p.bytes, p.n);
	memcpy(two + p.n, empty, sizeof(empty));
	assert_int_equal(guarded_decompress(two, p.n + sizeof(empty), &p,
					    p.len),
			 -ERR_CORRUPT);
	memcpy(two, skip, sizeof(skip));
	memcpy(two + sizeof(skip), p.bytes, p.n);
	assert_int_equal(guarded_decompress(two, p.n + sizeof(skip), &p, p.len),
			 -ERR_CORRUPT);
	/* magic numbers of zstd 0.1 to 0.7 */
	memcpy(two, p.bytes, p.n);
	for (uint32_t magic = 0xfd2fb51e; magic <= 0xfd2fb527; magic++) {
		put_le32(two, magic);
		assert_int_equal(guarded_decompress(two, p.n, &p, p.len),
				 -ERR_CORRUPT);
	}
	packed_release(&p);
}

/* --- contexts ----------------------------------------------------------- */

static void thread_job(void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < 20; i++) {
		size_t len = 1000 + rnd_below(50000);
		uint8_t *text = block_of(len, fill_text);

		assert_true(round_trip(1 + (int)(i % 4), text, len) > 0);
		mem_free(text);
	}
}

/* What the ended threads held is freed: the leak checker sees to it. */
static void threads(void **state)
{
	struct workq *q;

	(void)state;
	for (unsigned round = 0; round < 3; round++) {
		assert_int_equal(workq_new("compress", 4, &q), 0);
		for (unsigned i = 0; i < 8; i++)
			assert_int_equal(workq_submit(q, thread_job, NULL), 0);
		workq_free(q);
	}
}

struct starved {
	struct packed p;
	int rc;
	size_t n;
};

static void starved_job(void *arg)
{
	struct starved *s = arg;

	mem_fail_at(1, 1);
	s->n = compress_try(1, s->p.in, s->p.len, s->p.out);
	s->rc = decompress(s->p.bytes, s->p.n, s->p.out, s->p.len);
	mem_fail_at(0, 0);
}

/* A thread that finds no memory for its contexts. */
static void no_memory(void **state)
{
	struct starved s = {.p = packed_make(3000)};
	struct workq *q;

	(void)state;
	assert_int_equal(workq_new("starved", 1, &q), 0);
	assert_int_equal(workq_submit(q, starved_job, &s), 0);
	workq_free(q);
	assert_int_equal(s.n, 0);
	assert_int_equal(s.rc, -ENOMEM);
	packed_release(&s.p);
}

struct contexts_used {
	const uint8_t *noise, *text;
	uint8_t *out;
	uint64_t by_noise, by_text;
};

static void count_job(void *arg)
{
	struct contexts_used *u = arg;

	mem_fail_at(0, 0);
	compress_try(1, u->noise, CHUNK, u->out);
	u->by_noise = mem_count();
	compress_try(1, u->text, CHUNK, u->out);
	u->by_text = mem_count();
}

/* The sample alone decides: in a new thread zstd is not even set up. */
static void noise_never_meets_zstd(void **state)
{
	uint8_t *text = block_of(CHUNK, fill_text);
	uint8_t *noise = block_of(CHUNK, fill_noise);
	uint8_t *out = block_of(CHUNK, fill_zero);
	struct contexts_used u = {noise, text, out, 99, 0};
	struct workq *q;

	(void)state;
	assert_int_equal(workq_new("noise", 1, &q), 0);
	assert_int_equal(workq_submit(q, count_job, &u), 0);
	workq_free(q);
	assert_int_equal(u.by_noise, 0);
	assert_true(u.by_text > 0);
	mem_free(text);
	mem_free(noise);
	mem_free(out);
}

/* mallinfo2 counts zstd's own allocations too (0 under a sanitizer). */
static void no_allocation_when_warm(void **state)
{
	struct packed p = packed_make(CHUNK);

	(void)state;
	for (unsigned i = 0; i < 10; i++) {
		size_t before = mallinfo2().uordblks;

		mem_fail_at(1, 1);
		assert_int_equal(compress_try(1, p.in, p.len, p.out), p.n);
		assert_int_equal(decompress(p.bytes, p.n, p.out, p.len), 0);
		assert_int_equal(mem_count(), 0);
		mem_fail_at(0, 0);
		if (i > 0)
			assert_int_equal(mallinfo2().uordblks, before);
	}
	packed_release(&p);
}

static uint64_t best_ns(const uint8_t *in, size_t len, uint8_t *out)
{
	uint64_t best = UINT64_MAX;

	for (unsigned i = 0; i < 7; i++) {
		uint64_t start = clock_mono_ns();

		compress_try(1, in, len, out);
		best = MIN(best, clock_mono_ns() - start);
	}
	return best;
}

/* The measure is loose: a sample is a hundredth of the work. */
static void noise_is_cheap(void **state)
{
	uint8_t *text = block_of(CHUNK, fill_text);
	uint8_t *noise = block_of(CHUNK, fill_noise);
	uint8_t *out = block_of(CHUNK, fill_zero);

	(void)state;
	uint64_t text_ns = best_ns(text, CHUNK, out);
	uint64_t noise_ns = best_ns(noise, CHUNK, out);
	printf("128 KiB: text %llu ns, noise %llu ns\n",
	       (unsigned long long)text_ns, (unsigned long long)noise_ns);
	assert_true(noise_ns < text_ns / 3);
	mem_free(text);
	mem_free(noise);
	mem_free(out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_and_levels),
		cmocka_unit_test(tiny),
		cmocka_unit_test(level_none),
		cmocka_unit_test(noise_stays),
		cmocka_unit_test(repeated_noise_shrinks),
		cmocka_unit_test(partial_noise_shrinks),
		cmocka_unit_test(pages_shrink),
		cmocka_unit_test(small_gains_are_no_gains),
		cmocka_unit_test(skewed_bytes_shrink),
		cmocka_unit_test(wrong_sizes),
		cmocka_unit_test(damaged),
		cmocka_unit_test(garbage),
		cmocka_unit_test(foreign_frames),
		cmocka_unit_test(threads),
		cmocka_unit_test(no_memory),
		cmocka_unit_test(noise_never_meets_zstd),
		cmocka_unit_test(no_allocation_when_warm),
		cmocka_unit_test(noise_is_cheap),
	};

	rnd_seed(test_seed());
	return cmocka_run_group_tests(tests, NULL, NULL);
}
