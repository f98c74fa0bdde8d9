"""Small C programs for containers: what busybox cannot do."""

from __future__ import annotations

import subprocess
from pathlib import Path

THREADS = r"""
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>
static volatile int shared;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static void *work(void *unused) {
    for (;;) { pthread_mutex_lock(&lock); shared++; pthread_mutex_unlock(&lock); usleep(20000); }
    return unused;
}
int main(void) {
    pthread_t a, b, c;
    setvbuf(stdout, NULL, _IOLBF, 0);
    pthread_create(&a, NULL, work, NULL); pthread_create(&b, NULL, work, NULL); pthread_create(&c, NULL, work, NULL);
    for (;;) { printf("%d\n", shared); usleep(100000); }
}
"""
"""Three threads count, the first prints the sum."""

LOCKER = r"""
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>
int main(int argc, char **argv) {
    int fd = open("/tmp/lock", O_RDWR | O_CREAT, 0600);
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) { printf("taken\n"); return 1; }
    for (int i = 1;; i++) { printf("%d\n", i); if (argc > 1) return 0; usleep(100000); }
}
"""
"""Holds a lock on /tmp/lock and counts; with an argument it only tries."""

STEPPER = r"""
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
static void put(int fd, int number) {
    char text[16];
    int length = snprintf(text, sizeof text, "%09d\n", number);
    if (pwrite(fd, text, length, 0) != length) _exit(1);
}
int main(void) {
    int root = open("/var/counter", O_RDWR | O_CREAT, 0600);
    int volume = open("/data/counter", O_RDWR | O_CREAT, 0600);
    int shm = open("/dev/shm/counter", O_RDWR | O_CREAT, 0600);
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (int i = 1;; i++) { put(root, i); put(volume, i); put(shm, i); printf("%d\n", i); usleep(500); }
}
"""
"""Writes its count, two thousand times a second, to the root, to a volume, to /dev/shm and to its log, in this order."""

MEMORY = r"""
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>
int main(int argc, char **argv) {
    size_t size = (size_t)atoi(argv[1]) << 20;
    char *memory = malloc(size);
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (size_t done = 0; done < size; done += 1 << 20) getrandom(memory + done, 1 << 20, 0);
    for (int i = 1;; i++) { memory[i % size]++; printf("%d\n", i); usleep(100000); }
}
"""
"""Counts, and keeps so many MiB of random memory."""

SOURCES = {"threads": THREADS, "locker": LOCKER, "stepper": STEPPER, "memory": MEMORY}


def compile_all(directory: Path) -> Path:
    """Compile every program into *directory*, statically, and return it."""
    directory.mkdir()
    for name, source in SOURCES.items():
        subprocess.run(
            ["gcc", "-O1", "-static", "-pthread", "-x", "c", "-", "-o", directory / name],
            input=source.encode(),
            check=True,
        )
    return directory
