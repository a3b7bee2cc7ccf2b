/**
 * A badssl of one's own: TLS servers on loopback, each with one thing wrong (or right) about its certificate or its
 * protocol, and the authorities, client certificates and files that clients need to talk to them.
 *
 * Servers and certificates are made when they are first asked for and live as long as the lab; every name resolves to
 * loopback through `lab.lookup`. What a server saw is in the JSON that it answers. What clients should make of all that is
 * in test/tls-behaviour/, not here.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import tls from 'node:tls';
import type { LookupFunction } from '../../src/transport/resolve.js';
import { ok, type Peer, type PeerConnection, tlsPeer } from './peer.js';
import { der } from './pkcs12.js';
import {
  type AltName,
  type Certificate,
  type Order,
  rootAuthority,
  selfSignedCertificate,
} from './tls-certificates.js';

/** Who vouches for the certificates of the lab. */
export interface Authorities {
  /** What clients of the lab trust. */
  readonly root: Certificate;
  readonly intermediate: Certificate;
  readonly expiredIntermediate: Certificate;
  /** Nobody trusts it. */
  readonly strangeRoot: Certificate;
}

/** One server of the lab. */
export interface Site {
  /** What a client asks for. */
  readonly host: string;
  certificate(authorities: Authorities): Promise<Certificate>;
  /** What is sent of the chain. @defaultValue all but the root */
  readonly sends?: 'leaf only' | 'with root';
  readonly options?: tls.TlsOptions;
}

/** OpenSSL refuses old things even as a server, unless it is told. */
const LAX = { ciphers: 'ALL:@SECLEVEL=0' };

const uri = (value: string): AltName => ({ type: 'url', value });
const mail = (value: string): AltName => ({ type: 'email', value });

/** A certificate of the intermediate authority for the host alone, but for what is said. */
function site(host: string, order: Order = {}, rest: Partial<Site> = {}): Site {
  return { host, certificate: ({ intermediate }) => intermediate.issue({ names: [host], ...order }), ...rest };
}

/** Protocol versions, with everything else in order. */
function versions(host: string, minVersion: tls.SecureVersion, maxVersion: tls.SecureVersion): Site {
  return site(host, { key: 'RSA-2048' }, { options: { minVersion, maxVersion, ...LAX } });
}

const years = (from: number, to: number) => ({
  notBefore: new Date(`${from}-01-01`),
  notAfter: new Date(`${to}-01-01`),
});

