/** What only tests call of the stack. */
declare module 'hyperbee2/lib/encoding.js' {
  export function encodeBlock(block: object): Uint8Array
}
