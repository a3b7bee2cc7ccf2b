/** A certificate authority for one test file, made on the fly: nothing secret is kept in the repository. */
import net from 'node:net';
import { generate } from 'selfsigned';

/** A private key and its certificate, as PEM: what a TLS server takes. */
export interface Identity {
  readonly key: string;
  readonly cert: string;
}

export interface Authority {
  /** The authority's own certificate: what a client trusts. */
  readonly cert: string;
  /** A certificate for names and IP addresses. */
  issue(...names: string[]): Promise<Identity>;
}

const KEY = { keyType: 'ec', curve: 'P-256', algorithm: 'sha256' } as const;

export async function authority(name = 'Test authority'): Promise<Authority> {
  const root = await generate([{ name: 'commonName', value: name }], {
    ...KEY,
    extensions: [
      { name: 'basicConstraints', cA: true, critical: true },
      { name: 'keyUsage', keyCertSign: true, cRLSign: true, critical: true },
    ],
  });
  return {
    cert: root.cert,
    issue: (...names) => certificate(names, { key: root.private, cert: root.cert }),
  };
}

/** A certificate that only vouches for itself. */
export function selfSigned(...names: string[]): Promise<Identity> {
  return certificate(names);
}

async function certificate(names: readonly string[], ca?: Identity): Promise<Identity> {
  const altNames = names.map((name) =>
    net.isIP(name) === 0 ? ({ type: 2, value: name } as const) : ({ type: 7, ip: name } as const),
  );
  const issued = await generate([{ name: 'commonName', value: names[0] ?? 'nobody' }], {
    ...KEY,
    ...(ca === undefined ? {} : { ca }),
    extensions: [
      { name: 'basicConstraints', cA: false },
      { name: 'keyUsage', digitalSignature: true },
      { name: 'extKeyUsage', serverAuth: true },
      { name: 'subjectAltName', altNames },
    ],
  });
  return { key: issued.private, cert: issued.cert };
}