export const SITES = {
  good: site('good.lab.test'),
  rsa: site('rsa.lab.test', { key: 'RSA-2048' }),
  severalNames: site('second.lab.test', { names: ['first.lab.test', 'second.lab.test'] }),
  upperCase: site('upper.lab.test', { names: ['UPPER.Lab.test'] }),
  withRoot: site('withroot.lab.test', {}, { sends: 'with root' }),
  directlyIssued: { host: 'direct.lab.test', certificate: ({ root }) => root.issue({ names: ['direct.lab.test'] }) },

  expired: site('expired.lab.test', years(2020, 2021)),
  notYetValid: site('future.lab.test', years(2090, 2091)),
  expiredIntermediate: {
    host: 'oldissuer.lab.test',
    certificate: ({ expiredIntermediate }) => expiredIntermediate.issue({ names: ['oldissuer.lab.test'] }),
  },
  selfSigned: {
    host: 'selfsigned.lab.test',
    certificate: () => selfSignedCertificate({ names: ['selfsigned.lab.test'] }),
  },
  untrustedRoot: {
    host: 'untrusted.lab.test',
    certificate: ({ strangeRoot }) => strangeRoot.issue({ names: ['untrusted.lab.test'] }),
    sends: 'with root',
  },
  unknownIssuer: {
    host: 'unknown.lab.test',
    certificate: ({ strangeRoot }) => strangeRoot.issue({ names: ['unknown.lab.test'] }),
  },
  missingIntermediate: site('incomplete.lab.test', {}, { sends: 'leaf only' }),
  forClients: site('forclients.lab.test', { usage: 'client' }),
  sha1: site('sha1.lab.test', { hash: 'SHA-1' }, { options: LAX }),
  weakKey: site('weakkey.lab.test', { key: 'RSA-1024' }, { options: LAX }),

  wrongHost: site('wronghost.lab.test', { names: ['elsewhere.lab.test', 'other.lab.test'] }),
  wildcard: site('a.wild.lab.test', { names: ['*.wild.lab.test'] }),
  wildcardTooDeep: site('a.b.wild.lab.test', { names: ['*.wild.lab.test'] }),
  wildcardParent: site('wild.lab.test', { names: ['*.wild.lab.test'] }),
  wildcardPartial: site('foo.lab.test', { names: ['f*.lab.test'] }),
  wildcardPartialEnd: site('foo.end.lab.test', { names: ['*o.end.lab.test'] }),
  wildcardInside: site('a.b.inside.lab.test', { names: ['a.*.inside.lab.test'] }),
  wildcardTwice: site('a.b.twice.lab.test', { names: ['*.*.twice.lab.test'] }),
  wildcardDoubled: site('a.doubled.lab.test', { names: ['**.doubled.lab.test'] }),
  wildcardAlone: site('alone', { names: ['*'] }),
  wildcardTop: site('top.test', { names: ['*.test'] }),
  wildcardInALabel: site('xn--bcher-kva.alabel.lab.test', { names: ['x*.alabel.lab.test'] }),
  wildcardForALabel: site('bücher.star.lab.test', { names: ['*.star.lab.test'] }),

  commonNameOnly: site('cnonly.lab.test', { names: [], commonNames: ['cnonly.lab.test'] }),
  commonNameAside: site('cnother.lab.test', { names: ['other.lab.test'], commonNames: ['cnother.lab.test'] }),
  commonNameWithIp: site('cnip.lab.test', { names: ['127.0.0.1'], commonNames: ['cnip.lab.test'] }),
  commonNameWithUri: site('cnuri.lab.test', {
    names: [uri('https://cnuri.lab.test/')],
    commonNames: ['cnuri.lab.test'],
  }),
  commonNameWithMail: site('cnmail.lab.test', { names: [mail('x@cnmail.lab.test')], commonNames: ['cnmail.lab.test'] }),
  commonNameTwice: site('cntwice.lab.test', { names: [], commonNames: ['cntwice.lab.test', 'other.lab.test'] }),
  commonNameTwiceReversed: site('cnlast.lab.test', { names: [], commonNames: ['other.lab.test', 'cnlast.lab.test'] }),

  idn: site('bücher.lab.test', { names: ['xn--bcher-kva.lab.test'] }),
  idnAsALabel: site('xn--bcher-kva.lab.test', { names: ['xn--bcher-kva.lab.test'] }),
  idnOther: site('bücher.lab.test', { names: ['xn--bucher-kva.lab.test', 'bucher.lab.test'] }),
  idnInUtf8: site('bücher.lab.test', { names: [{ type: 'dns', value: 'bücher.lab.test' }], commonNames: ['utf8'] }),

  ip4: site('127.0.0.1', { names: ['127.0.0.1'] }),
  ip6: site('[::1]', { names: ['::1'], commonNames: ['six'] }),
  ip6LongForm: site('[0:0:0:0:0:0:0:1]', { names: ['::1'], commonNames: ['six'] }),
  ip4Other: site('127.0.0.1', { names: ['127.0.0.2'] }),
  ip4AsDns: site('127.0.0.1', { names: [{ type: 'dns', value: '127.0.0.1' }] }),
  ip4AsWildcard: site('127.0.0.1', { names: ['*.0.0.1'] }),
  ip4AsCommonName: site('127.0.0.1', { names: [], commonNames: ['127.0.0.1'] }),
  ip4AsUri: site('127.0.0.1', { names: [uri('https://127.0.0.1/')], commonNames: ['127.0.0.1'] }),
  ip4AsMappedIp6: site('127.0.0.1', { names: ['::ffff:127.0.0.1'], commonNames: ['six'] }),
  dnsOfIp: site('named.lab.test', { names: ['127.0.0.1'] }),

  nulInName: site('a.lab.test', { names: [{ type: 'dns', value: 'a.lab.test\0.evil.test' }], commonNames: ['evil'] }),
  commaInName: site('a.lab.test', { names: [{ type: 'dns', value: 'x, DNS:a.lab.test' }], commonNames: ['evil'] }),
  quotesInName: site('a.lab.test', { names: [{ type: 'dns', value: 'x", DNS:"a.lab.test' }], commonNames: ['evil'] }),
  commaInUri: site('a.lab.test', { names: [uri('http://x/, DNS:a.lab.test')], commonNames: ['evil'] }),
  uriOfName: site('a.lab.test', { names: [uri('https://a.lab.test/')], commonNames: ['evil'] }),

  tls10: versions('tls10.lab.test', 'TLSv1', 'TLSv1'),
  tls11: versions('tls11.lab.test', 'TLSv1.1', 'TLSv1.1'),
  tls12: versions('tls12.lab.test', 'TLSv1.2', 'TLSv1.2'),
  tls13: versions('tls13.lab.test', 'TLSv1.3', 'TLSv1.3'),
} satisfies Record<string, Site>;

export type SiteName = keyof typeof SITES;

/** What a server of the lab saw of the connection over which a request came: the content of its answer. */
export interface Seen {
  readonly protocol: string | null;
  readonly cipher: string;
  /** The server name that the client asked for; null for none. */
  readonly sni: string | null;
  /** The application protocol that was agreed on; null for none. */
  readonly alpn: string | null;
  readonly isResumed: boolean;
  /** The common name of the client's certificate; null for none. */
  readonly client: string | null;
}

/** A server of the lab that runs. */
export interface LabServer {
  readonly host: string;
  readonly port: number;
  /** `https://host:port`, without a slash at the end. */
  readonly url: string;
  /** The connections whose handshake the server holds for done. */
  readonly connections: readonly PeerConnection[];
  /** Of each of them, whether it resumed a session. */
  readonly resumptions: readonly boolean[];
  readonly certificate: Certificate;
}

