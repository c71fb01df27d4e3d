/* volcache: nbdkit plugin for the tests: a disk with a volatile write cache and an honest FLUSH.
 *
 * The medium is a file. The cache is private memory, so SIGKILL is a power cut: what was not flushed is gone. Real caches
 * write back by themselves and out of order: `early` percent of the changes reach the medium at once.
 * Each change takes up to `change-ms` at random, so that changes finish in any order. Two changes that are under way
 * together and overlap are something that a client of ours must never send: each adds a byte to the file `overlaps`.
 * A file `lossy` makes the next FLUSH lose what it should save, and is gone then. As on Linux, of those under way together
 * only one is told, and what they lost is clean for the next one; the one that is told answers last.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

#define THREAD_MODEL NBDKIT_THREAD_MODEL_PARALLEL
#define BLOCK 4096u

#define UNDER_WAY 64

static char *path, *medium, *cache, *overlaps, *lossy;
static unsigned early, flush_ms, change_ms;
static struct { uint64_t offset; uint32_t length; } under_way[UNDER_WAY];
static size_t bytes;
static bool *dirty, untold;     /* untold: something was lost, and no FLUSH has been told */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static int
volcache_config (const char *key, const char *value)
{
  if (strcmp (key, "file") == 0)
    return (path = nbdkit_absolute_path (value)) ? 0 : -1;
  if (strcmp (key, "early") == 0)
    return nbdkit_parse_unsigned (key, value, &early);
  if (strcmp (key, "flush-ms") == 0)
    return nbdkit_parse_unsigned (key, value, &flush_ms);
  if (strcmp (key, "change-ms") == 0)
    return nbdkit_parse_unsigned (key, value, &change_ms);
  if (strcmp (key, "overlaps") == 0)
    return (overlaps = nbdkit_absolute_path (value)) ? 0 : -1;
  if (strcmp (key, "lossy") == 0)
    return (lossy = nbdkit_absolute_path (value)) ? 0 : -1;
  nbdkit_error ("unknown parameter '%s'", key);
  return -1;
}

static int
volcache_get_ready (void)
{
  struct stat st;
  int fd = open (path, O_RDWR | O_CLOEXEC);

  if (fd == -1 || fstat (fd, &st) == -1) {
    nbdkit_error ("%s: %m", path);
    return -1;
  }
  bytes = (size_t) st.st_size;
  medium = mmap (NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  cache = mmap (NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  dirty = calloc (bytes / BLOCK + 1, sizeof *dirty);
  if (medium == MAP_FAILED || cache == MAP_FAILED || !dirty) {
    nbdkit_error ("mmap: %m");
    return -1;
  }
  memcpy (cache, medium, bytes);
  return 0;
}

static void
write_back (size_t block)
{
  memcpy (medium + block * BLOCK, cache + block * BLOCK, BLOCK);
  dirty[block] = false;
}

/* A change begins; returns its place in under_way. */
static unsigned
begin (uint64_t offset, uint32_t length)
{
  unsigned free = UNDER_WAY, ms;
  int fd;

  pthread_mutex_lock (&lock);
  for (unsigned i = 0; i < UNDER_WAY; i++)
    if (under_way[i].length == 0)
      free = i;
    else if (overlaps && under_way[i].offset < offset + length &&
             offset < under_way[i].offset + under_way[i].length &&
             (fd = open (overlaps, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600)) != -1) {
      if (write (fd, "!", 1) != 1)
        abort ();
      close (fd);
    }
  if (free == UNDER_WAY)
    abort ();
  under_way[free].offset = offset;
  under_way[free].length = length;
  ms = change_ms ? (unsigned) random () % change_ms : 0;
  pthread_mutex_unlock (&lock);
  if (ms)
    nbdkit_nanosleep (0, ms * 1000000);
  pthread_mutex_lock (&lock);
  return free;
}

static void
end (unsigned place)
{
  under_way[place].length = 0;
  pthread_mutex_unlock (&lock);
}

static void
changed (uint64_t offset, uint32_t length, bool fua)
{
  for (size_t block = offset / BLOCK; block <= (offset + length - 1) / BLOCK; block++) {
    dirty[block] = true;
    if (fua || (unsigned) random () % 100 < early)
      write_back (block);
  }
}

static int
volcache_pread (void *handle, void *buffer, uint32_t length, uint64_t offset, uint32_t flags)
{
  (void) handle, (void) flags;
  pthread_mutex_lock (&lock);
  memcpy (buffer, cache + offset, length);
  pthread_mutex_unlock (&lock);
  return 0;
}

static int
volcache_pwrite (void *handle, const void *data, uint32_t length, uint64_t offset, uint32_t flags)
{
  unsigned place = begin (offset, length);

  (void) handle;
  memcpy (cache + offset, data, length);
  changed (offset, length, flags & NBDKIT_FLAG_FUA);
  end (place);
  return 0;
}

static int
volcache_zero (void *handle, uint32_t length, uint64_t offset, uint32_t flags)
{
  unsigned place = begin (offset, length);

  (void) handle;
  memset (cache + offset, 0, length);
  changed (offset, length, flags & NBDKIT_FLAG_FUA);
  end (place);
  return 0;
}

static int
volcache_flush (void *handle, uint32_t flags)
{
  bool told;

  (void) handle, (void) flags;
  pthread_mutex_lock (&lock);
  if (lossy && unlink (lossy) == 0) {
    memset (dirty, 0, (bytes / BLOCK + 1) * sizeof *dirty);
    untold = true;
  }
  for (size_t block = 0; block < bytes / BLOCK; block++)
    if (dirty[block])
      write_back (block);
  pthread_mutex_unlock (&lock);
  if (flush_ms)
    nbdkit_nanosleep (flush_ms / 1000, flush_ms % 1000 * 1000000);
  pthread_mutex_lock (&lock);
  told = untold;
  untold = false;
  pthread_mutex_unlock (&lock);
  if (!told)
    return 0;
  nbdkit_nanosleep (0, 500000000);
  nbdkit_error ("lost");
  nbdkit_set_error (EIO);
  return -1;
}

static void *volcache_open (int readonly) { (void) readonly; return NBDKIT_HANDLE_NOT_NEEDED; }
static int64_t volcache_get_size (void *handle) { (void) handle; return (int64_t) bytes; }
static int volcache_yes (void *handle) { (void) handle; return 1; }
static int volcache_can_fua (void *handle) { (void) handle; return NBDKIT_FUA_NATIVE; }

static struct nbdkit_plugin plugin = {
  .name = "volcache",
  .config = volcache_config,
  .get_ready = volcache_get_ready,
  .open = volcache_open,
  .get_size = volcache_get_size,
  .can_write = volcache_yes,
  .can_flush = volcache_yes,
  .can_trim = volcache_yes,
  .can_zero = volcache_yes,
  .can_fua = volcache_can_fua,
  .can_multi_conn = volcache_yes,
  .pread = volcache_pread,
  .pwrite = volcache_pwrite,
  .zero = volcache_zero,
  .trim = volcache_zero,
  .flush = volcache_flush,
};

NBDKIT_REGISTER_PLUGIN (plugin)
