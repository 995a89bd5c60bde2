// An authorization server of someone else's (oidc-provider) and an API that takes only its tokens.
//
// server.mjs FOLDER PORT     FOLDER: where npm has installed oidc-provider
//
// Refresh tokens are rotated at each use, and one that is used twice takes its whole grant away (RFC 9700, 4.14.2).
// Beside what it serves to everyone: /_log, /_clear, /_expire, /_hold, /_release, /_key, and /_consent, a browser with a person in it.
import { generateKeyPairSync } from 'node:crypto';
import http from 'node:http';
import { pathToFileURL } from 'node:url';

const [folder, port] = process.argv.slice(2);
const { default: Provider } = await import(pathToFileURL(`${folder}/node_modules/oidc-provider/lib/index.js`));
const issuer = `http://127.0.0.1:${port}`;

const client = (id, grants, more) => ({
  client_id: id,
  client_secret: 'client-s3cret:+%',
  grant_types: grants,
  response_types: [],
  redirect_uris: [],
  ...more,
});
// Clients that sign: their keys are made here, and handed to the tests.
const keys = {
  RS256: generateKeyPairSync('rsa', { modulusLength: 2048 }),
  ES256: generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  EdDSA: generateKeyPairSync('ed25519'),
};
const signer = (alg) => ({
  ...client(`signer-${alg}`, ['client_credentials']),
  client_secret: undefined,
  token_endpoint_auth_method: 'private_key_jwt',
  token_endpoint_auth_signing_alg: alg,
  jwks: { keys: [{ ...keys[alg].publicKey.export({ format: 'jwk' }), kid: 'first', use: 'sig' }] },
});
const DEVICE = 'urn:ietf:params:oauth:grant-type:device_code';
const provider = new Provider(issuer, {
  clients: [
    client('browser', ['authorization_code', 'refresh_token'], {
      response_types: ['code'],
      redirect_uris: ['https://app.example/callback'],
    }),
    client('machine', ['client_credentials']),
    client('device', [DEVICE, 'refresh_token']),
    ...Object.keys(keys).map(signer),
  ],
  features: { clientCredentials: { enabled: true }, deviceFlow: { enabled: true }, revocation: { enabled: true } },
  scopes: ['openid', 'offline_access', 'read'],
  pkce: { required: () => true },
  rotateRefreshToken: () => true,
  issueRefreshToken: async (_, client) => client.grantTypeAllowed('refresh_token'),
  expiresWithSession: async () => false,
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  cookies: { keys: ['a key of the tests'] },
});

let log = [];
const note = (ctx, error) => log.push({ grant: ctx.oidc.params?.grant_type, error: error?.error ?? null });
provider.on('grant.success', (ctx) => note(ctx));
provider.on('grant.error', (ctx, error) => note(ctx, error));
provider.on('server_error', (_, error) => console.error(error));
let revoked = 0;
provider.on('grant.revoked', () => revoked++);

// What was given out before is taken no more.
let valid = 0;
let held = null;
let arrived = 0;

const items = Array.from({ length: 250 }, (_, n) => ({ id: n + 1, name: `Größe ${n + 1}` }));

async function api(request, url) {
  const token = (request.headers.authorization ?? '').replace(/^Bearer /, '');
  const found = (await provider.AccessToken.find(token)) ?? (await provider.ClientCredentials.find(token));
  if (!found || found.iat * 1000 < valid) return [401, { error: 'invalid_token' }];
  const page = Number(url.searchParams.get('page') ?? 1);
  const size = Number(url.searchParams.get('size') ?? 100);
  return [200, { data: items.slice((page - 1) * size, page * size), total: items.length }];
}

// Follows redirects and fills in what the pages ask for, until the client's own address is reached, or nothing is asked.
async function consent(address) {
  const jar = new Map();
  let [target, init] = [address, {}];
  for (let step = 0; step < 20; step++) {
    const cookie = [...jar].map(([name, value]) => `${name}=${value}`).join('; ');
    const answer = await fetch(target, { ...init, redirect: 'manual', headers: { ...init.headers, cookie } });
    for (const set of answer.headers.getSetCookie()) {
      const [, name, value] = set.match(/^([^=]+)=([^;]*)/);
      value === '' ? jar.delete(name) : jar.set(name, value);
    }
    const location = answer.headers.get('location');
    if (location) {
      [target, init] = [new URL(location, target).href, {}];
      if (!target.startsWith(issuer)) return target;
      continue;
    }
    const page = await answer.text();
    const form = page.match(/<form[^>]*action="([^"]*)"[^>]*>([\s\S]*?)<\/form>/);
    if (!form) return page;
    const fields = new URLSearchParams();
    for (const [input] of form[2].matchAll(/<input[^>]*>/g)) {
      const attribute = (name) => input.match(new RegExp(`\\b${name}="([^"]*)"`))?.[1];
      if (attribute('name')) fields.set(attribute('name'), attribute('value') ?? 'ann');
    }
    const headers = { 'content-type': 'application/x-www-form-urlencoded' };
    [target, init] = [new URL(form[1], target).href, { method: 'POST', body: fields.toString(), headers }];
  }
  throw new Error('the pages do not end');
}

const control = {
  '/_log': () => ({ log, revoked, arrived }),
  '/_clear': () => ((log = []), (revoked = 0), (arrived = 0), {}),
  // Lifetimes count in whole seconds: the next ones are of a later one.
  '/_expire': async () => {
    const second = Math.floor(Date.now() / 1000) + 1;
    valid = second * 1000;
    while (Date.now() < valid) await new Promise((resolve) => setTimeout(resolve, 20));
    return {};
  },
  '/_hold': () => ((held = Promise.withResolvers?.() ?? deferred()), {}),
  '/_release': () => (held?.resolve(), (held = null), {}),
  '/_key': (url) => ({ pem: keys[url.searchParams.get('alg')].privateKey.export({ type: 'pkcs8', format: 'pem' }) }),
  '/_consent': async (url) => ({ end: await consent(url.searchParams.get('url')) }),
};

function deferred() {
  let resolve;
  return { promise: new Promise((done) => (resolve = done)), resolve };
}

const oauth = provider.callback();
http
  .createServer(async (request, response) => {
    const url = new URL(request.url, issuer);
    const answer = (status, body) => response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    try {
      if (control[url.pathname]) return answer(200, await control[url.pathname](url));
      if (url.pathname === '/items') return answer(...(await api(request, url)));
      if (url.pathname === '/token') {
        arrived++;
        await held?.promise;
      }
      oauth(request, response);
    } catch (error) {
      answer(500, { error: String(error) });
    }
  })
  .listen(Number(port), '127.0.0.1');
