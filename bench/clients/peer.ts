/**
 * How an adapter reaches the library that it adapts.
 *
 * The peers are installed in bench/node_modules only, and the project must type-check without that folder: so their names
 * are hidden from the compiler, and each adapter declares the few members that it uses.
 */

/** Loads a package; the caller says, from its documentation, what of its shape is used. */
export async function loadPeer<Shape>(name: string): Promise<Shape> {
  return await import(name);
}

/** Adds up a stream, chunk by chunk. */
export async function countBytes(chunks: AsyncIterable<Uint8Array>): Promise<number> {
  let bytes = 0;
  for await (const chunk of chunks) bytes += chunk.length;
  return bytes;
}
