/** A certificate authority that lives as long as a test, and a server's certificate from it for loopback. */
import { generate } from 'selfsigned';

export interface TestAuthority {
  /** PEM: what a client has to trust. */
  readonly root: string;
  /** PEM: what a server of localhost, 127.0.0.1 and ::1 presents. */
  readonly certificate: string;
  readonly key: string;
}

export async function testAuthority(): Promise<TestAuthority> {
  const ec = { keyType: 'ec', algorithm: 'sha256' } as const;
  const root = await generate([{ name: 'commonName', value: 'urllib3 test authority' }], {
    ...ec,
    extensions: [
      { name: 'basicConstraints', cA: true, critical: true },
      { name: 'keyUsage', keyCertSign: true, cRLSign: true, critical: true },
    ],
  });
  const server = await generate([{ name: 'commonName', value: 'localhost' }], {
    ...ec,
    ca: { key: root.private, cert: root.cert },
    extensions: [
      { name: 'basicConstraints', cA: false },
      { name: 'extKeyUsage', serverAuth: true },
      {
        name: 'subjectAltName',
        altNames: [
          { type: 2, value: 'localhost' },
          { type: 7, ip: '127.0.0.1' },
          { type: 7, ip: '::1' },
        ],
      },
    ],
  });
  return { root: root.cert, certificate: server.cert, key: server.private };
}
