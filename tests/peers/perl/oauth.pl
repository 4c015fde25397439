# Net::OAuth does the dance. See test_other_languages.py for what goes in and out.
use strict;
use warnings;
use HTTP::Request::Common;
use JSON::PP;
use LWP::UserAgent;
use Net::OAuth;

$Net::OAuth::PROTOCOL_VERSION = Net::OAuth::PROTOCOL_VERSION_1_0A;
$| = 1;

my ($base, $key, $secret, $callback, $method, $rsa_key) = @ARGV;
my $browser = LWP::UserAgent->new;
my $counter = 0;

sub signing_key {
    return () unless $method eq 'RSA-SHA1';
    require Crypt::OpenSSL::RSA;
    open my $file, '<', $rsa_key or die $!;
    local $/;
    return Crypt::OpenSSL::RSA->new_private_key(<$file>);
}

sub message {
    my ($kind, $verb, $url, %more) = @_;
    my $message = Net::OAuth->request($kind)->new(
        consumer_key     => $key,
        consumer_secret  => $secret,
        request_url      => $url,
        request_method   => $verb,
        signature_method => $method,
        timestamp        => time,
        nonce            => join('x', $$, time, ++$counter),
        %more,
    );
    $message->sign(signing_key());
    return $message;
}

sub send_signed {
    my ($verb, $url, $message, @form) = @_;
    my $make = { GET => \&GET, POST => \&POST }->{$verb};
    return $browser->request($make->($url, @form, Authorization => $message->to_authorization_header));
}

sub temporary {
    my $url = "$base/oauth/request_token";
    return send_signed('POST', $url, message('request token', 'POST', $url, callback => $callback, @_));
}

my $answer = temporary();
die $answer->as_string unless $answer->is_success;
my $temporary = Net::OAuth->response('request token')->from_post_body($answer->content);
print "$base/oauth/authorize?oauth_token=", $temporary->token, "\n";

chomp(my $verifier = <STDIN>);
my $url = "$base/oauth/access_token";
$answer = send_signed('POST', $url, message('access token', 'POST', $url,
    token => $temporary->token, token_secret => $temporary->token_secret, verifier => $verifier));
die $answer->as_string unless $answer->is_success;
my $token = Net::OAuth->response('access token')->from_post_body($answer->content);
my @token = (token => $token->token, token_secret => $token->token_secret);

my $me = send_signed('GET', "$base/v2/me", message('protected resource', 'GET', "$base/v2/me", @token));
my $odd_url = "$base/v2/me?name=caf%C3%A9%20%26%20more&empty=";
# Text in, or Net::OAuth takes the bytes of the query for characters and encodes them twice.
my %query = (name => "caf\x{e9} & more", empty => '');
my $odd = send_signed('GET', $odd_url,
    message('protected resource', 'GET', "$base/v2/me", @token, extra_params => \%query));
my %form = (note => 'a b+c&d');
my $post = send_signed('POST', "$base/v2/me",
    message('protected resource', 'POST', "$base/v2/me", @token, extra_params => {%form}), [%form]);
my %result = (
    identity => decode_json($me->content),
    me       => 0 + $me->code,
    odd      => 0 + $odd->code,
    post     => 0 + $post->code,
);
if ($method ne 'RSA-SHA1') {
    my $wrong = send_signed('GET', "$base/v2/me",
        message('protected resource', 'GET', "$base/v2/me", @token, token_secret => 'wrong'));
    $result{wrong_token_secret}  = 0 + $wrong->code;
    $result{wrong_client_secret} = 0 + temporary(consumer_secret => 'wrong')->code;
}
print encode_json(\%result), "\n";
