/* Loaded before the libc of a guest's kernel from Debian 13 or older. Such a user-mode-linux keeps less of a process's
 * registers than this machine's kernel wants to be given back where the processor has AMX (PTRACE_SETREGSET of NT_X86_XSTATE:
 * EFAULT, "userspace - ptrace set fp regs failed"). What it does not know is left as it is.
 */
#define _GNU_SOURCE
#include <elf.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* Not on the stack, which is a guest kernel's and small. One processor, and no interrupt calls this. */
static char registers[16384];

static long
set_registers (pid_t pid, void *kind, const struct iovec *given)
{
  struct iovec all = { registers, sizeof registers };

  if (syscall (SYS_ptrace, PTRACE_GETREGSET, pid, kind, &all) != 0 || all.iov_len <= given->iov_len)
    return syscall (SYS_ptrace, PTRACE_SETREGSET, pid, kind, given);
  memcpy (registers, given->iov_base, given->iov_len);
  return syscall (SYS_ptrace, PTRACE_SETREGSET, pid, kind, &all);
}

long
ptrace (enum __ptrace_request request, ...)
{
  va_list arguments;
  long word, result;
  void *address, *data;
  pid_t pid;

  va_start (arguments, request);
  pid = va_arg (arguments, pid_t);
  address = va_arg (arguments, void *);
  data = va_arg (arguments, void *);
  va_end (arguments);
  switch (request) {
  case PTRACE_SETREGSET:
    if ((long) address == NT_X86_XSTATE)
      return set_registers (pid, address, data);
    break;
  case PTRACE_PEEKTEXT:         /* the system call stores the word, the libc's function returns it */
  case PTRACE_PEEKDATA:
  case PTRACE_PEEKUSER:
    result = syscall (SYS_ptrace, request, pid, address, &word);
    return result == 0 ? word : result;
  default:
    break;
  }
  return syscall (SYS_ptrace, request, pid, address, data);
}
