# hangUp PID SOCKET: ends each connection of process PID to its unix socket SOCKET, under the process and whoever is at the other
# end: what a kernel's nbd does to its own connection when it has lost its place there. The process itself notices as it would then.
use strict;
use warnings;
use Socket;

use constant { PIDFD_OPEN => 434, PIDFD_GETFD => 438 };

my ($pid, $socket) = @ARGV;
my $process = syscall(PIDFD_OPEN, $pid + 0, 0);
die "process $pid: $!\n" if $process < 0;
my $ended = 0;
for my $path (glob "/proc/$pid/fd/*") {
    next unless (readlink $path // "") =~ /^socket:/;
    my $copy = syscall(PIDFD_GETFD, $process, substr($path, rindex($path, "/") + 1) + 0, 0);
    die "$path: $!\n" if $copy < 0;
    open my $handle, "+<&=", $copy or die "$path: $!\n";
    my $address = getsockname $handle;
    next unless $address && sockaddr_family($address) == AF_UNIX && getpeername $handle;
    my ($name) = unpack_sockaddr_un($address);
    $ended += shutdown $handle, 2 if ($name // "") eq $socket;
}
die "process $pid has no connection to $socket\n" unless $ended;
