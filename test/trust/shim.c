/*-------------------------------------------------------------------------
 *
 * shim.c
 *	  Faults that only the C library can make, preloaded into a test's server.
 *
 * The file that JOBS_SHIM names is shared by the driver, which writes it, and
 * all processes of the server:
 *
 *	 clock		microseconds that the wall clock is ahead of the true one
 *	 full		1: files of tables do not grow, ENOSPC; 2: those of the WAL
 *	 pid		the process whose calls are counted
 *	 calls		which: 1 malloc, 2 growing a file of a table or a temporary one,
 *				4 opening a file
 *	 left		the call that hits: 1 is the next one; 0 when it has been hit
 *	 action		what happens then: 0 it fails, else this signal is raised
 *
 *-------------------------------------------------------------------------
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

struct control
{
	volatile int64_t clock;
	volatile int32_t full;
	volatile int32_t pid;
	volatile int32_t calls;
	volatile int32_t action;
	volatile int64_t left;
};

enum
{
	CALL_MALLOC = 1,
	CALL_WRITE = 2,
	CALL_OPEN = 4
};

extern void *__libc_malloc(size_t size);
extern void *__libc_realloc(void *p, size_t size);
extern void *__libc_calloc(size_t n, size_t size);

static struct control nothing;
static struct control *control = &nothing;

static void __attribute__((constructor))
attach(void)
{
	const char *path = getenv("JOBS_SHIM");
	int			fd = path ? (int) syscall(SYS_openat, AT_FDCWD, path, O_RDWR) : -1;

	if (fd >= 0)
	{
		void	   *p = mmap(NULL, sizeof(struct control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

		if (p != MAP_FAILED)
			control = p;
		syscall(SYS_close, fd);
	}
}

/* Whether this call is the one to fail. */
static int
hit(int call)
{
	if (control->pid == 0 || !(control->calls & call) || control->left <= 0 ||
		control->pid != (int32_t) syscall(SYS_getpid))
		return 0;
	if (--control->left > 0)
		return 0;
	if (control->action == 0)
		return 1;
	raise(control->action);
	return 0;
}

/* ------------------------------------------------------------------------
 * Memory
 * ------------------------------------------------------------------------
 */

void *
malloc(size_t size)
{
	if (hit(CALL_MALLOC))
	{
		errno = ENOMEM;
		return NULL;
	}
	return __libc_malloc(size);
}

void *
calloc(size_t n, size_t size)
{
	if (hit(CALL_MALLOC))
	{
		errno = ENOMEM;
		return NULL;
	}
	return __libc_calloc(n, size);
}

void *
realloc(void *p, size_t size)
{
	if (size > 0 && hit(CALL_MALLOC))
	{
		errno = ENOMEM;
		return NULL;
	}
	return __libc_realloc(p, size);
}

/* ------------------------------------------------------------------------
 * Files
 * ------------------------------------------------------------------------
 */

/* Whether there is no room for a file to grow to this size. */
static int
no_room(int fd, off_t end)
{
	char		name[32];
	char		path[1024];
	ssize_t		len;
	struct stat st;
	int			wal;

	if (control->full == 0 && !(control->calls & CALL_WRITE))
		return 0;
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	len = syscall(SYS_readlinkat, AT_FDCWD, name, path, sizeof(path) - 1);
	if (len <= 0)
		return 0;
	path[len] = '\0';
	wal = strstr(path, "/pg_wal/") != NULL;
	if (!wal && strstr(path, "/base/") == NULL)
		return 0;
	if (wal && (control->full & 2))
	{
		errno = ENOSPC;
		return 1;
	}
	if (wal || fstat(fd, &st) != 0 || end <= st.st_size)
		return 0;
	if ((control->full & 1) || hit(CALL_WRITE))
	{
		errno = ENOSPC;
		return 1;
	}
	return 0;
}

ssize_t
pwrite(int fd, const void *data, size_t n, off_t at)
{
	if (no_room(fd, at + (off_t) n))
		return -1;
	return syscall(SYS_pwrite64, fd, data, n, at);
}

ssize_t
pwrite64(int fd, const void *data, size_t n, off64_t at)
{
	return pwrite(fd, data, n, at);
}

ssize_t
pwritev(int fd, const struct iovec *v, int n, off_t at)
{
	off_t		end = at;

	for (int i = 0; i < n; i++)
		end += (off_t) v[i].iov_len;
	if (no_room(fd, end))
		return -1;
	return syscall(SYS_pwritev, fd, v, (long) n, (long) at, 0L);
}

ssize_t
pwritev64(int fd, const struct iovec *v, int n, off64_t at)
{
	return pwritev(fd, v, n, at);
}

int
posix_fallocate(int fd, off_t at, off_t n)
{
	if (no_room(fd, at + n))
		return ENOSPC;
	return syscall(SYS_fallocate, fd, 0, at, n) == 0 ? 0 : errno;
}

int
posix_fallocate64(int fd, off64_t at, off64_t n)
{
	return posix_fallocate(fd, at, n);
}

static int
open_file(const char *path, int flags, mode_t mode)
{
	if (hit(CALL_OPEN))
	{
		errno = EMFILE;
		return -1;
	}
	return (int) syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

int
open(const char *path, int flags,...)
{
	va_list		args;
	mode_t		mode = 0;

	if (flags & (O_CREAT | O_TMPFILE))
	{
		va_start(args, flags);
		mode = va_arg(args, mode_t);
		va_end(args);
	}
	return open_file(path, flags, mode);
}

int
open64(const char *path, int flags,...)
{
	va_list		args;
	mode_t		mode = 0;

	if (flags & (O_CREAT | O_TMPFILE))
	{
		va_start(args, flags);
		mode = va_arg(args, mode_t);
		va_end(args);
	}
	return open_file(path, flags, mode);
}

/* ------------------------------------------------------------------------
 * Time.  Only the wall clock moves; what waits measures by the other one.
 * ------------------------------------------------------------------------
 */

int
clock_gettime(clockid_t clock, struct timespec *t)
{
	int			result = (int) syscall(SYS_clock_gettime, clock, t);

	if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE) && control->clock != 0)
	{
		int64_t		us = (int64_t) t->tv_sec * 1000000 + t->tv_nsec / 1000 + control->clock;

		t->tv_sec = us / 1000000;
		t->tv_nsec = us % 1000000 * 1000;
	}
	return result;
}

int
gettimeofday(struct timeval *t, void *zone)
{
	struct timespec now;

	if (clock_gettime(CLOCK_REALTIME, &now) != 0)
		return -1;
	t->tv_sec = now.tv_sec;
	t->tv_usec = now.tv_nsec / 1000;
	return 0;
}

time_t
time(time_t *t)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	if (t)
		*t = now.tv_sec;
	return now.tv_sec;
}
