# The gem `oauth` does the dance. See test_other_languages.py for what goes in and out.
require 'json'
require 'oauth'
require 'oauth/signature/rsa/sha1'

base, key, secret, callback, method, rsa_key = ARGV
rsa = method == 'RSA-SHA1'

consumer = lambda do |with_secret|
  options = { site: base, signature_method: method }
  options[:private_key_file] = rsa_key if rsa
  OAuth::Consumer.new(key, with_secret, options)
end

# The status of a request. The gem raises where the answer names an OAuth problem.
status = lambda do |&request|
  request.call.code.to_i
rescue OAuth::Unauthorized => e
  e.request.code.to_i
end

request_token = consumer[secret].get_request_token(oauth_callback: callback)
$stdout.puts request_token.authorize_url
$stdout.flush

access_token = request_token.get_access_token(oauth_verifier: $stdin.gets.chomp)
me = access_token.get('/v2/me')
result = {
  identity: JSON.parse(me.body),
  me: me.code.to_i,
  odd: access_token.get('/v2/me?name=caf%C3%A9%20%26%20more&empty=').code.to_i,
  post: access_token.post('/v2/me', { 'note' => 'a b+c&d' }).code.to_i
}
unless rsa
  wrong = OAuth::AccessToken.new(consumer[secret], access_token.token, 'wrong')
  result[:wrong_token_secret] = status.call { wrong.get('/v2/me') }
  result[:wrong_client_secret] = status.call { consumer['wrong'].get_request_token(oauth_callback: callback) }
end
puts JSON.generate(result)
