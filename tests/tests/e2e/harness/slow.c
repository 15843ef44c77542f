// Preloaded into a program, it makes each sync of a file last E2E_SYNC_MS longer.
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static void wait_longer(void)
{
    const char *text = getenv("E2E_SYNC_MS");
    long ms = text ? atol(text) : 0;
    struct timespec time = {ms / 1000, (ms % 1000) * 1000000};
    nanosleep(&time, NULL);
}

int fsync(int file)
{
    wait_longer();
    return syscall(SYS_fsync, file);
}

int fdatasync(int file)
{
    wait_longer();
    return syscall(SYS_fdatasync, file);
}
