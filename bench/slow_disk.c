/* For LD_PRELOAD: a disk that takes its time. While the file named by SLOW_DISK_HELD exists, fsync and fdatasync wait. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static void wait_while_held(void) {
    const char *held = getenv("SLOW_DISK_HELD");
    const struct timespec moment = {0, 1000000};
    while (held && access(held, F_OK) == 0) nanosleep(&moment, NULL);
}

#define HELD(name)                                                   \
    int name(int fd) {                                               \
        static int (*real)(int);                                     \
        if (!real) real = (int (*)(int))dlsym(RTLD_NEXT, #name);     \
        wait_while_held();                                           \
        return real(fd);                                             \
    }

HELD(fsync)
HELD(fdatasync)
