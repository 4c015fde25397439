// The npm package `oauth` does the dance. See test_other_languages.py for what goes in and out.
const fs = require('fs');
const readline = require('readline');
const { OAuth } = require('oauth');

const [base, key, secret, callback, method, rsaKey] = process.argv.slice(2);
// For RSA-SHA1 the package takes the private key in the place of the secret.
const signingKey = method === 'RSA-SHA1' ? fs.readFileSync(rsaKey, 'utf8') : secret;
const consumer = (withSecret) =>
  new OAuth(`${base}/oauth/request_token`, `${base}/oauth/access_token`, key, withSecret, '1.0', callback, method);

const call = (start) =>
  new Promise((resolve) => start((error, ...rest) => resolve({ error, rest })));
const status = ({ error, rest }) => (error ? error.statusCode : rest[1].statusCode);

(async () => {
  const oauth = consumer(signingKey);
  const temporary = await call((done) => oauth.getOAuthRequestToken(done));
  if (temporary.error) throw new Error(JSON.stringify(temporary.error));
  const [requestToken, requestSecret] = temporary.rest;
  console.log(`${base}/oauth/authorize?oauth_token=${requestToken}`);

  const lines = readline.createInterface({ input: process.stdin });
  const verifier = (await lines[Symbol.asyncIterator]().next()).value;
  lines.close();
  const exchanged = await call((done) => oauth.getOAuthAccessToken(requestToken, requestSecret, verifier, done));
  if (exchanged.error) throw new Error(JSON.stringify(exchanged.error));
  const [token, tokenSecret] = exchanged.rest;

  const me = await call((done) => oauth.get(`${base}/v2/me`, token, tokenSecret, done));
  const odd = await call((done) => oauth.get(`${base}/v2/me?name=caf%C3%A9%20%26%20more&empty=`, token, tokenSecret, done));
  const post = await call((done) => oauth.post(`${base}/v2/me`, token, tokenSecret, { note: 'a b+c&d' }, undefined, done));
  const result = {
    identity: JSON.parse(me.rest[0]),
    me: status(me),
    odd: status(odd),
    post: status(post),
  };
  if (method !== 'RSA-SHA1') {
    const wrongToken = await call((done) => oauth.get(`${base}/v2/me`, token, 'wrong', done));
    const wrongClient = await call((done) => consumer('wrong').getOAuthRequestToken(done));
    result.wrong_token_secret = status(wrongToken);
    result.wrong_client_secret = wrongClient.error && wrongClient.error.statusCode;
  }
  console.log(JSON.stringify(result));
})().catch((error) => {
  console.error(error);
  process.exit(1);
});
