/** A version: how far each core had come at one moment. */

/** The first `length` blocks of one core. */
export interface CoreLength {
  readonly core: Uint8Array
  readonly length: number
}
