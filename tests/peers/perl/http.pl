# libwww-perl, which answers the challenges of a 401 by itself. In: URL, username, password, client key, Host header.
# Out: a line of JSON with the statuses of a few requests and the identity of the last GET.
use strict;
use warnings;
use HTTP::Request::Common;
use LWP::UserAgent;

my ($url, $username, $password, $client_key, $host) = @ARGV;

package Visitor {
    our @ISA = ('LWP::UserAgent');
    sub get_basic_credentials { return ($username, $password) }
}

my $agent = Visitor->new(env_proxy => 0);
my @headers = ('X-Client-Key' => $client_key, Host => $host);
my @answers = map { $agent->request(GET "$url?a=1&n=$_", @headers) } 1 .. 3;
my $posted = $agent->request(POST $url, [a => 1, b => 'c d'], @headers);
$password = 'wrong';
my $wrong = Visitor->new(env_proxy => 0)->request(GET $url, @headers);
my $identity = $answers[-1]->is_success ? $answers[-1]->decoded_content(charset => 'none') : 'null';
printf qq({"statuses":[%s],"wrong":%d,"identity":%s}\n), join(',', map { $_->code } @answers, $posted), $wrong->code, $identity;
