/**
 * Stands where the reference puts PyOpenSSL in place of Python 2's `ssl` module, which could not name the host in a handshake
 * (reference: "urllib3.contrib.pyopenssl module"; User Guide, "Certificate verification in Python 2").
 *
 * Node's TLS is OpenSSL, with SNI and verification: there is nothing to inject. Both functions are here so that code that
 * was carried over runs, and change nothing.
 */

/**
 * Changes nothing: TLS here names the host and verifies certificates without it.
 *
 * @see Reference, "urllib3.contrib.pyopenssl.inject_into_urllib3"
 */
export function injectIntoUrllib3(): void {}

/** Changes nothing: undoes {@link injectIntoUrllib3}, which does nothing. */
export function extractFromUrllib3(): void {}
