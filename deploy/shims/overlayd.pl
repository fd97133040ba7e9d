#!/usr/bin/perl
# What container tools run for each thing that they want of a network of overlayd: CNI's runtimes by CNI_COMMAND, Podman by
# the first argument. Hands the call to the agent and prints its answer. No modules: perl-base is on every Debian, and
# without any it starts in a few milliseconds.
my $socket = '/run/overlayd/plugins.sock';
my $tries = 50;     # of 0.1 s: an agent that is just being started
my $patience = 20;  # s: above what the agent itself waits

my $cni = $ENV{CNI_COMMAND};
my $tool = defined $cni ? 'cni' : 'podman';
my $verb = defined $cni ? $cni : shift @ARGV;
if (!defined $verb or $verb !~ /^\w+$/) {
    print STDERR "overlayd: a container tool runs this program, with CNI_COMMAND or the arguments of a netavark plugin\n";
    exit 1;
}
my $input = '';
$input = do { local $/; <STDIN> } // '' unless -t STDIN;

sub fail {
    my ($code, $message) = @_;
    let_go($message);
    $message =~ s/(["\\])/\\$1/g;
    if ($tool eq 'cni') {
        my $version = $input =~ /"cniVersion"\s*:\s*"([\w.]+)"/ ? $1 : '1.0.0';
        print qq({"cniVersion":"$version","code":$code,"msg":"$message"}\n);
    } else {
        print qq({"error":"$message"}\n);
    }
    exit 1;
}

# What a teardown could not tell the agent it finds by itself; one that fails would keep Podman from removing the container.
sub let_go {
    my ($message) = @_;
    return if $tool ne 'podman' or $verb ne 'teardown';
    print STDERR "overlayd: $message\n";
    exit 0;
}

sub escaped {
    my ($text) = @_;
    $text =~ s/([^\w.~-])/sprintf '%%%02X', ord $1/ge;
    return $text;
}

my $again = $verb eq 'STATUS' ? 50 : 11;
$SIG{PIPE} = 'IGNORE';
$SIG{ALRM} = sub { fail($again, "the overlayd agent did not answer within $patience s: see `overlayd status`") };
alarm $patience;

# AF_UNIX and SOCK_STREAM are 1, on Linux.
for (;;) {
    socket(my $to, 1, 1, 0) or fail(5, "no socket: $!");
    if (connect($to, pack('Sa*x', 1, $socket))) {
        my @asked = map { 'arg=' . escaped($_) } @ARGV;
        push @asked, map { "$_=" . escaped($ENV{$_}) } grep { /^CNI_\w+$|^TRACEPARENT$|^TRACESTATE$/ } sort keys %ENV;
        my $request = "POST /$tool/$verb?" . join('&', @asked) . " HTTP/1.0\r\nContent-Length: " . length($input) . "\r\n\r\n";
        select((select($to), $| = 1)[0]);
        print {$to} $request . $input;
        my $answer = do { local $/; <$to> } // '';
        my ($head, $body) = split /\r\n\r\n/, $answer, 2;
        fail($again, 'the overlayd agent ended while it was asked: try again')
            if !defined $body or $head !~ /^content-length: *(\d+)/mi or $1 != length $body;
        my ($status) = $head =~ m{^HTTP/1\.\d (\d+)};
        fail(100, "the overlayd agent does not know this call ($status): install the program anew, by `overlayd $tool install`")
            if $status != 200 and $status != 422;
        let_go($body) if $status != 200;
        print $body;
        exit($status == 200 ? 0 : 1);
    }
    # EACCES. Nobody else's network is the host's to wire.
    fail(50, "$socket of the overlayd agent is for root: networks of the cluster are for root's containers, and no rootless Podman's")
        if $! == 13;
    fail($again, "the overlayd agent does not answer at $socket ($!): start it, `systemctl start overlayd`")
        if $verb =~ /^(STATUS|VERSION|info)$/ or $tries-- <= 0;
    select undef, undef, undef, 0.1;
}
