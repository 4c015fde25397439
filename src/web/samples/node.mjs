import { createHmac, randomUUID } from "node:crypto";

const clientKey = {{client_key}};
const clientSecret = {{client_secret}};
const token = {{token}};
const tokenSecret = {{token_secret}};

const encode = (text) =>
  encodeURIComponent(text).replace(/[!'()*]/g, (letter) => "%" + letter.charCodeAt(0).toString(16).toUpperCase());

// The Authorization header of a request. form: the pairs of a form body.
function authorization(method, url, form = []) {
  const [address, query = ""] = url.split("?");
  const oauth = {
    oauth_consumer_key: clientKey,
    oauth_nonce: randomUUID(),
    oauth_signature_method: "{{method}}",
    oauth_timestamp: String(Math.floor(Date.now() / 1000)),
    oauth_token: token,
  };
  const normalized = [...Object.entries(oauth), ...new URLSearchParams(query), ...form]
    .map(([name, value]) => [encode(name), encode(value)])
    .sort(([a, x], [b, y]) => (a < b ? -1 : a > b ? 1 : x < y ? -1 : x > y ? 1 : 0))
    .map((pair) => pair.join("="))
    .join("&");
  const base = [method, address, normalized].map(encode).join("&");
  const key = encode(clientSecret) + "&" + encode(tokenSecret);
  oauth.oauth_signature = createHmac("{{hash}}", key).update(base).digest("base64");
  return "OAuth " + Object.entries(oauth).map(([name, value]) => `${name}="${encode(value)}"`).join(", ");
}

const url = {{url}};
const answer = await fetch(url, { headers: { Authorization: authorization("GET", url) } });
console.log(await answer.text());
