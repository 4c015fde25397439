// Belongs to nginx-njs.conf: asks Countersign about forms, and takes credentials out of targets and cookies.

const HEADERS = [
    'X-Auth-Account', 'X-Auth-External-Id', 'X-Auth-Company', 'X-Auth-Client', 'X-Auth-Scopes', 'X-Auth-Credential',
    'X-Auth-Impersonated-By', 'X-Auth-Assertion',
];

// What an answer of Countersign hands on to the client.
const TOLD = ['WWW-Authenticate', 'Retry-After', 'X-Auth-Error'];

// A form: Countersign gets its body, then the API does.
async function form(r) {
    let body;
    try {
        body = r.requestText || '';
    } catch (e) {
        // It did not fit into client_body_buffer_size.
        r.return(413);
        return;
    }
    r.variables.form_length = body === '' ? '0' : '';
    const asked = await r.subrequest('/_countersign_forward', { method: 'POST', body });
    if (asked.status >= 300 && asked.status < 400) {
        r.return(asked.status, asked.headersOut.Location);
        return;
    }
    if (asked.status !== 200) {
        TOLD.forEach((name) => {
            if (asked.headersOut[name] !== undefined) {
                r.headersOut[name] = asked.headersOut[name];
            }
        });
        r.return(asked.status);
        return;
    }
    HEADERS.forEach((name) => {
        r.variables[name.slice(2).toLowerCase().replace(/-/g, '_')] = asked.headersOut[name] || '';
    });
    r.internalRedirect('@api');
}

// The request target as it was sent, without credentials in its query. `client_key` and `auth=session` are Countersign's
// defaults: change them here if you changed http_auth.client_key_query or http_auth.session_query.
function target(r) {
    const sent = r.variables.request_uri;
    const mark = sent.indexOf('?');
    if (mark < 0) {
        return sent;
    }
    const kept = sent.slice(mark + 1).split('&').filter((pair) => !isCredential(pair));
    return kept.length === 0 ? sent.slice(0, mark) : sent.slice(0, mark + 1) + kept.join('&');
}

function isCredential(pair) {
    const name = pair.split('=')[0];
    let decoded = name;
    try {
        decoded = decodeURIComponent(name.replace(/\+/g, ' '));
    } catch (e) {
        // Not a name of ours then.
    }
    return decoded.startsWith('oauth_') || name === 'client_key' || pair === 'auth=session';
}

function cookies(r) {
    const sent = r.variables.http_cookie || '';
    return sent.split(';').filter((pair) => !/^ *(countersign_|memberHash=)/.test(pair)).join(';').trim();
}

export default { form, target, cookies };
