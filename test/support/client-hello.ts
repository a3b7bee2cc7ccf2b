/** What a ClientHello (RFC 8446 section 4.1.2) says before anything is encrypted: read from the first bytes on a socket. */

export interface ClientHello {
  /** The name of server_name (RFC 6066 section 3); null without that extension. */
  readonly serverName: string | null;
  /** The application protocols that are offered (RFC 7301); null without that extension. */
  readonly protocols: readonly string[] | null;
  /** The versions of supported_versions as on the wire, such as 0x0304 for TLS 1.3; none in older versions. */
  readonly versions: readonly number[];
  readonly cipherSuites: readonly number[];
  /** The types of all extensions, as they come. */
  readonly extensions: readonly number[];
  /** Whether a session of before is offered: by pre_shared_key, or by a ticket (RFC 5077). */
  readonly offersSession: boolean;
}

const HANDSHAKE = 22;
const CLIENT_HELLO = 1;
const SERVER_NAME = 0;
const PROTOCOLS = 16;
const TICKET = 35;
const PRE_SHARED_KEY = 41;
const SUPPORTED_VERSIONS = 43;

/** @throws Error for anything else than one whole ClientHello in one record */
export function clientHello(bytes: Uint8Array): ClientHello {
  const record = new Reader(Buffer.from(bytes));
  if (record.uint(1) !== HANDSHAKE) throw new Error('no TLS handshake');
  record.uint(2);
  const handshake = record.vector(2);
  if (handshake.uint(1) !== CLIENT_HELLO) throw new Error('no ClientHello');
  const hello = handshake.vector(3);
  hello.take(2 + 32);
  hello.vector(1);
  const suites = hello.vector(2);
  hello.vector(1);
  const extensions = new Map<number, Reader>();
  for (const all = hello.vector(2); all.hasMore; ) extensions.set(all.uint(2), all.vector(2));
  const ticket = extensions.get(TICKET);
  return {
    serverName: serverNameOf(extensions.get(SERVER_NAME)),
    protocols: protocolsOf(extensions.get(PROTOCOLS)),
    versions: extensions.get(SUPPORTED_VERSIONS)?.vector(1).all(2) ?? [],
    cipherSuites: suites.all(2),
    extensions: [...extensions.keys()],
    offersSession: extensions.has(PRE_SHARED_KEY) || ticket?.hasMore === true,
  };
}

function serverNameOf(extension: Reader | undefined): string | null {
  if (extension === undefined) return null;
  const names = extension.vector(2);
  names.uint(1);
  return names.vector(2).text;
}

function protocolsOf(extension: Reader | undefined): string[] | null {
  if (extension === undefined) return null;
  const protocols: string[] = [];
  for (const list = extension.vector(2); list.hasMore; ) protocols.push(list.vector(1).text);
  return protocols;
}

class Reader {
  readonly #bytes: Buffer;
  #position = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get hasMore(): boolean {
    return this.#position < this.#bytes.length;
  }

  get text(): string {
    return this.#bytes.toString('latin1');
  }

  take(length: number): Buffer {
    const end = this.#position + length;
    if (end > this.#bytes.length) throw new Error(`the ClientHello ends ${end - this.#bytes.length} bytes too early`);
    const taken = this.#bytes.subarray(this.#position, end);
    this.#position = end;
    return taken;
  }

  uint(length: number): number {
    return this.take(length).readUIntBE(0, length);
  }

  /** What follows its own length. */
  vector(lengthBytes: number): Reader {
    return new Reader(this.take(this.uint(lengthBytes)));
  }

  /** The numbers from here to the end. */
  all(length: number): number[] {
    const numbers: number[] = [];
    while (this.hasMore) numbers.push(this.uint(length));
    return numbers;
  }
}
