/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_mkfs.c - mkfs.mendfs: makes a pool of some folders.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "backend/compress.h"
#include "fs/volume.h"
#include "tools/cli.h"
#include "tools/daemon.h"
#include "tools/location.h"
#include "tools/passphrase.h"
#include "tools/peek.h"
#include "tools/units.h"

#define CHUNK_DEFAULT	(128u << 10)
#define SEGMENT_DEFAULT (16u << 20)
#define UNSET		(-1)

struct mkfs_args {
	int data, parity; /* UNSET: by the number of folders */
	struct geometry geo;
	const char *label;
	const char *passfile;
	bool force;
	bool yes;
	struct locations folders;
};

/* ---- options ---- */

static int take_count(const char *name, const char *value, int *out,
		      struct diag *diag)
{
	uint64_t n;
	int rc = units_parse_number(value, 0, UINT8_MAX, &n);

	if (rc < 0)
		return diag_fail(diag, -EINVAL, "--%s %s: not a small number",
				 name, value);
	*out = (int)n;
	return 0;
}

static int take_data(void *into, const char *value, struct diag *diag)
{
	struct mkfs_args *a = into;

	return take_count("data", value, &a->data, diag);
}

static int take_parity(void *into, const char *value, struct diag *diag)
{
	struct mkfs_args *a = into;

	return take_count("parity", value, &a->parity, diag);
}

static int take_size(const char *name, const char *value, uint32_t *out,
		     struct diag *diag)
{
	uint64_t bytes;
	int rc = units_parse_size(value, &bytes);

	if (rc < 0 || bytes > UINT32_MAX)
		return diag_fail(diag, -EINVAL,
				 "--%s %s: not a size (such as 128K or 16M)",
				 name, value);
	*out = (uint32_t)bytes;
	return 0;
}

static int take_chunk(void *into, const char *value, struct diag *diag)
{
	struct mkfs_args *a = into;

	return take_size("chunk-size", value, &a->geo.chunk_bytes, diag);
}

static int take_segment(void *into, const char *value, struct diag *diag)
{
	struct mkfs_args *a = into;

	return take_size("segment-size", value, &a->geo.segment_bytes, diag);
}

/* "none", "zstd", "zstd:LEVEL" (a negative level is fast) */
static int take_compression(void *into, const char *value, struct diag *diag)
{
	struct mkfs_args *a = into;
	const char *level = value + strlen("zstd:");
	uint64_t n;

	if (strcmp(value, "none") == 0) {
		a->geo.level = COMPRESS_NONE;
		return 0;
	}
	if (strcmp(value, "zstd") == 0) {
		a->geo.level = COMPRESS_LEVEL_DEF;
		return 0;
	}
	if (strncmp(value, "zstd:", strlen("zstd:")) == 0 &&
	    units_parse_number(level + (*level == '-'), 0, 999, &n) == 0) {
		a->geo.level = (int16_t)(*level == '-' ? -(int)n : (int)n);
		return 0;
	}
	return diag_fail(diag, -EINVAL,
			 "--compression %s: not one of none, zstd, zstd:LEVEL",
			 value);
}

static int take_cipher(void *into, const char *value, struct diag *diag)
{
	struct mkfs_args *a = into;

	if (cipher_parse(value, &a->geo.cipher) < 0)
		return diag_fail(diag, -EINVAL,
				 "--cipher %s: not one of %s, %s", value,
				 cipher_name(CIPHER_AES_256_GCM),
				 cipher_name(CIPHER_CHACHA20_POLY1305));
	return 0;
}

static int take_label(void *into, const char *value, struct diag *diag)
{
	struct mkfs_args *a = into;

	if (strlen(value) > SB_LABEL_MAX)
		return diag_fail(diag, -EINVAL, "--label: longer than %d bytes",
				 SB_LABEL_MAX);
	a->label = value;
	return 0;
}

static int take_passfile(void *into, const char *value, struct diag *diag)
{
	struct mkfs_args *a = into;

	(void)diag;
	a->passfile = value;
	return 0;
}

CLI_TAKE_FLAG(struct mkfs_args, force, force = true)
CLI_TAKE_FLAG(struct mkfs_args, yes, yes = true)

static const struct cli_option options[] = {
	{"data", 'k', "K", "data fragments of a segment", take_data},
	{"parity", 'm', "M", "parity fragments: so many folders may be lost",
	 take_parity},
	{"chunk-size", 0, "SIZE", "unit of compression, 16K to 4M (128K)",
	 take_chunk},
	{"segment-size", 0, "SIZE", "payload of a segment, 1M to 32M (16M)",
	 take_segment},
	{"compression", 0, "ALG", "zstd[:LEVEL] (zstd:1) or none",
	 take_compression},
	{"cipher", 0, "NAME", "aes-256-gcm (default) or chacha20-poly1305",
	 take_cipher},
	{"label", 'L', "TEXT", "a name for the pool", take_label},
	{"passfile", 0, "FILE", "file that holds the passphrase, - for stdin",
	 take_passfile},
	{"force", 0, NULL, "use folders that are not empty", take_force},
	{"yes", 'y', NULL, "do not ask before an old pool is destroyed",
	 take_yes},
};

static const struct cli_command command = {
	.name = "mkfs.mendfs",
	.operands = "DIR...",
	.summary = "Makes a pool of the folders DIR.",
	.options = options,
	.n = ARRAY_LEN(options),
	.min = 1,
	.max = POOL_MEMBERS_MAX,
};

/* ---- geometry ---- */

