/** A client id of Yjs, of bytes that nobody chose: without Yjs, as a document's own ids are asked for before it is open. */
export function clientIdOf(seed: Uint8Array): number {
  return new DataView(seed.buffer, seed.byteOffset).getUint32(0)
}
