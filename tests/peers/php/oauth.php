<?php
// PHP's extension `oauth` does the dance. See test_other_languages.py for what goes in and out.
[, $base, $key, $secret, $callback, $method, $rsaKey] = $argv;
$rsa = $method === 'RSA-SHA1';

function consumer(string $secret): OAuth
{
    global $key, $method, $rsa, $rsaKey;
    $oauth = new OAuth($key, $secret, $method, OAUTH_AUTH_TYPE_AUTHORIZATION);
    $oauth->disableSSLChecks();
    if ($rsa) {
        $oauth->setRSACertificate(file_get_contents($rsaKey));
    }
    return $oauth;
}

/** The status of a request, also when the extension throws. */
function status(OAuth $oauth, callable $request): int
{
    try {
        $request($oauth);
    } catch (OAuthException $refused) {
        return $refused->getCode();
    }
    return $oauth->getLastResponseInfo()['http_code'];
}

$oauth = consumer($secret);
$temporary = $oauth->getRequestToken("$base/oauth/request_token", $callback, 'POST');
echo "$base/oauth/authorize?oauth_token=", $temporary['oauth_token'], "\n";

$verifier = trim(fgets(STDIN));
$oauth->setToken($temporary['oauth_token'], $temporary['oauth_token_secret']);
$token = $oauth->getAccessToken("$base/oauth/access_token", null, $verifier, 'POST');
$oauth->setToken($token['oauth_token'], $token['oauth_token_secret']);

$me = status($oauth, fn ($o) => $o->fetch("$base/v2/me"));
$identity = json_decode($oauth->getLastResponse());
$result = [
    'identity' => $identity,
    'me' => $me,
    'odd' => status($oauth, fn ($o) => $o->fetch("$base/v2/me", ['name' => 'café & more', 'empty' => ''])),
    'post' => status($oauth, fn ($o) => $o->fetch("$base/v2/me", ['note' => 'a b+c&d'], OAUTH_HTTP_METHOD_POST)),
];
if (!$rsa) {
    $oauth->setToken($token['oauth_token'], 'wrong');
    $result['wrong_token_secret'] = status($oauth, fn ($o) => $o->fetch("$base/v2/me"));
    $result['wrong_client_secret'] = status(
        consumer('wrong'),
        fn ($o) => $o->getRequestToken("$base/oauth/request_token", $callback, 'POST')
    );
}
echo json_encode($result), "\n";