export class TlsLab implements AsyncDisposable {
  readonly authorities: Authorities;
  /** Where its files are. */
  readonly folder: string;
  /** Takes every name to loopback, addresses to themselves, and keeps who was asked for. */
  readonly lookup: LookupFunction = (host, _options, callback) => {
    this.lookedUp.push(host);
    callback(null, [net.isIP(host) === 0 ? '127.0.0.1' : host]);
  };
  readonly lookedUp: string[] = [];
  readonly #running = new Map<SiteName, Promise<LabServer>>();
  readonly #peers: Peer[] = [];

  constructor(authorities: Authorities) {
    this.authorities = authorities;
    this.folder = mkdtempSync(path.join(tmpdir(), 'urllib3-lab-'));
  }

  /** PEM: what a client of the lab trusts. */
  get root(): string {
    return this.authorities.root.pem;
  }

  /** The server of a site, running. */
  server(name: SiteName): Promise<LabServer> {
    let running = this.#running.get(name);
    if (running === undefined) {
      running = this.start(SITES[name]);
      this.#running.set(name, running);
    }
    return running;
  }

  /** A server of its own, whose connections nobody else makes; it ends with the lab. */
  async start(wanted: Site, options: tls.TlsOptions = {}): Promise<LabServer> {
    const certificate = await wanted.certificate(this.authorities);
    const presented = { 'leaf only': certificate.pem, 'with root': certificate.chain + certificate.root };
    const cert = wanted.sends === undefined ? certificate.chain : presented[wanted.sends];
    const address = wanted.host.startsWith('[') ? '::1' : '127.0.0.1';
    const tlsOptions = { ALPNProtocols: ['http/1.1'], ...wanted.options, ...options, key: certificate.key, cert };
    const resumptions: boolean[] = [];
    const script = async (connection: PeerConnection) => {
      const seen = whatItSaw(connection);
      resumptions.push(seen.isResumed);
      const answer = ok(JSON.stringify(seen), 'Content-Type: application/json\r\n');
      for (;;) {
        await connection.request();
        connection.write(answer);
      }
    };
    const peer = await tlsPeer(tlsOptions, script, address);
    this.#peers.push(peer);
    const { port, connections } = peer;
    return { host: wanted.host, port, url: `https://${wanted.host}:${port}`, connections, resumptions, certificate };
  }

  /** Writes a file into the lab's folder and gives its path. */
  file(name: string, content: string | Uint8Array): string {
    const file = path.join(this.folder, name);
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, content);
    return file;
  }

  /** A directory with the authority's certificate as OpenSSL wants it: under a name made from its subject. */
  hashedFolder(): string {
    const file = this.file('hashed/lab-root.pem', this.root);
    const link = path.join(path.dirname(file), `${subjectHash(LAB_ROOT)}.0`);
    rmSync(link, { force: true });
    symlinkSync(path.basename(file), link);
    return path.dirname(file);
  }

  /** A directory with the authority's certificate under any name, and another's beside it. */
  plainFolder(): string {
    this.file('plain/other.crt', this.authorities.expiredIntermediate.pem);
    return path.dirname(this.file('plain/lab-root.pem', this.root));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const peer of this.#peers) await peer[Symbol.asyncDispose]();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

const LAB_ROOT = 'Lab root';

export async function tlsLab(): Promise<TlsLab> {
  const root = await rootAuthority(LAB_ROOT);
  return new TlsLab({
    root,
    intermediate: await root.issueAuthority('Lab intermediate'),
    expiredIntermediate: await root.issueAuthority('Lab intermediate of old', years(2020, 2021)),
    strangeRoot: await rootAuthority('Root that nobody trusts'),
  });
}

function whatItSaw({ socket }: PeerConnection): Seen {
  if (!(socket instanceof tls.TLSSocket)) throw new Error('a TLS server gives TLS sockets');
  // `servername` is on the sockets of servers, whatever its type says.
  const servername: unknown = Reflect.get(socket, 'servername');
  return {
    protocol: socket.getProtocol(),
    cipher: socket.getCipher().name,
    sni: typeof servername === 'string' ? servername : null,
    alpn: typeof socket.alpnProtocol === 'string' ? socket.alpnProtocol : null,
    isResumed: socket.isSessionReused(),
    client: [socket.getPeerCertificate().subject?.CN ?? []].flat().join() || null,
  };
}

/** What OpenSSL (`X509_NAME_hash`) makes of a subject that is one common name without double blanks. */
function subjectHash(commonName: string): string {
  const oid = Buffer.from('0603550403', 'hex');
  const canonical = der(0x31, der(0x30, oid, der(0x0c, Buffer.from(commonName.toLowerCase()))));
  const digest = createHash('sha1').update(canonical).digest();
  return digest.readUInt32LE(0).toString(16).padStart(8, '0');
}