static void complete_geometry(struct mkfs_args *a)
{
	int n = (int)a->folders.n;
	unsigned k, m;

	geometry_default((unsigned)n, &k, &m);
	if (a->data != UNSET && a->parity == UNSET)
		m = (unsigned)MAX(MIN((int)m, n - a->data), 0);
	if (a->parity != UNSET && a->data == UNSET)
		k = (unsigned)MAX(MIN((int)k, n - a->parity), 1);
	a->geo.k = (uint8_t)(a->data == UNSET ? (int)k : a->data);
	a->geo.m = (uint8_t)(a->parity == UNSET ? (int)m : a->parity);
}

/* ---- old pools ---- */

static int confirmed(void)
{
	char answer[16] = "";

	fprintf(stderr, "Type yes to go on: ");
	return fgets(answer, sizeof(answer), stdin) &&
	       strcmp(answer, "yes\n") == 0;
}

/*
 * What --force would destroy is said, and asked about. Without a terminal
 * nobody can be asked: then --yes must be given.
 */
static int confirm_destruction(const struct mkfs_args *a, struct diag *diag)
{
	bool found = false;

	for (unsigned i = 0; i < a->folders.n; i++) {
		char hex[2 * sizeof(struct pool_id) + 1];
		struct sb_clear c;

		if (peek_folder(a->folders.at[i], &c) < 0)
			continue;
		hex_encode(hex, c.pool.b, sizeof(c.pool.b));
		fprintf(stderr, "%s holds folder %u of the pool %s.\n",
			a->folders.at[i], c.slot, hex);
		found = true;
	}
	if (!found || a->yes)
		return 0;
	fprintf(stderr, "All data of these pools that needs these folders "
			"will be lost.\n");
	if (!isatty(STDIN_FILENO))
		return diag_fail(diag, -ECANCELED,
				 "an old pool would be destroyed; say --yes if "
				 "that is meant");
	return confirmed() ? 0
			   : diag_fail(diag, -ECANCELED, "nothing was done");
}

/* ---- making ---- */

static void print_survival(const struct geometry *g)
{
	if (g->m == 0)
		printf("  survives     no loss: any folder lost is data "
		       "lost\n");
	else
		printf("  survives     the loss of any %u folder%s, with the "
		       "passphrase\n",
		       g->m, g->m == 1 ? "" : "s");
}

static void print_summary(const struct mkfs_args *a)
{
	char chunk[UNITS_TEXT], segment[UNITS_TEXT], level[16] = "none";
	char hex[2 * sizeof(struct pool_id) + 1] = "?";
	const struct geometry *g = &a->geo;
	struct sb_clear c;

	if (peek_folder(a->folders.at[0], &c) == 0)
		hex_encode(hex, c.pool.b, sizeof(c.pool.b));
	if (g->level != COMPRESS_NONE)
		snprintf(level, sizeof(level), "zstd:%d", g->level);
	printf("made the pool %s%s%s of %u folder%s\n", hex,
	       a->label[0] ? " " : "", a->label, a->folders.n,
	       a->folders.n == 1 ? "" : "s");
	printf("  geometry     %u data + %u parity, chunks of %s, segments of "
	       "%s\n",
	       g->k, g->m, units_size(g->chunk_bytes, chunk),
	       units_size(g->segment_bytes, segment));
	printf("  compression  %s\n  encryption   %s\n", level,
	       cipher_name(g->cipher));
	print_survival(g);
	printf("Without the passphrase nobody can read it: keep a copy.\n"
	       "Mount it with: mendfs mount %s MOUNTPOINT\n",
	       a->folders.at[0]);
}

static int make(const struct mkfs_args *a, struct diag *diag)
{
	struct passphrase_options po = {
		.who = command.name, .file = a->passfile, .confirm = true};
	struct pool_create_options co = {
		.location = locations_list(&a->folders),
		.n = a->folders.n,
		.geo = a->geo,
		.label = a->label,
		.force = a->force,
	};
	struct diag warning = DIAG_INIT;
	struct passphrase pass;
	int rc = passphrase_get(&po, diag, &pass);

	if (rc < 0)
		return rc;
	co.pass = pass.text;
	co.pass_len = pass.len;
	rc = volume_make(&co, geteuid(), getegid(), &warning, diag);
	passphrase_release(&pass);
	if (rc == 0 && warning.text[0])
		cli_warn(command.name, "%s", warning.text);
	return rc;
}

static int mkfs_main(struct mkfs_args *a, int argc, char **argv)
{
	struct diag diag = DIAG_INIT;
	int code, rc, first = cli_parse(&command, argc, argv, a, &code);

	if (first < 0)
		return code;
	rc = locations_take(argv + first, (unsigned)(argc - first),
			    &a->folders);
	if (rc < 0)
		return cli_fail(command.name, rc, NULL);
	complete_geometry(a);
	rc = geometry_check(&a->geo, a->folders.n, &diag);
	if (rc < 0)
		return cli_usage(&command, "%s", diag_text(&diag, rc));
	daemon_harden();
	if (a->force)
		rc = confirm_destruction(a, &diag);
	if (rc == 0)
		rc = make(a, &diag);
	if (rc < 0)
		return cli_fail(command.name, rc, &diag);
	print_summary(a);
	return CLI_OK;
}

int cmd_mkfs(int argc, char **argv)
{
	struct mkfs_args a = {
		.data = UNSET,
		.parity = UNSET,
		.geo = {.chunk_bytes = CHUNK_DEFAULT,
			.segment_bytes = SEGMENT_DEFAULT,
			.cipher = CIPHER_AES_256_GCM,
			.level = COMPRESS_LEVEL_DEF},
		.label = "",
	};
	int code = mkfs_main(&a, argc, argv);

	locations_release(&a.folders);
	return code;
}
