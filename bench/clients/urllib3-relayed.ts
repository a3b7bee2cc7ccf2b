/** This project's own client without a proxy, over the same number of sockets as with one: what a tunnel is compared with. */
import { type OpenSession, proxyOf } from './client.js';
import { open as openDirectly } from './urllib3.js';

export const open: OpenSession = async (options) =>
  await openDirectly({ ...options, origin: proxyOf(options).relayed, proxy: null });
