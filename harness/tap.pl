#!/usr/bin/perl
# SPDX-License-Identifier: GPL-2.0-only
# Runs one boot, reads the TAP of its programs as it comes, and writes one line
# per test: "STATUS<tab>NAME<tab>SECONDS<tab>REASON".
use strict;
use warnings;
use Getopt::Long;
use IO::Handle;
use Time::HiRes 'time';

my ($boot, $log, $results, $kunit) = ('', '', '', 0);
GetOptions('name=s' => \$boot, 'log=s' => \$log, 'results=s' => \$results, 'kunit' => \$kunit)
	or die "usage: tap.pl --name NAME --log FILE --results FILE [--kunit] -- COMMAND...\n";

open(my $out, '>', $results) or die "$results: $!\n";
$| = 1;
$out->autoflush(1);

my %colour = (pass => '', fail => '', skip => '');
%colour = (pass => "\e[32m", fail => "\e[31m", skip => "\e[33m") if -t STDOUT;
my $last = time;

sub result {
	my ($status, $name, $reason) = @_;
	my $now = time;

	$reason =~ s/[\t\n\r]+/ /g;
	printf $out "%s\t%s\t%.1f\t%s\n", $status, $name, $now - $last, $reason;
	printf "%s%s%s %s%s (%.1f s)\n", $colour{$status}, $status, $colour{$status} ? "\e[0m" : '',
		$name, $reason ne '' ? ": $reason" : '', $now - $last;
	$last = $now;
}

# One program's share of the output.
my $s;
my @tail;

sub begin {
	my ($name, $mode) = @_;

	$s = { name => $name, mode => $mode, seen => 0, fails => 0, skips => 0, bad => 0 };
	@tail = ();
	$last = time;
}

sub show_tail {
	print map { "    | $_\n" } @tail;
}

sub finish {
	my ($rc) = @_;
	my $name = $s->{name};
	my ($why) = grep { /skip/i } reverse @tail;

	$why = $tail[-1] // '' unless defined $why;
	$why =~ s/^#?\s*//;
	if ($s->{mode} eq 'whole') {
		if ($rc == 0) {
			result('pass', $name, '');
		} elsif ($rc == 4) {
			result('skip', $name, $why);
		} else {
			result('fail', $name, $rc == 137 ? 'killed, most likely by its timeout' : "status $rc");
			show_tail();
		}
	} elsif (!defined $s->{plan}) {
		if ($rc == 4) {
			result('skip', $name, $why);
		} else {
			result('fail', $name, "printed no plan, status $rc");
			show_tail();
		}
	} else {
		for my $n ($s->{seen} + 1 .. $s->{plan}) {
			result('fail', "$name $n", "planned, but did not run; status $rc");
			$s->{fails}++;
		}
		if ($s->{seen} > $s->{plan}) {
			result('fail', $name, "$s->{seen} results for a plan of $s->{plan}");
			$s->{fails}++;
		}
		if ($rc != 0 && $rc != 4 && !$s->{fails}) {
			result('fail', $name, "status $rc after its last test");
			$s->{fails}++;
		}
		show_tail() if $s->{fails};
	}
	$s = undef;
}

sub line {
	my ($l) = @_;

	push @tail, $l if $l =~ /\S/;
	shift @tail if @tail > 25;
	return if $s->{mode} eq 'whole';
	if ($l =~ /^1\.\.(\d+)\s*(?:#\s*SKIP\S*\s*(.*))?$/i) {
		$s->{plan} = $1;
		result('skip', $s->{name}, $2 // '') if $1 == 0;
	} elsif ($l =~ /^(not )?ok\b\s*\d*\s*(?:-\s*)?(.*?)\s*(?:#\s*(SKIP|TODO)\S*\s*(.*))?$/i) {
		my ($not, $what, $how, $why) = ($1, $2, uc($3 // ''), $4 // '');

		# kselftest writes "ok N # SKIP NAME # REASON".
		($what, $why) = ($1, $2) if $what eq '' && $why =~ /^(\S+)\s*#?\s*(.*)/;
		$what =~ s/ \([\d.]+ s\)$//;
		my $name = "$s->{name}: " . ($what ne '' ? $what : $s->{seen} + 1);

		$s->{seen}++;
		if ($how eq 'SKIP') {
			result('skip', $name, $why);
		} elsif ($not) {
			# What was asserted, if the program says where.
			my ($why) = grep { /^# \S+:\d+: / } @tail;

			$s->{fails}++;
			result('fail', $name, ($why // '') =~ s/^# //r);
			show_tail();
		} else {
			result('pass', $name, '');
		}
		# What comes next is about the next one.
		@tail = ();
	} elsif ($l =~ /^Bail out!\s*(.*)/) {
		$s->{fails}++;
		result('fail', $s->{name}, "bailed out: $1");
	}
}

# KUnit's results: leaves are the lines below which no subtest was opened.
sub read_kunit {
	my ($leaves, @open, @failed) = (0);

	open(my $in, '<', $log) or return result('fail', "$boot: KUnit", "no log: $!");
	while (my $l = <$in>) {
		$l =~ s/\r?\n$//;
		next unless $l =~ s/^(?:<\d+>)?\[\s*[\d.]+\](?:\[[^\]]*\])? //;
		if ($l =~ /^(\s*)# Subtest: (\S+)/) {
			my $level = length($1) / 4;

			$open[$level] = $2;
			$failed[$level] = 0;
		} elsif ($l =~ /^(\s*)(not )?ok \d+ (?:- )?(.*?)\s*(?:# (SKIP)\s*(.*))?$/) {
			my $level = length($1) / 4;

			if (defined $open[$level + 1]) {
				my $child = $failed[$level + 1];

				$open[$level + 1] = undef;
				next if !$2 || $child;
			}
			$leaves++;
			$failed[$_] = 1 for $2 ? (0 .. $level) : ();
			result($4 ? 'skip' : $2 ? 'fail' : 'pass',
			       'kunit ' . join('.', grep { defined } @open[0 .. $level], $3), $5 // '');
		}
	}
	result('fail', "$boot: KUnit", 'no result in the kernel log') unless $leaves;
}

open(my $in, '-|', @ARGV) or die "$ARGV[0]: $!\n";
my $sections = 0;
while (my $l = <$in>) {
	$l =~ s/[\r\n]+$//;
	if ($l =~ /^# \[each run (\w+)\] (.*)/) {
		$sections++;
		begin($2, $1);
	} elsif ($l =~ /^# \[each end (\d+)\] (.*)/) {
		finish($1) if $s;
	} else {
		begin($boot, 'tap') if !$s && !$sections;
		line($l) if $s;
	}
}
close($in);
my $rc = $? >> 8;

begin($boot, 'tap') if !$s && !$sections && !$kunit;
if ($rc == 70 || $rc == 124) {
	my $what = $rc == 70 ? 'the kernel reported a problem, or died' : 'timeout';

	result('fail', $s ? $s->{name} : $boot, $what);
	show_tail() if $s;
	$s = undef;
} elsif ($s) {
	# Between marks, the boot's status belongs to somebody else.
	finish($sections ? 255 : $rc);
} elsif ($rc && !$sections) {
	result('fail', $boot, "status $rc");
}
read_kunit() if $kunit;
close($out) or die "$results: $!\n";
