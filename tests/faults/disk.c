/* A disk that fails on command, for one process: LD_PRELOAD it.
 *
 * DISK_CONTROL names a file with lines "operation errno milliseconds", read anew at every call; operation is one of the
 * functions below, errno 0 lets the call through, after so many milliseconds. DISK_LOG names a file that gets one line
 * "operation descriptor errno" for every call that the rest concerns. Only files whose path contains DISK_PATH count.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

static int concerns(int fd) {
    char link[64], path[4096];
    const char *part = getenv("DISK_PATH");
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, sizeof path - 1);
    if (size <= 0 || !part) return 0;
    path[size] = 0;
    return strstr(path, part) != NULL;
}

static void note(const char *operation, int fd, int error) {
    const char *name = getenv("DISK_LOG");
    char line[64];
    if (!name) return;
    int size = snprintf(line, sizeof line, "%s %d %d\n", operation, fd, error);
    int log = syscall(SYS_openat, AT_FDCWD, name, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (log < 0) return;
    syscall(SYS_write, log, line, size);
    syscall(SYS_close, log);
}

static int fails(const char *operation, int fd) {
    const char *name = getenv("DISK_CONTROL");
    char text[1024], wanted[32];
    int error, milliseconds, used;
    if (!name || !concerns(fd)) return 0;
    int control = syscall(SYS_openat, AT_FDCWD, name, O_RDONLY | O_CLOEXEC, 0);
    if (control < 0) return 0;
    ssize_t size = syscall(SYS_read, control, text, sizeof text - 1);
    syscall(SYS_close, control);
    text[size > 0 ? size : 0] = 0;
    for (char *at = text; sscanf(at, "%31s %d %d%n", wanted, &error, &milliseconds, &used) == 3; at += used) {
        if (strcmp(wanted, operation)) continue;
        struct timespec wait = {milliseconds / 1000, milliseconds % 1000 * 1000000L};
        if (milliseconds) nanosleep(&wait, NULL);
        note(operation, fd, error);
        return error;
    }
    note(operation, fd, 0);
    return 0;
}

#define DISK(type, name, parameters, arguments, fd) \
    type name parameters { \
        static type(*real) parameters; \
        if (!real) *(void **)&real = dlsym(RTLD_NEXT, #name); \
        int error = fails(#name, fd); \
        if (error) { \
            errno = error; \
            return -1; \
        } \
        return real arguments; \
    }

DISK(int, fsync, (int fd), (fd), fd)
DISK(int, fdatasync, (int fd), (fd), fd)
DISK(int, ftruncate64, (int fd, off64_t size), (fd, size), fd)
DISK(ssize_t, write, (int fd, const void *data, size_t size), (fd, data, size), fd)
DISK(ssize_t, pwrite64, (int fd, const void *data, size_t size, off64_t at), (fd, data, size, at), fd)
DISK(ssize_t, pread64, (int fd, void *data, size_t size, off64_t at), (fd, data, size, at), fd)
