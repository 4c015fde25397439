require "net/http"
require "openssl"
require "securerandom"
require "uri"

CLIENT_KEY = {{client_key}}
CLIENT_SECRET = {{client_secret}}
TOKEN = {{token}}
TOKEN_SECRET = {{token_secret}}

def encode(text)
  text.b.gsub(/[^A-Za-z0-9\-._~]/n) { |octet| format("%%%02X", octet.ord) }
end

# The Authorization header of a request. form: pairs of a form body.
def authorization(method, url, form = [])
  address, query = url.split("?", 2)
  oauth = {
    "oauth_consumer_key" => CLIENT_KEY,
    "oauth_nonce" => SecureRandom.hex(16),
    "oauth_signature_method" => "{{method}}",
    "oauth_timestamp" => Time.now.to_i.to_s,
    "oauth_token" => TOKEN
  }
  pairs = oauth.to_a + URI.decode_www_form(query.to_s) + form
  normalized = pairs.map { |pair| pair.map { |text| encode(text) } }.sort.map { |pair| pair.join("=") }.join("&")
  base = [method, address, normalized].map { |part| encode(part) }.join("&")
  key = "#{encode(CLIENT_SECRET)}&#{encode(TOKEN_SECRET)}"
  oauth["oauth_signature"] = [OpenSSL::HMAC.digest("{{hash}}", key, base)].pack("m0")
  "OAuth " + oauth.map { |name, value| %(#{name}="#{encode(value)}") }.join(", ")
end

url = {{url}}
puts Net::HTTP.get(URI(url), { "Authorization" => authorization("GET", url) })
