// The npm package passport-appfigures, unmodified, does the dance. In and out as in test_other_languages.py; the JSON
// holds the profile that it made of GET /v2/.
const readline = require('readline');
const { Strategy } = require('passport-appfigures');

const [base, consumerKey, consumerSecret, callbackURL] = process.argv.slice(2);
const strategy = new Strategy(
  {
    consumerKey,
    consumerSecret,
    callbackURL,
    requestTokenURL: `${base}/v2/oauth/request_token`,
    accessTokenURL: `${base}/v2/oauth/access_token`,
    userAuthorizationURL: `${base}/v2/oauth/authorize`,
    userProfileURL: `${base}/v2/`,
  },
  (token, tokenSecret, profile, done) => done(null, { profile, token: Boolean(token && tokenSecret) })
);

// What passport does around a strategy: one request in, one outcome out.
const authenticate = (request) =>
  new Promise((resolve, reject) => {
    const attempt = Object.create(strategy);
    attempt.redirect = resolve;
    attempt.success = resolve;
    attempt.fail = (challenge) => reject(new Error(`refused: ${JSON.stringify(challenge)}`));
    attempt.error = reject;
    attempt.authenticate(request, {});
  });

(async () => {
  const session = {};
  console.log(await authenticate({ query: {}, session, headers: {} }));
  const lines = readline.createInterface({ input: process.stdin });
  const verifier = (await lines[Symbol.asyncIterator]().next()).value;
  lines.close();
  const requestToken = Object.values(session)[0].oauth_token;
  const query = { oauth_token: requestToken, oauth_verifier: verifier };
  const user = await authenticate({ query, session, headers: {} });
  console.log(JSON.stringify(user));
})().catch((error) => {
  console.error(error.oauthError || error);
  process.exit(1);
});
