/* SPDX-License-Identifier: Apache-2.0 */
/*
 * make_files FOLDER COUNT BYTES: makes COUNT files of BYTES bytes, a thousand
 * to a folder, none of them like another.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PER_FOLDER 1000u
#define BYTES_MAX  65536u

static void or_die(int ok, const char *what)
{
	if (ok)
		return;
	perror(what);
	exit(1);
}

static void fill(uint8_t *p, size_t len, uint64_t seed)
{
	for (size_t i = 0; i < len; i++) {
		seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
		p[i] = (uint8_t)(seed >> 56);
	}
}

static void make_one(unsigned long n, size_t bytes)
{
	static uint8_t data[BYTES_MAX];
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "d%lu", n / PER_FOLDER);
	if (n % PER_FOLDER == 0)
		or_die(mkdir(path, 0755) == 0, path);
	snprintf(path, sizeof(path), "d%lu/f%lu", n / PER_FOLDER, n);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0644);
	or_die(fd >= 0, path);
	fill(data, bytes, n);
	or_die(write(fd, data, bytes) == (ssize_t)bytes, path);
	close(fd);
}

int main(int argc, char **argv)
{
	unsigned long count, bytes;

	if (argc != 4) {
		fprintf(stderr, "usage: make_files FOLDER COUNT BYTES\n");
		return 2;
	}
	count = strtoul(argv[2], NULL, 10);
	bytes = strtoul(argv[3], NULL, 10);
	or_die(bytes <= BYTES_MAX && chdir(argv[1]) == 0, argv[1]);
	for (unsigned long n = 0; n < count; n++)
		make_one(n, bytes);
	return 0;
}
