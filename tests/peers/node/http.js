// axios, undici and Node's own fetch with Basic and Bearer. In: base address, username, password, client key, a JWT.
// Out: a line of JSON with the statuses.
const axios = require('axios');
const { request, fetch: undiciFetch } = require('undici');

const [base, username, password, clientKey, jwt] = process.argv.slice(2);
const url = `${base}/v2/me`;
const key = { 'X-Client-Key': clientKey };
const basic = { Authorization: 'Basic ' + Buffer.from(`${username}:${password}`).toString('base64') };
const bearer = { Authorization: `Bearer ${jwt}` };

(async () => {
  const never = { validateStatus: () => true };
  const result = {
    axios_basic: (await axios.get(url, { auth: { username, password }, headers: key, ...never })).status,
    axios_bearer: (await axios.get(url, { headers: bearer, ...never })).status,
    axios_wrong: (await axios.get(url, { auth: { username, password: 'wrong' }, headers: key, ...never })).status,
    undici_basic: (await request(url, { headers: { ...basic, ...key } })).statusCode,
    undici_bearer: (await request(url, { headers: bearer })).statusCode,
    undici_fetch: (await undiciFetch(url, { headers: { ...basic, ...key } })).status,
    fetch_post: (await fetch(url, { method: 'POST', headers: { ...basic, ...key }, body: '{"a":1}' })).status,
  };
  console.log(JSON.stringify(result));
})().catch((error) => {
  console.error(error);
  process.exit(1);
});
