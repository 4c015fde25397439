<?php
const CLIENT_KEY = {{client_key}};
const CLIENT_SECRET = {{client_secret}};
const TOKEN = {{token}};
const TOKEN_SECRET = {{token_secret}};

// The Authorization header of a request. $form: pairs of a form body, each [name, value].
function authorization(string $method, string $url, array $form = []): string
{
    [$address, $query] = explode('?', $url, 2) + [1 => ''];
    $oauth = [
        'oauth_consumer_key' => CLIENT_KEY,
        'oauth_nonce' => bin2hex(random_bytes(16)),
        'oauth_signature_method' => '{{method}}',
        'oauth_timestamp' => (string) time(),
        'oauth_token' => TOKEN,
    ];
    $pairs = $form;
    foreach ($oauth as $name => $value) {
        $pairs[] = [$name, $value];
    }
    foreach (array_filter(explode('&', $query), 'strlen') as $pair) {
        $pairs[] = array_map('urldecode', explode('=', $pair, 2)) + [1 => ''];
    }
    $pairs = array_map(fn ($pair) => array_map('rawurlencode', $pair), $pairs);
    usort($pairs, fn ($a, $b) => strcmp($a[0], $b[0]) ?: strcmp($a[1], $b[1]));
    $normalized = implode('&', array_map(fn ($pair) => "$pair[0]=$pair[1]", $pairs));
    $base = implode('&', array_map('rawurlencode', [$method, $address, $normalized]));
    $key = rawurlencode(CLIENT_SECRET) . '&' . rawurlencode(TOKEN_SECRET);
    $oauth['oauth_signature'] = base64_encode(hash_hmac('{{hash}}', $base, $key, true));
    $fields = [];
    foreach ($oauth as $name => $value) {
        $fields[] = $name . '="' . rawurlencode($value) . '"';
    }
    return 'OAuth ' . implode(', ', $fields);
}

$url = {{url}};
$header = 'Authorization: ' . authorization('GET', $url);
echo file_get_contents($url, false, stream_context_create(['http' => ['header' => $header, 'ignore_errors' => true]])), "\n";
