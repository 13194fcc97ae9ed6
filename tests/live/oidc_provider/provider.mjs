// A certified OpenID provider on a port of its own, for the tests: what it is to be comes as JSON on the first line of
// standard input, its port goes out on standard output, and it ends with standard input.
import fs from 'node:fs';
import https from 'node:https';
import { X509Certificate } from 'node:crypto';
import readline from 'node:readline';
import Provider from 'oidc-provider';

const lines = readline.createInterface({ input: process.stdin });
const plan = JSON.parse((await lines[Symbol.asyncIterator]().next()).value);

const certificateOf = (ctx) => {
  const shown = ctx.req.socket.getPeerCertificate(true);
  return shown && shown.raw ? new X509Certificate(shown.raw) : undefined;
};

const provider = new Provider(plan.issuer, {
  clients: plan.clients.map((client) => ({
    grant_types: ['client_credentials'],
    redirect_uris: [],
    response_types: [],
    ...client,
  })),
  jwks: plan.jwks,
  clientAuthMethods: [
    'client_secret_basic',
    'client_secret_post',
    'private_key_jwt',
    'tls_client_auth',
    'self_signed_tls_client_auth',
  ].filter((method) => !plan.without.includes(method)),
  enabledJWA: { clientAuthSigningAlgValues: ['RS256', 'ES256'] },
  discovery: { mtls_endpoint_aliases: { token_endpoint: `${plan.mutual}/token` } },
  scopes: ['aws'],
  ttl: { ClientCredentials: plan.lifetime },
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    mTLS: {
      enabled: true,
      selfSignedTlsClientAuth: true,
      tlsClientAuth: true,
      getCertificate: certificateOf,
      certificateAuthorized: (ctx) => ctx.req.socket.authorized,
      certificateSubjectMatches: (ctx, property, expected) =>
        property === 'tls_client_auth_subject_dn' && certificateOf(ctx).subject === expected,
    },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => undefined,
      useGrantedResource: () => false,
      getResourceServerInfo: (_, resource) => ({
        scope: 'aws',
        audience: resource.replace('https://', ''),
        accessTokenTTL: plan.lifetime,
        accessTokenFormat: 'jwt',
        jwt: { sign: { alg: 'RS256' } },
      }),
    },
  },
  // The clients' own key sets are on another port of this machine, where the library's own dispatcher would not go.
  fetch: (url, { dispatcher, ...options }) => {
    const place = new URL(url);
    return fetch(`${plan.sites[place.origin]}${place.pathname}`, options);
  },
});
// Only the library's own words for what went wrong, for a test that fails.
provider.on('server_error', (_, error) => console.error(error));
provider.on('grant.error', (_, error) => console.error(error.error, error.error_detail));

const server = https.createServer(
  {
    key: fs.readFileSync(plan.key),
    cert: fs.readFileSync(plan.certificate),
    ca: plan.authorities.map((file) => fs.readFileSync(file)),
    requestCert: true,
    rejectUnauthorized: false,
  },
  provider.callback(),
);
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
lines.on('close', () => process.exit(0));
