#!/usr/bin/perl
# Overwrites a file again and again: each block of a round says which block and round it is, one fsync makes the round
# safe, and then it is read back past the page cache.
# usage: stamps write FILE FIRST-ROUND   until /run/stop-load appears
#        stamps check FILE ROUND         prints how many blocks are neither of this round nor of the one that was next
use strict;
use warnings;
use Fcntl;
use IO::Handle;

use constant { BLOCK => 4096, BLOCKS => 4096, STOP => "/run/stop-load" };
$| = 1;

my ($verb, $file, $round) = @ARGV;

sub stamp { my ($block, $round) = @_; return sprintf("%-31s\n", "block $block round $round") x (BLOCK / 32) }

# Blocks on the disk that are of none of the rounds.
sub wrong {
  my @rounds = @_;
  open(my $in, "-|", "dd", "if=$file", "iflag=direct", "bs=1M", "status=none") or die "failed at dd: $!\n";
  binmode $in;
  my $wrong = 0;
  for my $block (0 .. BLOCKS - 1) {
    my $there = "";
    while (length $there < BLOCK) { read($in, $there, BLOCK - length $there, length $there) or last }
    $wrong++ unless grep { $there eq stamp($block, $_) } @rounds;
  }
  close($in) or die "failed at dd: it could not read $file\n";
  return $wrong;
}

sub overwrite {
  sysopen(my $out, $file, O_WRONLY | O_CREAT) or die "failed at open: $!\n";
  for my $block (0 .. BLOCKS - 1) {
    (syswrite($out, stamp($block, $round)) // 0) == BLOCK or die "failed at write: $!\n";
  }
  $out->sync or die "failed at fsync: $!\n";
  close($out) or die "failed at close: $!\n";
}

if ($verb eq "check") {
  print wrong($round, $round + 1), "\n";
  exit 0;
}
until (-e STOP) {
  overwrite();
  print "acknowledged $round\n";
  my $wrong = wrong($round);
  die "lost $wrong blocks of round $round\n" if $wrong;
  $round++;
}
