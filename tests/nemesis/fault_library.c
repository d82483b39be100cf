/*
 * Faults of a disk and of a clock, put between a node and its C library by
 * LD_PRELOAD, and told what to do while the node runs through a file that both
 * sides have mapped or write to (fault_library.ts).
 *
 * Only files below WHORL_FAULT_FOLDER are touched. Without WHORL_FAULT_CONTROL
 * the library does nothing.
 *
 *     cc -shared -fPIC -O2 -o fault_library.so fault_library.c -ldl
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* Eight bytes each, in this order; fault_library.ts has the same list. */
struct control {
  _Atomic int64_t sync_delay_us; /* a sync takes so much longer */
  _Atomic int64_t sync_error_ppm; /* of a million syncs so many fail with EIO */
  _Atomic int64_t write_error_ppm; /* of a million writes so many fail with EIO */
  _Atomic int64_t full; /* not 0: no file may grow or begin, ENOSPC */
  _Atomic int64_t clock_offset_us; /* added to the wall clock */
  _Atomic int64_t clock_rate_ppm; /* of a million microseconds it gains so many */
  _Atomic int64_t short_write_ppm; /* of a million writes so many are short */
  _Atomic int64_t syncs_delayed; /* what was done so far */
  _Atomic int64_t errors;
  _Atomic int64_t refusals;
  _Atomic int64_t short_writes;
};

static struct control *control;
static const char *folder;
static size_t folder_length;

__attribute__((constructor)) static void begin(void) {
  const char *path = getenv("WHORL_FAULT_CONTROL");
  folder = getenv("WHORL_FAULT_FOLDER");
  if (path == NULL || folder == NULL) return;
  folder_length = strlen(folder);
  int fd = open(path, O_RDWR | O_CLOEXEC);
  if (fd < 0) return;
  void *at = mmap(NULL, sizeof(struct control), PROT_READ | PROT_WRITE,
                  MAP_SHARED, fd, 0);
  close(fd);
  if (at != MAP_FAILED) control = at;
}

#define REAL(result, name, ...)                                   \
  static result (*real)(__VA_ARGS__);                             \
  if (real == NULL) real = (result (*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name)

static int in_folder(const char *path) {
  return strncmp(path, folder, folder_length) == 0 &&
         (path[folder_length] == '/' || path[folder_length] == '\0');
}

/* Whether `fd` is a file that may be harmed. Asked only while a fault is on. */
static int is_ours(int fd) {
  char link[64], path[PATH_MAX];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length <= 0) return 0;
  path[length] = '\0';
  return in_folder(path);
}

/* A number below a million; each thread draws its own. */
static int64_t draw(void) {
  static __thread uint64_t state;
  if (state == 0) state = (uint64_t)(uintptr_t)&state ^ (uint64_t)getpid() << 32;
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return (int64_t)(state % 1000000);
}

static int sync_fails(int fd) {
  if (control == NULL) return 0;
  int64_t delay = control->sync_delay_us, ppm = control->sync_error_ppm;
  if ((delay == 0 && ppm == 0) || !is_ours(fd)) return 0;
  if (delay > 0) {
    control->syncs_delayed++;
    usleep((useconds_t)delay);
  }
  if (ppm == 0 || draw() >= ppm) return 0;
  control->errors++;
  errno = EIO;
  return 1;
}

/* Whether a write of `count` bytes at `offset` fails; -1 is where the file stands. */
static int write_fails(int fd, size_t count, off_t offset) {
  if (control == NULL) return 0;
  int64_t ppm = control->write_error_ppm, full = control->full;
  if ((ppm == 0 && full == 0) || !is_ours(fd)) return 0;
  if (ppm > 0 && draw() < ppm) {
    control->errors++;
    errno = EIO;
    return 1;
  }
  if (full == 0) return 0;
  struct stat now;
  if (fstat(fd, &now) != 0) return 0;
  if (offset < 0) {
    int flags = fcntl(fd, F_GETFL);
    offset = flags & O_APPEND ? now.st_size : lseek(fd, 0, SEEK_CUR);
  }
  /* What has its blocks already can be written on a full disk as well. */
  if (offset + (off_t)count <= now.st_size) return 0;
  control->refusals++;
  errno = ENOSPC;
  return 1;
}

static int begin_fails(const char *path, int flags) {
  if (control == NULL || !(flags & O_CREAT) || control->full == 0) return 0;
  if (!in_folder(path) || access(path, F_OK) == 0) return 0;
  control->refusals++;
  errno = ENOSPC;
  return 1;
}

