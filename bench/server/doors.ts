/**
 * The doors of the servers that the clients are measured against, and where each is found.
 *
 * `http` and `https` serve files (nginx, else Node); `https-unresumable` is `https` where no TLS session can be resumed;
 * `sink` is always Node: it counts what is uploaded, and answers the idle scenario when all its connections are there.
 */
export type Door = 'http' | 'https' | 'https-unresumable' | 'sink';

/** The origin of each door, such as `http://127.0.0.1:40123`. */
export type Doors = Readonly<Record<Door, string>>;
