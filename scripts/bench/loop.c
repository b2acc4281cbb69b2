//go:build ignore

// The least that a scan can do: getdents64 of each directory, and newfstatat of each
// entry and of each file that is named. It compares nothing. Once a second it does so
// for its arguments after the first, and then prints the first. Linux.
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

// As much as glibc asks for at a time. It is filled again only when all of it is read,
// and before the directories that it named are listed.
static char entries[32 << 10] __attribute__((aligned(8)));

struct linux_dirent64 { // as in getdents(2)
	uint64_t ino;
	int64_t off;
	uint16_t reclen;
	uint8_t type;
	char name[];
};

// list lists the directory that path is, seen from the directory at.
static void list(int at, const char *path) {
	int fd = openat(at, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		err(1, "%s", path);
	char *dirs = NULL; // the names of those in it, each ended by a 0
	size_t used = 0, room = 0;
	for (;;) {
		long n = syscall(SYS_getdents64, fd, entries, sizeof entries);
		if (n < 0)
			err(1, "%s", path);
		if (n == 0)
			break;
		for (char *next = entries; next < entries + n;) {
			struct linux_dirent64 *e = (void *)next;
			next += e->reclen;
			if (strcmp(e->name, ".") == 0 || strcmp(e->name, "..") == 0)
				continue;
			struct stat st;
			if (fstatat(fd, e->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
				err(1, "%s", e->name);
			if (!S_ISDIR(st.st_mode))
				continue;
			size_t size = strlen(e->name) + 1;
			if (used + size > room && !(dirs = realloc(dirs, room = 2 * (room + size))))
				err(1, NULL);
			memcpy(dirs + used, e->name, size);
			used += size;
		}
	}
	for (char *name = dirs; name < dirs + used; name += strlen(name) + 1)
		list(fd, name);
	free(dirs);
	close(fd);
}

int main(int argc, char **argv) {
	struct timespec next, now;
	clock_gettime(CLOCK_MONOTONIC, &next);
	for (;;) {
		for (int i = 2; i < argc; i++) {
			struct stat st;
			if (fstatat(AT_FDCWD, argv[i], &st, 0) < 0)
				err(1, "%s", argv[i]);
			if (S_ISDIR(st.st_mode))
				list(AT_FDCWD, argv[i]);
		}
		puts(argv[1]);
		fflush(stdout);
		do { // ticks that a scan takes longer than are left out
			next.tv_sec++;
			clock_gettime(CLOCK_MONOTONIC, &now);
		} while (next.tv_sec < now.tv_sec || (next.tv_sec == now.tv_sec && next.tv_nsec <= now.tv_nsec));
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
	}
}
