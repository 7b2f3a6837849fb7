/** What the logs of a space are encrypted with, for who writes into it by hand: whoever holds the ticket knows it. */
import { spaceEncryption } from '../../multiwriter/space-logs.ts'
import { decodeTicket } from '../../multiwriter/ticket.ts'

export function encryptionOf({ ticket }: { readonly ticket: string }) {
  const { address, membershipKey } = decodeTicket(ticket)
  return spaceEncryption(address, membershipKey)
}
