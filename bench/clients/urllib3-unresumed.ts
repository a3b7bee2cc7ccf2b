/**
 * This project's own client, made to offer no TLS session: what resumption is compared with.
 *
 * No option switches resumption off, so the built module that keeps sessions is made to find none. All else is the same, the
 * keeping of those that servers give included.
 */
import type { OpenSession } from './client.js';
import { loadPeer } from './peer.js';
import { open as openResuming } from './urllib3.js';

interface Sessions {
  readonly SessionStore: { readonly prototype: { take(server: string): unknown } };
}

export const open: OpenSession = async (options) => {
  const { SessionStore } = await loadPeer<Sessions>(new URL('tls/sessions.js', options.library).href);
  SessionStore.prototype.take = () => null;
  return await openResuming(options);
};
