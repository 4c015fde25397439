use strict;
use warnings;
use Digest::SHA qw(hmac_{{hash}});
use HTTP::Tiny;
use MIME::Base64 qw(encode_base64);

my $client_key    = {{client_key}};
my $client_secret = {{client_secret}};
my $token         = {{token}};
my $token_secret  = {{token_secret}};

sub encode { my ($text) = @_; $text =~ s/([^A-Za-z0-9\-._~])/sprintf '%%%02X', ord $1/ge; return $text }
sub decode { my ($text) = @_; $text =~ tr/+/ /; $text =~ s/%([0-9A-Fa-f]{2})/chr hex $1/ge; return $text }

# The Authorization header of a request. Further arguments: pairs of a form body, each [name, value].
sub authorization {
    my ($method, $url, @form) = @_;
    my ($address, $query) = split /\?/, $url, 2;
    my @oauth = (
        ['oauth_consumer_key', $client_key],
        ['oauth_nonce', join '', map { sprintf '%x', int rand 16 } 1 .. 32],
        ['oauth_signature_method', '{{method}}'],
        ['oauth_timestamp', time],
        ['oauth_token', $token],
    );
    my @query = map { my ($name, $value) = split /=/, $_, 2; [decode($name), decode($value // '')] } split /&/, $query // '';
    my @pairs = map { [encode($_->[0]), encode($_->[1])] } @oauth, @query, @form;
    my $normalized = join '&', map { "$_->[0]=$_->[1]" } sort { $a->[0] cmp $b->[0] || $a->[1] cmp $b->[1] } @pairs;
    my $base = join '&', map { encode($_) } $method, $address, $normalized;
    my $key  = encode($client_secret) . '&' . encode($token_secret);
    push @oauth, ['oauth_signature', encode_base64(hmac_{{hash}}($base, $key), '')];
    return 'OAuth ' . join ', ', map { sprintf '%s="%s"', $_->[0], encode($_->[1]) } @oauth;
}

my $url    = {{url}};
my $answer = HTTP::Tiny->new->get($url, { headers => { Authorization => authorization('GET', $url) } });
print "$answer->{content}\n";