/* How much of a write of `count` bytes is done, which is all but now and then. */
static size_t part_of(int fd, size_t count) {
  if (control == NULL || count < 2) return count;
  int64_t ppm = control->short_write_ppm;
  if (ppm == 0 || draw() >= ppm || !is_ours(fd)) return count;
  control->short_writes++;
  return 1 + (size_t)draw() % (count - 1);
}

int fsync(int fd) {
  REAL(int, fsync, int);
  return sync_fails(fd) ? -1 : real(fd);
}

int fdatasync(int fd) {
  REAL(int, fdatasync, int);
  return sync_fails(fd) ? -1 : real(fd);
}

ssize_t write(int fd, const void *bytes, size_t count) {
  REAL(ssize_t, write, int, const void *, size_t);
  return write_fails(fd, count, -1) ? -1 : real(fd, bytes, part_of(fd, count));
}

ssize_t writev(int fd, const struct iovec *parts, int length) {
  REAL(ssize_t, writev, int, const struct iovec *, int);
  size_t count = 0;
  for (int i = 0; i < length; i++) count += parts[i].iov_len;
  if (write_fails(fd, count, -1)) return -1;
  size_t rest = part_of(fd, count);
  if (rest == count || length > IOV_MAX) return real(fd, parts, length);
  struct iovec some[IOV_MAX];
  int taken = 0;
  for (; rest > 0; taken++) {
    some[taken] = parts[taken];
    if (some[taken].iov_len > rest) some[taken].iov_len = rest;
    rest -= some[taken].iov_len;
  }
  return real(fd, some, taken);
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t offset) {
  REAL(ssize_t, pwrite, int, const void *, size_t, off_t);
  if (write_fails(fd, count, offset)) return -1;
  return real(fd, bytes, part_of(fd, count), offset);
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t offset) {
  REAL(ssize_t, pwrite64, int, const void *, size_t, off64_t);
  if (write_fails(fd, count, offset)) return -1;
  return real(fd, bytes, part_of(fd, count), offset);
}

int ftruncate(int fd, off_t length) {
  REAL(int, ftruncate, int, off_t);
  return write_fails(fd, 0, length) ? -1 : real(fd, length);
}

int ftruncate64(int fd, off64_t length) {
  REAL(int, ftruncate64, int, off64_t);
  return write_fails(fd, 0, length) ? -1 : real(fd, length);
}

int posix_fallocate(int fd, off_t offset, off_t length) {
  REAL(int, posix_fallocate, int, off_t, off_t);
  return write_fails(fd, (size_t)length, offset) ? errno
                                                 : real(fd, offset, length);
}

#define OPEN(name, before, before_types, path_and_flags)                     \
  int name(before const char *path, int flags, ...) {                       \
    REAL(int, name, before_types const char *, int, ...);                   \
    va_list rest;                                                           \
    va_start(rest, flags);                                                  \
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0; \
    va_end(rest);                                                           \
    return begin_fails(path, flags) ? -1 : real(path_and_flags, mode);      \
  }
#define NOTHING
#define FROM int at,
#define FROM_TYPE int,
#define BOTH path, flags
#define ALL at, path, flags
OPEN(open, NOTHING, NOTHING, BOTH)
OPEN(open64, NOTHING, NOTHING, BOTH)
OPEN(openat, FROM, FROM_TYPE, ALL)
OPEN(openat64, FROM, FROM_TYPE, ALL)

/* What a clock has gained by `us` that goes wrong by `ppm` since it was told to. */
static int64_t gained(int64_t ppm, int64_t us) {
  static _Atomic int64_t since, known;
  if (known != ppm) {
    since = us;
    known = ppm;
  }
  return ppm == 0 ? 0 : (us - since) * ppm / 1000000;
}

int clock_gettime(clockid_t clock, struct timespec *time) {
  REAL(int, clock_gettime, clockid_t, struct timespec *);
  int result = real(clock, time);
  if (result != 0 || control == NULL) return result;
  if (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE) return result;
  int64_t offset = control->clock_offset_us, ppm = control->clock_rate_ppm;
  int64_t us = (int64_t)time->tv_sec * 1000000 + time->tv_nsec / 1000;
  offset += gained(ppm, us);
  if (offset == 0) return result;
  us += offset;
  time->tv_nsec = us % 1000000 * 1000 + time->tv_nsec % 1000;
  time->tv_sec = us / 1000000;
  return result;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone) {
  struct timespec now;
  if (zone != NULL) memset(zone, 0, sizeof(struct timezone));
  if (clock_gettime(CLOCK_REALTIME, &now) != 0) return -1;
  time->tv_sec = now.tv_sec;
  time->tv_usec = now.tv_nsec / 1000;
  return 0;
}

time_t time(time_t *into) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (into != NULL) *into = now.tv_sec;
  return now.tv_sec;
}
