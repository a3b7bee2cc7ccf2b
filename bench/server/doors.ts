/**
 * The doors of the servers that the clients are measured against, and where each is found.
 *
 * `http` and `https` serve files (nginx, else Node); `https-rsa` is `https` with a certificate of RSA, `https-unresumable` with
 * no TLS session that could be resumed; `sink` is always Node: it counts what is uploaded, and answers the idle scenario when
 * all its connections are there.
 *
 * `proxy` is a proxy that does next to nothing (proxy.ts); `https-relayed` is `https` behind the same program, without a proxy
 * to be asked; `squid` is squid, or `proxy` where that is not installed.
 */
export type Door = FileDoor | 'sink' | ProxyDoor | 'https-relayed';

export type FileDoor = 'http' | 'https' | 'https-rsa' | 'https-unresumable';

export type ProxyDoor = 'proxy' | 'squid';

/** The origin of each door, such as `http://127.0.0.1:40123`. */
export type Doors = Readonly<Record<Door, string>>;

/** Those that node.ts opens. */
export type NodeDoors = Pick<Doors, FileDoor | 'sink'>;
