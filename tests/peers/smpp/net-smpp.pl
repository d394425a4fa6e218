#!/usr/bin/perl
# An SMSC on Net::SMPP, for one connection. What it hears goes to stdout, a line each; each SMS is answered with a
# receipt as text.
use strict;
use warnings;
use Net::SMPP;

$| = 1;
$SIG{ALRM} = sub { exit 1 };
alarm 60;

my $server = Net::SMPP->new_listen('127.0.0.1', smpp_version => 0x34, interface_version => 0x34, port => 0)
    or die "no server: $!";
print 'port ', $server->sockport, "\n";
my $session = $server->accept or die "nobody came: $!";
my $id = 100;

sub bound {
    my ($pdu, $answer) = @_;
    print "bind $pdu->{system_id} $pdu->{system_type}\n";
    my $status = $pdu->{password} eq 's3cret!' ? 0 : 0x0E;
    $session->$answer(system_id => 'perl', seq => $pdu->{seq}, status => $status);
}

sub taken {
    my ($pdu) = @_;
    my $text = unpack 'H*', $pdu->{short_message};
    my $payload = unpack 'H*', $pdu->{message_payload} // '';
    print "submit $pdu->{source_addr_ton}/$pdu->{source_addr} $pdu->{destination_addr} ",
        "esm=$pdu->{esm_class} coding=$pdu->{data_coding} text=$text payload=$payload\n";
    $id++;
    $session->submit_sm_resp(message_id => $id, seq => $pdu->{seq});
    $session->deliver_sm(
        source_addr      => $pdu->{destination_addr},
        destination_addr => $pdu->{source_addr},
        esm_class        => 0x04,
        short_message    => "id:$id sub:001 dlvrd:001 submit date:2611251011 done date:2611251012 stat:DELIVRD err:000 text:",
        async            => 1,
    );
}

my %ANSWERS = (
    0x00000002 => sub { bound($_[0], 'bind_transmitter_resp') },
    0x00000009 => sub { bound($_[0], 'bind_transceiver_resp') },
    0x00000004 => \&taken,
    0x00000015 => sub { print "enquire_link\n"; $session->enquire_link_resp(seq => $_[0]{seq}) },
    0x80000005 => sub { print "acknowledged $_[0]{status}\n" },
    0x00000006 => sub { print "unbind\n"; $session->unbind_resp(seq => $_[0]{seq}); exit 0 },
);

while (my $pdu = $session->read_pdu) {
    my $answer = $ANSWERS{ $pdu->{cmd} } or die "no answer to $pdu->{cmd}";
    $answer->($pdu);
}
