/**
 * The reference's "urllib3.contrib.pyopenssl": there it puts another TLS library under urllib3, for Pythons whose own lacks SNI
 * and verification. Node's TLS is OpenSSL and has both, so that there is nothing to put in; code that was written for the
 * reference runs as it is.
 */

/**
 * Changes nothing: TLS is verified and sends SNI without it.
 *
 * @see User Guide, "Certificate verification"
 */
export function injectIntoUrllib3(): void {}

/** Changes nothing, as {@link injectIntoUrllib3} changed nothing. */
export function extractFromUrllib3(): void {}
