/**
 * What callers say about TLS, resolved: once for all connections of a pool.
 *
 * The secure context (roots, versions) costs milliseconds to make and is made once per configuration. What the options are:
 * options.ts. What is done with them: handshake.ts.
 */
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import tls, { type SecureContext } from 'node:tls';
import { SSLError } from '../exceptions.js';
import { excerpt } from '../excerpt.js';
import { textOrNull } from '../options.js';
import { CERT_NONE, resolveCertReqs } from '../util/ssl_.js';
import type { TlsOptions } from './options.js';

/** {@link TlsOptions}, resolved: shared by all connections of a pool. */
export interface TlsConfiguration {
  readonly isVerified: boolean;
  readonly serverHostname: string | null;
  readonly context: SecureContext;
}

const PEM_CERTIFICATES = /-----BEGIN CERTIFICATE-----[^-]*(?:-----END CERTIFICATE-----)?/g;

/** @throws TypeError or SSLError for options that cannot be used */
export function tlsConfiguration(options: TlsOptions): TlsConfiguration {
  const caCerts = textOrNull('caCerts', options.caCerts ?? null);
  return {
    isVerified: resolveCertReqs(options.certReqs) !== CERT_NONE,
    serverHostname: textOrNull('serverHostname', options.serverHostname ?? null),
    context: tls.createSecureContext({
      minVersion: 'TLSv1.2',
      ...(caCerts === null ? {} : { ca: authorities(caCerts) }),
    }),
  };
}

/**
 * The certificates of PEM text, each. Not to have any is an error here, and so is a damaged one: Node would stop reading
 * there in silence, and trust only those before it, or nobody.
 */
function authorities(caCerts: string): string[] {
  const pem = caCerts.includes('-----BEGIN ') ? caCerts : readBundle(caCerts);
  const certificates = pem.match(PEM_CERTIFICATES);
  if (certificates === null) throw new SSLError(`Cannot use caCerts ${excerpt(caCerts)}: it holds no certificate`);
  for (const certificate of certificates) {
    try {
      new X509Certificate(certificate);
    } catch (cause) {
      throw new SSLError(`Cannot use caCerts ${excerpt(caCerts)}: a certificate in it is damaged`, { cause });
    }
  }
  return certificates;
}

function readBundle(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch (cause) {
    throw new SSLError(`Cannot read caCerts ${excerpt(path)}`, { cause });
  }
}
