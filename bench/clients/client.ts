/**
 * The interface that every measured client is put behind, so that the loop around it is the same for all.
 *
 * An adapter is the code that an experienced user of that client would write: connections kept, their number set,
 * the certificate trusted, nothing switched off that the client does by itself. It checks the status, and returns how
 * many bytes of content there were; measure.ts compares that number with what must come.
 */
export interface SessionOptions {
  /** Through which proxy; null for none. Only a client that the scenario names is given one. */
  readonly proxy: SessionProxy | null;
  readonly origin: string;
  /** How many connections may be open; so many requests are in flight at most. */
  readonly connections: number;
  /** The authorities to trust, in PEM; without meaning over plain HTTP. */
  readonly ca: string;
  /** Ask for gzip and decode it, by hand where the client does not. */
  readonly gzip: boolean;
  /** Address of the built library; for our own adapter. */
  readonly library: string;
}

export interface SessionProxy {
  readonly url: string;
  /** The origin again, behind the program that the proxy is, without a proxy to be asked. */
  readonly relayed: string;
}

export interface Session {
  /** GET with the whole content in memory at the end; returns its length, decoded. */
  get(path: string): Promise<number>;
  /** GET read chunk by chunk, in the loop that the client's documentation shows; returns the length. */
  download(path: string): Promise<number>;
  /** POST of a stream of that many bytes (source.ts); returns how many the server says have come. */
  upload(path: string, sizeBytes: number): Promise<number>;
  /** Lets go of all connections. */
  close(): Promise<void>;
}

export type OpenSession = (options: SessionOptions) => Promise<Session>;

/** @throws Error unless the status is 200 */
export function expectOk(status: number): void {
  if (status !== 200) throw new Error(`Cannot count a response of status ${status}: 200 is wanted`);
}

/** @throws Error without a proxy: the client is for nothing else */
export function proxyOf({ proxy }: SessionOptions): SessionProxy {
  if (proxy === null) throw new Error('Cannot measure this client without a proxy');
  return proxy;
}
