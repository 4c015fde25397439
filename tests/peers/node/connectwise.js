// The npm package connectwise-rest, unmodified. In: host and port, company, public key, private key, client id.
// Out: a line of JSON with what the API behind the gateway received, and the status with a wrong key.
const { ManageAPI } = require('connectwise-rest');

const [companyUrl, companyId, publicKey, privateKey, clientId] = process.argv.slice(2);
const api = (key) =>
  new ManageAPI({ companyId, companyUrl, publicKey, privateKey: key, clientId, logger: () => {} });

(async () => {
  const received = await api(privateKey).SystemAPI.getSystemMembers({ page: 2, conditions: 'name like "a%"' });
  const wrong = await api('wrong').SystemAPI.getSystemMembers({}).then(() => 200, (error) => error.status);
  console.log(JSON.stringify({ received, wrong }));
})().catch((error) => {
  console.error(error.status ? `${error.status} ${JSON.stringify(error.data)}` : error);
  process.exit(1);
});
